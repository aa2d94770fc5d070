"""What users call; each function is thin over a provider."""
