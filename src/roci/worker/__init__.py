"""The child process that holds one model: llama.cpp behind a Unix socket, speaking `/v1`.

Started by command line (`python -m roci.worker`), imported by nobody. It imports `roci.errors` and nothing
else of roci; `llama_cpp_engine.py` alone knows the llama.cpp binding.
"""
