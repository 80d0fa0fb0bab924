"""A run's network as files that work without this project: `python -m cil.export RUN`."""
