"""Reads the public request traces: gzip CSV of `dt_ms,in_tok,out_tok`, one row per request, in order of arrival.

They are not in the repository. Their folder is an argument of the bench, or the variable HOSTLER_TRACES.
"""

import csv
import gzip
from pathlib import Path

from hostler_autoscaler.simulation.traffic import Traffic, of_rows

AZURE = "azure_conv_2023.csv.gz"
SERVEGEN = "servegen_mlarge_day0.csv.gz"


def read(path: Path) -> Traffic:
    """The requests of one file; it lasts until a second after the last."""
    rows: list[tuple[float, int, int]] = []
    milliseconds = 0
    with gzip.open(path, "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            milliseconds += int(row["dt_ms"])
            rows.append((milliseconds / 1000.0, int(row["in_tok"]), int(row["out_tok"])))
    return of_rows(milliseconds / 1000.0 + 1.0, rows)
