"""`python -m cil.report PATH...`."""

import sys

from cil.report.cli import main

if __name__ == "__main__":
    sys.exit(main())
