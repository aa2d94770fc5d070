"""Ollama's own API, as far as roci asks it: what a model's context is."""
