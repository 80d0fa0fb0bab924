"""What can be measured of a run once it is over: `python -m cil.evaluate RUN`."""
