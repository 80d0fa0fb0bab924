"""From finished runs to tables, comparisons and one HTML page: `python -m cil.report PATH...`.

Reads result.json, metrics.jsonl, config.yaml and status.json of runs (and sweep.json of a sweep), never logs or
folder names, and imports no torch. In order: find and read runs (runs.py), group them (groups.py), refuse what must
not be averaged (mixtures.py), compare (compare.py), say what follows (conclusion.py), lay out a document (document.py,
sections.py, drawings.py), render it (render_*.py, plots/). rows.py gives the runs to other programs.
"""
