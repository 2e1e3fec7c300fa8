"""Which replica a request goes to: the balancer asked with what is known of the request and of the replicas.

Called by the tries of a request before each of them, and after it with how that went, which later choices take into account.
"""

from collections.abc import Set as AbstractSet
from typing import Final

from hostler_domain.routing import Balancing, Routing
from hostler_router.asked import Asked
from hostler_router.balance import one_of_two, pick
from hostler_router.bodies import prefix_of
from hostler_router.outliers import Failure, Outliers
from hostler_router.parts import RouterParts
from hostler_router.table import Endpoint, Entry
from hostler_router.upload_spool import FormBody
from hostler_router.wire.heads import Head

_LEAST: Final = Balancing.LEAST_OUTSTANDING
_BYTES_PER_AUDIO_SECOND: Final = 32_000
"""Of speech as it is recorded for recognition, 16 kHz with 16 bits; compressed audio is taken for shorter than it is."""


def bound_of(parts: RouterParts, entry: Entry) -> int | None:
    """How many requests one replica of the job is given at once; None for no bound."""
    return entry.routing.concurrency_per_replica or parts.settings.concurrency_per_replica or None


def work_of(asked: Asked) -> float:
    """How much a request is: seconds of audio, as far as its length tells, or simply one."""
    if not isinstance(asked.body, FormBody):
        return 1.0
    return max(asked.body.length_about / _BYTES_PER_AUDIO_SECOND, 1.0)


def choose(
    parts: RouterParts,
    entry: Entry,
    asked: Asked,
    head: Head,
    tried: AbstractSet[str],
    *,
    bounded: bool = True,
) -> Endpoint | None:
    """The replica for a request; None where each has been tried or has as much as it may have.

    Args:
        parts: What requests work with.
        entry: The job as of now.
        asked: What is asked for.
        head: Of the request.
        tried: Replicas that failed at it.
        bounded: Whether the bound on requests per replica holds; a retry goes beyond it, within its budget.
    """
    outliers = parts.outliers.get(entry.job_id) if parts.outliers else None
    if outliers is None:
        return _pick(parts, entry, asked, head, tried, bounded=bounded)
    ejected = outliers.ejected([each.replica_id for each in entry.endpoints], parts.clock.monotonic())
    found = _pick(parts, entry, asked, head, tried | ejected, bounded=bounded)
    if found is None and ejected:
        # Better one that failed of late than none.
        found = _pick(parts, entry, asked, head, tried, bounded=bounded)
    return found


def in_service(parts: RouterParts, entry: Entry) -> int:
    """How many replicas requests are given to at present."""
    replica_ids = [each.replica_id for each in entry.endpoints]
    outliers = parts.outliers.get(entry.job_id)
    ejected = () if outliers is None else outliers.ejected(replica_ids, parts.clock.monotonic())
    return len(replica_ids) - len(ejected)


def blame(parts: RouterParts, job_id: str, replica_id: str, failure: Failure, now: float) -> None:
    """Count a failure against a replica, which may leave it out of the choice for a while."""
    if parts.table.get(job_id) is None:
        return  # nobody is chosen for a job that is gone, and what is kept of it would stay for ever
    outliers = parts.outliers.get(job_id)
    if outliers is None:
        outliers = parts.outliers[job_id] = Outliers()
    if outliers.failed(replica_id, failure, now):
        parts.metrics.ejected(job_id, failure.value)
        parts.logger.warning("replica.ejected", job=job_id, replica=replica_id, reason=failure.value)


def praise(parts: RouterParts, job_id: str, replica_id: str) -> None:
    """A replica has done what it is there for."""
    outliers = parts.outliers.get(job_id)
    if outliers is not None:
        outliers.succeeded(replica_id, parts.clock.monotonic())


def _pick(
    parts: RouterParts, entry: Entry, asked: Asked, head: Head, excluded: AbstractSet[str], *, bounded: bool
) -> Endpoint | None:
    outstanding, peers, routing, endpoints = parts.outstanding, parts.peers, entry.routing, entry.endpoints
    speech = isinstance(asked.body, FormBody)
    least = routing.balancing is _LEAST
    bound = bound_of(parts, entry) if bounded else None
    if least and len(endpoints) == 2 and not (excluded or speech or peers.counts):
        return one_of_two(*endpoints, outstanding.counts, parts.rng, bound)
    # In the order of its arguments: to name nine of them costs a request as much as what they say.
    return pick(
        endpoints,
        outstanding.work if speech else outstanding.counts,
        parts.rng,
        excluded,
        bound,
        outstanding.counts,
        peers.work if speech else peers.counts,
        b"" if least else _affinity(routing, asked, head),
        choices=parts.choices() if len(endpoints) > 2 else 0,
    )


def _affinity(routing: Routing, asked: Asked, head: Head) -> bytes:
    if routing.balancing is Balancing.SESSION:
        return head.headers.get(routing.session_header.encode(), b"")
    return prefix_of(asked, routing.prefix_chars)
