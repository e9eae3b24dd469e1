"""The shipped handlers and the shipped provider client on a virtual network, clock and table: what only bytes can show.

A schedule is a list of choices; choice 0 is always the ordinary course. What a schedule violates is harm that somebody
outside would see, never a guard said again.
"""
