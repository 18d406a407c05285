"""The vocabularies that ship with Easel, and the program that makes them: `python -m resources.tokenizers`."""
