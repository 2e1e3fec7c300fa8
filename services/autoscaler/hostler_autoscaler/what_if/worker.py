"""The process that replays: `python -m hostler_autoscaler.what_if.worker`, started by `answers` for one question, with little to eat.

It reads a question and what is recorded as lines from stdin and writes the answer to stdout. It may take long and needs memory; in a process
of its own it takes neither from whoever decides about replicas, and is ended when its time is over.
"""

import os
import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from random import Random

from pydantic import BaseModel, ConfigDict

from hostler_autoscaler.what_if.replay import Material, what_if
from hostler_contracts.decisions import UndecodableDecision, decode_decision
from hostler_contracts.load import UndecodableWindow, decode_window
from hostler_contracts.what_if import SIMULATION_SECONDS_MAX, SimulationAnswer, SimulationQuestion
from hostler_domain.scaling import Scaling

MEMORY_BYTES_MAX = 2 * 1024**3
DECISION, WINDOW = b"d", b"w"
"""What a line begins with."""


class Task(BaseModel):
    """The first line."""

    model_config = ConfigDict(frozen=True)

    question: SimulationQuestion
    scaling: Scaling
    outstanding_max: int | None
    now: datetime


def main() -> None:
    """Answer one question."""
    os.nice(10)
    with suppress(ValueError, OSError):
        # macOS knows no such bound; there the count of requests is the only one.
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    seconds = int(SIMULATION_SECONDS_MAX) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        answer = answered(sys.stdin.buffer)
    except MemoryError:
        answer = SimulationAnswer(refusal="so much traffic does not fit into memory; look back less far")
    sys.stdout.buffer.write(answer.model_dump_json().encode())


def answered(lines: Iterable[bytes]) -> SimulationAnswer:
    """The answer to what the lines ask."""
    rows = iter(lines)
    task = Task.model_validate_json(next(rows))
    records, windows = [], []
    for row in rows:
        try:
            if row[:1] == DECISION:
                records.append(decode_decision(row[1:]).data)
            elif row[:1] == WINDOW:
                windows.append(decode_window(row[1:]).data)
        except (UndecodableDecision, UndecodableWindow):
            # Of another version; the rest tells enough.
            continue
    material = Material(records, windows, task.scaling, task.outstanding_max)
    return what_if(task.question, material, now=task.now, draws=lambda number: Random(number).random)  # noqa: S311 - dice, no secret


if __name__ == "__main__":
    main()
