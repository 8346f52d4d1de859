"""The manifest: which track is which shank of which stream, as the CSV that converters read."""

from core.manifest.reading import ManifestTable, format_problem, read_csv
from core.manifest.rows import COLUMNS, Column, ManifestRow, mapping_from_rows, rows_from_mapping
from core.manifest.writing import RowChange, diff, round_trip_problems, write_csv

__all__ = [
    "COLUMNS",
    "Column",
    "ManifestRow",
    "ManifestTable",
    "RowChange",
    "diff",
    "format_problem",
    "mapping_from_rows",
    "read_csv",
    "round_trip_problems",
    "rows_from_mapping",
    "write_csv",
]
