"""The question why a job's next replica has no place, which the api asks a scheduler."""

from typing import Final

from hostler_contracts.envelope import Contract

NODES_TOLD_MAX: Final = 2000
"""Nodes of which one answer tells; NATS takes messages of one megabyte."""


class PlacementQuestion(Contract):
    """Asked by an api, for one job."""

    job_id: str


class NodeTold(Contract):
    """What one node says to one more replica of the job.

    Attributes:
        node: Its key.
        refusals: The predicate and the reason of each that says no; none where it can take the replica.
    """

    node: str
    refusals: tuple[tuple[str, str], ...] = ()


class ShareTold(Contract):
    """What the job's project holds and may hold, in GPUs.

    Attributes:
        project: Its name.
        held: By all its replicas that have not ended.
        guaranteed: Of these by replicas that nobody may take away.
        quota: Most that those may hold; None for no bound.
        limit: Most that all may hold; None for no bound.
        needed: By one more replica of the job.
        guaranteed_next: Whether that one would count against the quota.
    """

    project: str
    held: int
    guaranteed: int
    quota: int | None
    limit: int | None
    needed: int
    guaranteed_next: bool


class VictimTold(Contract):
    """A replica that gives way to the job.

    Attributes:
        project: Whose it is.
        job_id: Of which job.
        replica_id: Which one.
        priority: Of its job.
        node: Where it is.
        draining: Whether it does so already.
    """

    project: str
    job_id: str
    replica_id: str
    priority: int
    node: str
    draining: bool


class PlacementAnswer(Contract):
    """Answered by a scheduler.

    Attributes:
        found: Whether it knows the job.
        nodes: Every node, by key, up to `NODES_TOLD_MAX`.
        share: Of the job's project; None where the job's hardware profile is not known.
        victims: Whoever gives way to it.
    """

    found: bool
    nodes: tuple[NodeTold, ...] = ()
    share: ShareTold | None = None
    victims: tuple[VictimTold, ...] = ()
