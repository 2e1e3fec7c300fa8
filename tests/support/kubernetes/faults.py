"""Faults that a test asks for: which requests they meet, how often, and what becomes of those.

| kind        | what happens                                                                                    |
| ----------- | ----------------------------------------------------------------------------------------------- |
| delay       | the request waits for `seconds`, and is then served                                              |
| status      | it is answered with `status`, with `retry_after` and `reason` where given, and has no effect     |
| hang        | it has no effect and no answer until the caller gives up, or `seconds` are over                  |
| reset       | the connection is reset before the request had any effect                                        |
| reset_after | it takes effect, and the connection is reset instead of an answer                                |
| drop        | a watch: its connection is reset after `after_events` events                                     |
| gone        | a watch: after `after_events` events comes an ERROR event with code 410, and the stream ends     |
| silent      | a watch: it stays open and says nothing any more after `after_events` events                     |
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WATCH_KINDS = frozenset({"drop", "gone", "silent"})
KINDS = frozenset({"delay", "status", "hang", "reset", "reset_after"}) | WATCH_KINDS
WRITES = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(slots=True)
class Fault:
    kind: str
    verbs: tuple[str, ...] = ()
    """Empty means all, and `writes` all that change something."""
    resources: tuple[str, ...] = ()
    """Plural names; empty means all."""
    name: str = ""
    """A regular expression that the object's name must match; lists and watches have no name."""
    probability: float = 1.0
    count: int | None = None
    """How many requests it meets before it is over."""
    skip: int = 0
    """How many matching requests pass unharmed first."""
    seconds: float = 0.0
    status: int = 500
    retry_after: float | None = None
    reason: str | None = None
    after_events: int = 0
    number: int = field(default=0)
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault of the kind {self.kind!r}")
        self.verbs, self.resources = tuple(self.verbs), tuple(self.resources)

    def matches(self, verb: str, plural: str, name: str) -> bool:
        verbs = tuple(each for verb_ in self.verbs for each in (WRITES if verb_ == "writes" else (verb_,)))
        return (
            (not verbs or verb in verbs)
            and (self.kind not in WATCH_KINDS or verb == "watch")
            and (not self.resources or plural in self.resources)
            and (not self.name or re.search(self.name, name) is not None)
            and (self.count is None or self.count > 0)
        )


class Faults:
    """The faults in force, in the order in which they were asked for: a request meets at most one."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._numbers = 0
        self.present: dict[int, Fault] = {}

    def add(self, wish: Mapping[str, Any]) -> Fault:
        fault = Fault(**wish)
        self._numbers += 1
        fault.number = self._numbers
        self.present[fault.number] = fault
        return fault

    def clear(self, number: int | None = None) -> None:
        if number is None:
            self.present.clear()
        else:
            self.present.pop(number, None)

    def pick(self, verb: str, plural: str, name: str) -> Fault | None:
        for fault in self.present.values():
            if not fault.matches(verb, plural, name):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if self._rng.random() >= fault.probability:
                continue
            fault.hits += 1
            if fault.count is not None:
                fault.count -= 1
            return fault
        return None
