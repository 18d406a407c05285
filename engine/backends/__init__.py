"""What draws: each backend is a module of five functions."""
