"""`python -m cil.bench`: how fast a run's settings are on this device, and how long all of it would take."""
