"""Measurements against the classic ways: `python -m bench`, or `python -m bench streaming`."""
