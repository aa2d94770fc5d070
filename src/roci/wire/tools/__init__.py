"""Tool calls with any model: what it is shown, how it is made to call, and its text turned back into calls. No I/O.

`plan.py` decides; `default_format.py` writes the prompt for models whose template knows no tools; `readers.py` turns a
worker's events into calls while they come.
"""
