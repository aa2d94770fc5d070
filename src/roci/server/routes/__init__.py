"""One file for each dialect or purpose. Handlers raise; `error_replies.py` answers."""
