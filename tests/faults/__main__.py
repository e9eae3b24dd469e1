"""`python -m tests.faults` is `python tests/faults/run.py`."""

import sys

from tests.faults.run import main

if __name__ == "__main__":
    sys.exit(main())
