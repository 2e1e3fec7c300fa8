"""What the provisioner's reconciler knows of the place where replicas run: values, and one port.

A backend starts, observes and stops replicas; it decides nothing. Every call may be repeated: what is started or stopped is
named by its replica id, and a backend keeps enough beside its replicas that a provisioner that was killed finds them again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from hostler_domain.errors import TemporaryError


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything needed to start one replica.

    Attributes:
        replica_id: The replica's name everywhere; letters, digits, `-` and `_`.
        job_id: The job it serves.
        project: The job's project.
        model: Hugging Face id of the weights.
        served_name: What callers put in `model`.
        runtime: The kind of inference server.
        args: Serving parameters by name, as the runtime's table knows them.
        env: Extra environment of the runtime.
        cpu_cores: Cores that the placement gives it.
        memory_bytes: Memory that the placement gives it.
        api_key: The replica's own key, which every request to it must carry; empty for a server that asks for none.
        hf_token: For backends that fetch the weights from the hub.
        endpoint_url: Where its server runs already, for the backend that starts none.
        generation: The job's generation that it is made from.
        node: The node that it was placed on.
        gpu_count: GPUs that it gets.
        gpu_model: What they must be; None without any.
        device_name: What claims one of them in a cluster.
        image: What its machine boots; None for the backend's own.
        root_disk_gb: Size of its disk; None for the backend's own.
        initialization_seconds: How long its start may take.
        aliases: What else they may put there, for servers that answer to no name but their own.
        ssh_keys: Public keys of those who may log in, for a machine without a server.
    """

    replica_id: str
    job_id: str
    project: str
    model: str
    served_name: str
    runtime: str
    args: tuple[tuple[str, str], ...]
    env: tuple[tuple[str, str], ...]
    cpu_cores: float
    memory_bytes: int
    api_key: str = field(repr=False)
    hf_token: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None
    generation: int = 1
    node: str = ""
    gpu_count: int = 0
    gpu_model: str | None = None
    device_name: str | None = None
    image: str | None = None
    root_disk_gb: int | None = None
    initialization_seconds: int = 1800
    aliases: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()


class Unreachable(TemporaryError):
    """The place where replicas run has not answered for so long that nothing is known of them; that says nothing of how they are."""


class Step(StrEnum):
    """How far a replica is, as its backend sees it."""

    IMPORTING = "importing"
    """Its disk or folder is being made and its weights are checked."""
    BOOTING = "booting"
    """Its machine or process runs, its server does not answer."""
    LOADING = "loading"
    """Its server answers, the weights are not in."""
    READY = "ready"
    UNHEALTHY = "unhealthy"
    """It was ready, and does not answer any more."""
    GONE = "gone"
    """It ended; what is left is its record, until it is stopped."""


@dataclass(frozen=True, slots=True)
class ObservedReplica:
    """One replica as it is now.

    Attributes:
        replica_id: Its name.
        job_id: The job it serves.
        step: How far it is.
        fraction: Of the step, from 0 to 1, where that is known.
        endpoint_url: Where its server listens, once that is decided.
        detail: A sentence for people; for one that is gone, its last words.
        exit_code: Of one that is gone, when somebody saw it end; negative for a signal.
        since: When it came to this step.
        incomplete: Whether its start was begun and left off, as by a provisioner that was killed; to start it again completes it.
        leaving: Why it must leave its node soon; empty while it need not.
        stuck: Whether its end takes longer than it may.
    """

    replica_id: str
    job_id: str
    step: Step
    fraction: float | None
    endpoint_url: str | None
    detail: str
    exit_code: int | None
    since: datetime
    incomplete: bool = False
    leaving: str = ""
    stuck: bool = False


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a backend has to place replicas on.

    Attributes:
        hostname: The node's name.
        cpu_cores: Cores this process may use.
        memory_bytes: Memory this process may use.
        models_by_runtime: Kinds of inference server it can start, each with the Hugging Face ids that it can serve with it; None
            means any.
        gpus: GPUs that replicas may have.
        gpu_model: What they are; None without any.
        device_name: What the cluster calls them when it hands them out.
    """

    hostname: str
    cpu_cores: float
    memory_bytes: int
    models_by_runtime: Mapping[str, tuple[str, ...] | None]
    gpus: int = 0
    gpu_model: str | None = None
    device_name: str | None = None


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of what a replica wrote.

    Attributes:
        text: Whole lines; a bounded number of bytes.
        next: The place behind them.
        ended: Whether nothing more will be written.
    """

    text: str
    next: int
    ended: bool


class Backend(Protocol):
    """The place where replicas run.

    Attributes:
        cluster: Its name in placements.
        changed: Set whenever a replica came to another step or a good deal further; whoever waits on it clears it.
    """

    cluster: str
    changed: asyncio.Event

    def fence(self, may_act: Callable[[], bool]) -> None:
        """Ask `may_act` before whatever changes the place from now on: another provisioner may have taken over in the middle of a call."""
        ...

    async def nodes(self) -> tuple[NodeFacts, ...]:
        """What there is to place replicas on.

        Raises:
            TemporaryError: Not now.
        """
        ...

    async def start(self, launch: Launch) -> None:
        """Begin to start a replica and return; a second call for the same replica does nothing.

        Raises:
            PermanentError: The launch can never work here; the message names the model, runtime, argument or variable.
            TemporaryError: Not now.
        """
        ...

    async def observe(self) -> tuple[ObservedReplica, ...]:
        """Every replica there is, by id, also those of an earlier provisioner. Cheap: what is known already.

        Raises:
            Unreachable: Nothing is known any more.
            TemporaryError: Nothing is known yet.
        """
        ...

    async def stop(self, replica_id: str, grace_seconds: float) -> None:
        """End a replica, by force when the grace is over, and forget it; return when nothing is left of it."""
        ...

    async def forget(self, job_id: str) -> None:
        """Take away what belongs to a job beside its replicas, of which none is left; return when nothing is left of it."""
        ...

    async def log(self, replica_id: str, *, tail_lines: int, after: int | None) -> LogPart | None:
        """What a replica wrote, also for a while after it was stopped; None when there is nothing of that name.

        Args:
            replica_id: Whose log.
            tail_lines: How many of the last lines, where `after` is not given.
            after: What comes behind this place, which an earlier part named.
        """
        ...

    async def close(self) -> None:
        """Let go of every replica without stopping any."""
        ...
