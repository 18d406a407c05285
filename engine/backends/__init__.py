"""What draws: each backend is a module of three functions."""
