"""Every problem of a mapping, at once."""

from core.checks.door import check_mapping, check_table

__all__ = ["check_mapping", "check_table"]
