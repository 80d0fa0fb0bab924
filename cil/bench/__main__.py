"""`python -m cil.bench` starts cil/bench/cli.py."""

import sys

from cil.bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
