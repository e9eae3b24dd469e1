"""Financial Line as pure code: what it knows (`ledger`), what it takes (`requests`), and what it says.

One provider for the sandbox (sockets), the simulator (a network that is not there), the unit tests and the benchmarks.
Promises that nothing here waits, locks or opens anything: bytes in, bytes out, and the clock is the caller's.
"""
