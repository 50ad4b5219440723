"""The clip cache on disk (format 1): layout, atomic writer, memory-mapped reader. See the README for the format."""
