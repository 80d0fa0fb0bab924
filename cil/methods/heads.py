"""Names of evaluation heads. Imports no torch."""

CLASSIFIER = "classifier"
"""The head every method has, always the first of its `heads`."""
NME = "nme"
"""Nearest means of exemplars, beside the method's own heads."""
