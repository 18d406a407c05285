"""What draws: each backend is a module of four functions."""
