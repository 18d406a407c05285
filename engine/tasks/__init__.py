"""What Easel does with a loaded pipeline."""
