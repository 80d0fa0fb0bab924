"""`python -m cil.export RUN` starts cil/export/cli.py."""

import sys

from cil.export.cli import main

if __name__ == "__main__":
    sys.exit(main())
