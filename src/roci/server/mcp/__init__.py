"""MCP servers whose tools the gateway calls for a model. The `mcp` package is imported when a server is first used:
it takes half a second and 60 MB, and comes with the extra `roci-ai[mcp]`.
"""
