"""The command line, `roci`: one file for each command, and what they share.

Data goes to standard output, all else to standard error. Nothing imports this package.
"""
