"""The figures of a report, drawn with matplotlib: in the page as SVG, for papers as PDF, SVG and PNG.

canvas.py makes a picture of panels, series.py the points over runs; the other files are one kind of figure each.
matplotlib is imported when something is drawn, so that a report without figures does not wait for it.
"""
