"""A package, since libraries are installed that bring one of this name: processes that tests start import this one."""
