"""What every page that is written for a browser shares: its shell, charts, pictures of mels, players."""
