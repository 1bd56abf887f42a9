"""`python -m ocigc`."""

import sys

from ocigc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
