"""Every problem of a mapping, at once."""

from core.checks.angles import planned_ways
from core.checks.door import check_mapping, check_table
from core.checks.earlier import Converted, converted_by
from core.checks.thresholds import Thresholds, read_thresholds

__all__ = ["Converted", "Thresholds", "check_mapping", "check_table", "converted_by", "planned_ways", "read_thresholds"]
