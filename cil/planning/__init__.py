"""From a command line to checked jobs: Hydra composes, everything is checked before anything starts."""
