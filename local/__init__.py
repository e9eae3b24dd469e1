"""The whole service on one machine: the synthesised stack, deployed without an AWS account.

Everything listens on loopback only and nothing of it outlives the run. Nothing in functions/ knows about it.
"""

import sys
from pathlib import Path

# What the sandbox's provider reads and signs with lies where Lambda wants it, at the root of functions/.
sys.path.append(str(Path(__file__).resolve().parents[1] / "functions"))
