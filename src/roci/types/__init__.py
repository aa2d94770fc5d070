"""What users hold: frozen msgspec Structs without any dialect's names, and without I/O.

May be imported by everything but `errors`, `selector`, `config` and `worker`.
"""
