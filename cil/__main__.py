"""`python -m cil` lists the commands."""

COMMANDS = """\
python -m cil.train GROUP=OPTION KEY=VALUE ...   train one run, or a sweep (-m); --help lists the groups
python -m cil.report PATH ...                    compare finished runs: tables, report.html, Markdown, CSV, LaTeX
python -m cil.report diff A B                    what differs between two runs
python -m cil.data check NAME                    count a data set's classes and open every file
Installed, they are called cil-train, cil-report and cil-data too."""


def main() -> int:
    """Print the commands."""
    print(COMMANDS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
