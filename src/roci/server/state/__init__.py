"""What outlives the gateway: one SQLite file in roci's home. A file for each table, over `database.py`."""
