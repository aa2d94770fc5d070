"""What travels: one folder per dialect, read by the SDK and the server alike.

Inside a dialect `types.py` imports msgspec only; `convert.py`, `stream.py` and `errors.py` alone know both
vocabularies.
May be imported by `exchange` and what stands on it.
"""
