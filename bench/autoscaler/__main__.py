"""Compares scaling policies: `make bench-autoscaler`, or `python -m bench.autoscaler --quick`.

Method, scenarios and what the figures mean: README.md. It ends with 0 whatever came of it, unless `--strict` is given.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.autoscaler import scenarios, suite, table
from hostler_autoscaler.simulation.references.catalogue import REFERENCES

_QUICK = ("step", "flat", "bursts", "drift", "small", "target-high", "target-low", "gap-down", "ramp")
_QUICK_REFERENCES = ("hpa", "hpa-p95")


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    given = _parser().parse_args(arguments)
    began = time.monotonic()
    names = _scenarios(given)
    policies = _policies(given)
    kept = None if given.no_keep else Path(given.keep)
    results = []
    for measured in suite.measure(
        names,
        policies,
        traces=given.traces,
        kept=kept,
        seed=given.seed,
        thorough=not given.quick,
        processes=given.processes,
    ):
        results.append(measured)
        print(table.scenario_lines(measured), flush=True)
    # In whatever order they were done, the table is the same.
    results.sort(key=lambda each: names.index(each.scenario))
    print()
    print(table.table(results))
    print()
    lines = table.targets(results)
    print(lines)
    print(f"\n{len(results)} scenarios, {len(policies)} policies, {time.monotonic() - began:.0f} s")
    if given.json:
        Path(given.json).write_text(json.dumps([asdict(each) for each in results], indent=1))
    return int(given.strict and "MISSED" in lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.autoscaler", description=__doc__)
    folder = os.environ.get("HOSTLER_TRACES")
    parser.add_argument("--quick", action="store_true", help="fewer scenarios and references")
    parser.add_argument(
        "--traces",
        type=Path,
        default=Path(folder) if folder else None,
        help="the folder of the public traces",
    )
    parser.add_argument("--scenarios", help="names, with commas; all by default")
    parser.add_argument("--policies", help="names, with commas; all by default")
    parser.add_argument("--seed", type=int, default=5, help="of cold starts and failures")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", default="build/bench-autoscaler", help="where baselines are kept")
    parser.add_argument("--no-keep", action="store_true", help="measure the baselines anew")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--strict", action="store_true", help="end with 1 if a target is missed")
    return parser


def _scenarios(given: argparse.Namespace) -> list[str]:
    everything = [*scenarios.TABLE, *scenarios.CHANGED]
    names = given.scenarios.split(",") if given.scenarios else list(_QUICK if given.quick else everything)
    unknown = [name for name in names if name not in everything]
    if unknown:
        sys.exit(f"no such scenario: {', '.join(unknown)}; there are {', '.join(everything)}")
    missing = [name for name in names if not _has_trace(name, given.traces)]
    if missing:
        print(
            f"left out, for want of the public traces (--traces, HOSTLER_TRACES): {', '.join(missing)}",
            flush=True,
        )
    return [name for name in names if name not in missing]


def _has_trace(name: str, folder: Path | None) -> bool:
    file = scenarios.needs(name)
    return file is None or (folder is not None and (folder / file).exists())


def _policies(given: argparse.Namespace) -> list[str]:
    references = [name for name in REFERENCES if name != "max"]
    everything = [*suite.OURS, *references]
    if given.policies:
        names: list[str] = given.policies.split(",")
        known = [*everything, *suite.FOREIGN]
        unknown = [name for name in names if name not in known]
        if unknown:
            sys.exit(f"no such policy: {', '.join(unknown)}; there are {', '.join(known)}")
        return names
    if given.quick:
        return [name for name in everything if name in suite.OURS or name in _QUICK_REFERENCES]
    return everything


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
