"""A call before it is traffic, and the two ways to send it.

May be imported by `engine`, `providers` and what stands on them. httpx2 enters by `transports` alone.
"""
