"""What operators run: `python -m ops`."""

import sys
from pathlib import Path

# The domain lies where Lambda wants it, at the root of functions/: its own code reads and applies records here, too.
sys.path.append(str(Path(__file__).resolve().parents[1] / "functions"))
