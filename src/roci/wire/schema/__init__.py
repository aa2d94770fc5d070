"""JSON Schemas: what of one the engine's grammar can enforce, and the check of an answer against all of it. No I/O.

`plan.py` is the way in; `normalise.py` writes the grammar's part, for SDK and server alike; `checked.py` holds the
validator. llama.cpp's grammar was tried keyword by keyword; `tests/wire/test_schema_engine.py` keeps what was seen.
"""
