"""Real widgets without a screen."""
