"""Readers and writers of other people's file formats."""
