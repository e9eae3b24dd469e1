"""The whole service on one machine: the synthesised stack, deployed without an AWS account.

Everything listens on loopback only and nothing of it outlives the run. Nothing in functions/ knows about it.
"""

import os.path
import sys

# What the sandbox's provider reads and signs with lies where Lambda wants it, at the root of functions/.
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "functions"))
