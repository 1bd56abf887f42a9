"""`python -m ocigc`."""

import sys

from ocigc.cli import main

if __name__ == "__main__":
    sys.exit(main())
