"""How each kind of server is asked.

May be imported by `generation`, `server` and `cli`.
"""
