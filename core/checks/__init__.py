"""Every problem of a mapping, at once."""

from core.checks.door import check_mapping, check_table
from core.checks.earlier import Converted, converted_by

__all__ = ["Converted", "check_mapping", "check_table", "converted_by"]
