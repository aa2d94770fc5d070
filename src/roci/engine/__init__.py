"""Models on this machine: files, memory, and the worker processes that hold them.

Sync code and the asyncio gateway both use it, so it knows no event loop: what takes time is a
`concurrent.futures.Future`. Imported by `providers` and `server`; it starts a worker by command line and never
imports it.
"""
