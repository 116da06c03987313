"""What the tests of the command line share with those of the stores."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))  # pytest does not put a folder on the path
