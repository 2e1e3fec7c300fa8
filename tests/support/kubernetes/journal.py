"""The fake cluster's own log: what was asked of it, and what came to be, in the order in which it happened.

Judges read this and nothing else. Each line carries the revision that held when it was written, so lines can be set in order against
each other and against what a client saw.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Written:
    """An object was created, changed, or is gone."""

    revision: int
    at: float
    what: str
    """`created`, `updated` or `deleted`; a deletion that waits for a finalizer is an update with `deleting`."""
    resource: str
    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[str, ...] = ()
    deleting: bool = False
    phase: str | None = None
    node: str | None = None
    unschedulable: bool = False
    """Of a VMI: whether no node has room for it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and its answer; of a watch, its end."""

    revision: int
    at: float
    """When the answer was made."""
    verb: str
    resource: str
    namespace: str
    name: str
    status: int
    """0 where no answer was sent: the connection was reset, or the caller gave up."""
    ms: float
    user: str
    fault: str | None = None


Entry = Written | Asked


class Journal:
    """Kept in memory, and in a file where one is named: one JSON object a line."""

    def __init__(self, path: Path | None = None) -> None:
        self.entries: list[Entry] = []
        self._file = path.open("a", encoding="utf-8", buffering=1) if path else None

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        if self._file is not None:
            self._file.write(json.dumps({"entry": type(entry).__name__, **asdict(entry)}) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def written(self) -> list[Written]:
        return [each for each in self.entries if isinstance(each, Written)]

    @property
    def asked(self) -> list[Asked]:
        return [each for each in self.entries if isinstance(each, Asked)]


def written_of(
    revision: int, what: str, resource: str, body: Mapping[str, Any], at: float | None = None
) -> Written:
    """The line for one object as it is now."""
    metadata, status = body["metadata"], body.get("status")
    status = status if isinstance(status, Mapping) else {}
    return Written(
        revision=revision,
        at=time.monotonic() if at is None else at,
        what=what,
        resource=resource,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        labels=dict(metadata.get("labels") or {}),
        owners=tuple(each["uid"] for each in metadata.get("ownerReferences") or ()),
        deleting="deletionTimestamp" in metadata,
        phase=status.get("phase"),
        node=status.get("nodeName"),
        unschedulable=any(each.get("reason") == "Unschedulable" for each in status.get("conditions") or ()),
    )


def parsed(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of a log file; a last line that was torn when the server was killed is left out."""
    for line in lines:
        if not line.endswith("\n"):
            return
        fields = json.loads(line)
        kind = fields.pop("entry")
        if kind == "Written":
            yield Written(**{**fields, "owners": tuple(fields["owners"])})
        else:
            yield Asked(**fields)


def read_journal(path: Path) -> list[Entry]:
    with path.open(encoding="utf-8") as file:
        return list(parsed(file))
