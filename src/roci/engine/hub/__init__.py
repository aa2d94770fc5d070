"""Finding models on the Hugging Face hub and elsewhere, judging which file fits this machine, and fetching it.

`names` and `repository` read names and listings, `choice` decides, `planning` puts these together, `fetching` moves the
bytes, `searching` looks around. All of it is asynchronous, so that every wait can be cancelled; `fetching` also writes
to the disk as it goes, and wants a loop of its own.
"""
