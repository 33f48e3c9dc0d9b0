"""A file of records that survives kills, full disks and damage: under the agent's store and the control plane's.

Knows no record: a subclass of ``database.DatabaseFile`` says which tables there are and what a row of them means.
"""
