"""`python -m cil` lists the commands."""

COMMANDS = """\
python -m cil.train GROUP=OPTION KEY=VALUE ...   train one run, or a sweep (-m); --help lists the groups
python -m cil.report PATH ...                    compare finished runs: an answer, report.html, figures, CSV, LaTeX
python -m cil.report diff A B                    what differs between two runs
python -m cil.evaluate RUN                       accuracy matrix anew, calibration, probe, drift, corrupted images
python -m cil.predict RUN IMAGE ...              the most likely classes of images
python -m cil.export RUN                         the network for use without this project
python -m cil.bench KEY=VALUE ...                speed, memory and hours of a run on this device
python -m cil.data check NAME                    count a data set's classes and open every file
Installed, each is called cil-train, cil-report, ... too."""


def main() -> int:
    """Print the commands."""
    print(COMMANDS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
