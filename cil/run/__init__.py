"""A run from the outside: its folder, files, progress bar, signals and tables."""
