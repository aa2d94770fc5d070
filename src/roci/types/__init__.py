"""What users hold: frozen msgspec Structs without any dialect's names, and without I/O but
for reading an image from its file.

May be imported by everything but `errors`, `selector`, `config` and `worker`.
"""
