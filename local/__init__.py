"""The whole service on one machine: the synthesised stack, deployed without an AWS account.

Everything listens on loopback only and nothing of it outlives the run. Nothing in functions/ knows about it.
"""
