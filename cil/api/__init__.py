"""What `import cil` offers: cil.load, cil.runs and cil.train (docs/api.md). Importing these loads no torch."""
