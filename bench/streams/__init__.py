"""Drift detectors that others wrote, on recorded tables: programs that run in their own environments.

Each reads a task as JSON from standard input (``table.Task``) and writes a line per column: its name, the
alarms in the rows before the change, and the rows from the change to the first alarm or null.
"""
