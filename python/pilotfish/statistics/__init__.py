"""The statistics of pilotfish on numpy arrays: the same code that watches live calls.

One module per question; ``docs/statistics.md`` has the mathematics.
"""
