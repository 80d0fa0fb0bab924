"""`python -m cil.evaluate RUN` starts cil/evaluate/cli.py."""

import sys

from cil.evaluate.cli import main

if __name__ == "__main__":
    sys.exit(main())
