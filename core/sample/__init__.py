"""Writes the sample mouse: a small, deterministic library that looks like a real one."""

from core.sample.plan import SampleState, SampleSummary, Sizes
from core.sample.writer import write_sample

__all__ = ["SampleState", "SampleSummary", "Sizes", "write_sample"]
