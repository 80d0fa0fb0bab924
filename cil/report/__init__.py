"""From finished runs to tables, comparisons and one HTML page: `python -m cil.report PATH...`.

Reads result.json, metrics.jsonl, config.yaml and status.json of runs (and sweep.json of a sweep), never logs or
folder names, and imports no torch. In order: find and read runs, group them (groups.py), refuse what must not be
averaged (guard.py), compare (compare.py), lay out a document (document.py, sections.py), render it (render_*.py).
"""
