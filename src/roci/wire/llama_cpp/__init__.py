"""What a worker is asked and what it answers: llama.cpp's server, as it really behaves."""
