"""What the storm leaves behind for the checker: four kinds of facts, each a value, and each a line of JSON in a file.

Only people outside of Hostler write them: the users what they were answered, the witness which processes live, the killer whom it killed, and
the reader of the stream what is stored. Times are the machine's monotonic clock, which all processes share.
"""

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar


class Wish(StrEnum):
    """What a request of a user asks for."""

    CREATE = "create"
    UPDATE = "update"
    RESTART = "restart"
    STOP = "stop"
    RESUME = "resume"
    DELETE = "delete"
    CHAT = "chat"


MARK = "storm.mark"
"""Label by which a job's spec names the wish it comes from: the idempotency key of a creation, then that of each update."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a user, and what came of it.

    Attributes:
        user: Who asked.
        wish: What for.
        began: When it was sent.
        ended: When the answer was whole, or the connection was lost.
        mark: Names the wish; every try of one wish has the same. For a creation it is the Idempotency-Key.
        status: Of the answer; None where there was none.
        job_id: Whom it concerned, as far as the user knew or was told.
        revision: The ETag of the answer: the sequence of the event that was acknowledged.
        retry_after: As answered.
        said: What went wrong, for people.
        body: What of the answer must be the same for each try.
    """

    user: str
    wish: Wish
    began: float
    ended: float
    mark: str
    status: int | None
    job_id: str | None = None
    revision: int | None = None
    retry_after: str | None = None
    said: str = ""
    body: str = ""

    @property
    def acknowledged(self) -> bool:
        """Whether Hostler said that it is done, or will be."""
        return self.status in (200, 202)


@dataclass(frozen=True, slots=True)
class Sample:
    """Which replicas' processes lived at one moment: pids by replica id. One is written whenever this changes."""

    at: float
    living: dict[str, tuple[int, ...]] = field(default_factory=dict)
    samples: int = 0
    """How many moments were looked at until this one."""
    gap_seconds: float = 0.0
    """The longest time between two of them until now."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One process that was ended by SIGKILL."""

    at: float
    target: str
    """The name of a supervised process, such as `api-1`, or `replica`."""
    pid: int


@dataclass(frozen=True, slots=True)
class Event:
    """One message of the stream JOBS, as far as the checker needs it."""

    seq: int
    event_id: str
    name: str
    """Such as `job.created`."""
    job_id: str
    replica_id: str | None
    mark: str | None
    """Of the spec, for a creation or an update."""
    replicas: int | None
    """The least number of replicas that the spec of a creation or an update asks for."""
    generation: int | None
    """That an update or a restart raised the job to."""


class Notebook:
    """A file of facts, one a line; each is with the kernel before `add` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def add(self, fact: Request | Sample | Kill) -> None:
        with self._lock:
            self._file.write(json.dumps(asdict(fact)) + "\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()


F = TypeVar("F", Request, Sample, Kill)


def read_facts(path: Path, kind: type[F]) -> list[F]:
    """Every fact of a notebook; a last line that was cut off is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [_fact(kind, json.loads(line)) for line in lines if line.endswith("\n")]


def _fact(kind: type[F], fields: dict[str, object]) -> F:
    if kind is Request:
        fields["wish"] = Wish(str(fields["wish"]))
    if kind is Sample:
        living = fields["living"]
        assert isinstance(living, dict)
        fields["living"] = {replica: tuple(pids) for replica, pids in living.items()}
    return kind(**fields)  # type: ignore[arg-type]  # the fields are those that `add` wrote


def event_of(seq: int, document: bytes) -> Event:
    """The facts of one stored message."""
    told = json.loads(document)
    change = told["data"]["change"]
    spec = change.get("spec") or {}
    name = told["type"].removeprefix("dev.hostler.").rpartition(".v")[0]
    return Event(
        seq=seq,
        event_id=told["id"],
        name=name,
        job_id=told["subject"],
        replica_id=change.get("replica_id"),
        mark=spec.get("labels", {}).get(MARK),
        replicas=spec.get("scaling", {}).get("min_replicas"),
        generation=change.get("generation"),
    )


def acknowledged(requests: Iterable[Request]) -> list[Request]:
    """Those of the control plane that were answered with a promise."""
    return [each for each in requests if each.acknowledged and each.wish is not Wish.CHAT]
