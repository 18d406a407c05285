"""Headers of real-world kinds of model files, made from published architectures; see `python -m tests.headers`."""
