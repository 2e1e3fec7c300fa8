"""Where a replica is, from what was seen of its process. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from hostler_provisioner.backend import Step

MISSES_MAX = 3
"""Health checks in a row that a ready replica may miss."""

_STATE_LINE = "cmd_child_to_router:state:"


class Answer(StrEnum):
    """What /health said."""

    NONE = "none"
    """Nothing: no connection, or no reply in time."""
    NOT_READY = "not_ready"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Health:
    """A step, and how many checks in a row a replica that had been ready has missed."""

    step: Step
    misses: int = 0


def next_health(health: Health, *, alive: bool, answer: Answer) -> Health:
    """What follows from one look at the process and one at its /health.

    alive | step before          | answer    | step after
    ------|----------------------|-----------|-----------------------------------------------
    no    | any                  | any       | gone
    yes   | gone                 | any       | gone (an end is never taken back)
    yes   | other                | ok        | ready
    yes   | ready or unhealthy   | another   | unhealthy from the third miss in a row, else as before
    yes   | importing or booting | none      | booting
    yes   | loading              | none      | loading (it has answered; a missed check is a busy machine)
    yes   | before ready         | not ready | loading
    """
    if not alive or health.step is Step.GONE:
        return Health(Step.GONE)
    if answer is Answer.OK:
        return Health(Step.READY)
    if health.step in (Step.READY, Step.UNHEALTHY):
        misses = health.misses + 1
        return Health(Step.UNHEALTHY if misses >= MISSES_MAX else health.step, misses)
    if answer is Answer.NOT_READY or health.step is Step.LOADING:
        return Health(Step.LOADING)
    return Health(Step.BOOTING)


def loaded_fraction(lines: Iterable[str]) -> float | None:
    """How far the weights are by the server's latest word on it; None when it has said nothing.

    Its reports read `cmd_child_to_router:state:{"state": "loading", "payload": {"stages": [...], "current": ..., "value": ...}}`
    and are llama.cpp's own business, so what doesn't look like that is passed over.
    """
    fraction: float | None = None
    for line in lines:
        if not line.startswith(_STATE_LINE):
            continue
        try:
            payload = json.loads(line.removeprefix(_STATE_LINE))["payload"]
            stages, value = payload["stages"], float(payload["value"])
            fraction = (stages.index(payload["current"]) + min(max(value, 0.0), 1.0)) / len(stages)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return fraction


def readable_lines(text: str) -> list[str]:
    """The lines of a replica's log that are for people."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith(_STATE_LINE)]


def last_words(text: str, *, exit_code: int | None) -> str:
    """Why a process ended, as far as it can be told: a signal, else the last line it wrote."""
    if exit_code is not None and exit_code < 0:
        return f"the process was ended by signal {-exit_code}"
    lines = readable_lines(text)
    if not lines:
        return (
            "the process ended without a word"
            if exit_code is not None
            else "the process is not there any more"
        )
    return lines[-1].removeprefix("hostler: ")
