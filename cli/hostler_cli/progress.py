"""How a wait looks: on a terminal a table that moves, elsewhere a line for each thing that changed."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from hostler_cli import job_text
from hostler_cli.output import say
from hostler_client.models import Job, Replica

if TYPE_CHECKING:
    from rich.console import Group  # for signatures; rich is loaded on a terminal only

_BAR_WIDTH = 24


class Show(Protocol):
    """Takes each state of a job as it comes."""

    def __call__(self, job: Job) -> None:
        """Show it."""


def progress() -> AbstractContextManager[Show]:
    """The display that fits stderr, to be used in `with`."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return _Moving()
    return nullcontext(PlainProgress(say, lambda: datetime.now(UTC)))


class PlainProgress:
    """One line per change."""

    def __init__(self, say_line: Callable[[str], None], now: Callable[[], datetime]) -> None:
        self._say = say_line
        self._now = now
        self._before: Job | None = None

    def __call__(self, job: Job) -> None:
        """Tell what changed since the state before."""
        for line in changed_lines(self._before, job):
            self._say(f"{self._now().astimezone():%H:%M:%S}  {line}")
        self._before = job


def changed_lines(before: Job | None, after: Job) -> tuple[str, ...]:
    """What is new between two states of a job, as sentences."""
    lines = []
    if before is None or _phase_text(before) != _phase_text(after):
        lines.append(f"{after.name} {_phase_text(after)}")
    known = {replica.replica_id: replica for replica in before.status.replicas} if before else {}
    for replica in after.status.replicas:
        earlier = known.get(replica.replica_id)
        if earlier is None and replica.ended:
            continue  # it ended before anybody looked
        if earlier is None or _step(earlier) != _step(replica):
            text = job_text.replica_text(replica)
            lines.append(
                f"  replica {job_text.short(replica.replica_id)} {replica.state}"
                + (f" ({text})" if text else "")
            )
    return tuple(lines)


def _phase_text(job: Job) -> str:
    why = ": ".join(text for text in (job.status.phase_reason, job.status.phase_detail) if text)
    return f"{job.phase} ({why})" if why else job.phase


def _step(replica: Replica) -> tuple[str, str | None, int]:
    """What of a replica is worth a line when it changes: a start's progress in quarters, else logs would fill with it."""
    fraction = replica.progress.fraction if replica.progress else None
    return replica.state, replica.reason, int((fraction or 0.0) * 4)


class _Moving:
    """A live table."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._job: Job | None = None
        self._live = Live(
            console=Console(stderr=True), get_renderable=self._render, refresh_per_second=8, transient=False
        )

    def __enter__(self) -> Show:
        self._live.start()
        return self._take

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _take(self, job: Job) -> None:
        self._job = job
        self._live.refresh()

    def _render(self) -> "Group | str":
        return "" if self._job is None else rendered(self._job, datetime.now(UTC))


def rendered(job: Job, now: datetime) -> "Group":
    """The table of one moment."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    heading = Text.assemble((job.name, "bold"), f"  {_phase_text(job)}  {job_text.age(job.created_at, now)}")
    table = Table.grid(padding=(0, 2))
    for replica in job.living_replicas:
        fraction = replica.progress.fraction if replica.progress and not replica.ready else None
        bar = ProgressBar(
            total=1.0,
            completed=1.0 if replica.ready else fraction or 0.0,
            width=_BAR_WIDTH,
            complete_style="yellow",
            finished_style="green",
        )
        detail = (
            replica.progress.detail
            if replica.progress and not replica.ready
            else job_text.replica_text(replica)
        )
        table.add_row(
            Text(f"  {job_text.short(replica.replica_id)}", "dim"),
            Text(f"{replica.state:<11}", "green" if replica.ready else "yellow"),
            bar,
            Text(f"{job_text.age(replica.since, now):>4}"),
            Text(detail, overflow="ellipsis", no_wrap=True),
        )
    return Group(heading, table)
