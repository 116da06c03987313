"""`python -m tuneful`."""

import sys

from tuneful.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
