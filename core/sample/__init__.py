"""Writes the sample mouse: a small, deterministic library that looks like a real one."""
