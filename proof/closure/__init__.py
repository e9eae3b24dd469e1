"""Every state that one order can reach, over the functions that ship: losses, repetitions, reorderings, late queries.

`world` says what can happen next, `checks` what must hold at each state. Times are those of the real rules, one for
each phase of an attempt, so that the number of states is finite; what no state follows from (texts, moments within a
phase, the bookkeeping of queries) is left out of them.
"""
