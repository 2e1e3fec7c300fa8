"""Which replica takes a request.

Pure; called for every attempt. The rule is the least work outstanding. A request with an affinity, the prefix of its prompt or
the name of a session, goes to the replica that others of the kind went to, unless that one is much busier than the rest:
`rings` tells which one that is.

`outstanding` counts this router's own requests, and `elsewhere` what the others said of theirs a moment ago. All of them would send
to the same idle replica at once; two random choices keep them apart.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import ceil
from typing import Protocol

from hostler_router.rings import ring_of
from hostler_router.table import Endpoint

_Of = Callable[[str, int], int | float]
"""What a replica has, by its id; the number is given where there is nothing."""


class Rng(Protocol):
    """Where a tie is decided; `random.Random` is one."""

    def randrange(self, stop: int, /) -> int:
        """A number from 0 to below `stop`."""
        ...

    def random(self) -> float:
        """A number from 0 to below 1."""
        ...


def pick(
    candidates: Sequence[Endpoint],
    outstanding: Mapping[str, int | float],
    rng: Rng,
    exclude: Collection[str] = (),
    bound: int | None = None,
    counts: Mapping[str, int] | None = None,
    elsewhere: Mapping[str, int | float] | None = None,
    affinity: bytes = b"",
    *,
    choices: int = 0,
    load_bound: float = 1.25,
) -> Endpoint | None:
    """The candidate that is to take the request; None when nobody may.

    Args:
        candidates: Replicas that serve, each once.
        outstanding: What each has to do by replica id: requests, or work in any unit; absent means nothing.
        rng: Decides between equals, so that idle replicas take turns.
        exclude: Ids of replicas that are not to be picked, because they were tried or are ejected.
        bound: A replica with so many requests gets no more; None for no bound.
        counts: Requests under way by replica id, for `bound`; left out where `outstanding` is that already.
        elsewhere: What each has to do for other routers, in the unit of `outstanding`; it counts towards the load, not towards `bound`.
        affinity: What requests that should meet on one replica have in common; empty for none. Goes before `choices`.
        choices: Of so many random candidates the least busy one is taken; of all where it is 0.
        load_bound: How many times the mean load a replica may have before it passes its own requests on; no less than 1.
    """
    load_of: _Of = _sums(outstanding, elsewhere) if elsewhere else outstanding.get
    requests_of: _Of = (outstanding if counts is None else counts).get
    if affinity:
        return _preferred(candidates, load_of, exclude, bound, requests_of, affinity, load_bound)
    if len(candidates) == 2 and not exclude:
        one, other = candidates
        if bound is None or (
            requests_of(one.replica_id, 0) < bound and requests_of(other.replica_id, 0) < bound
        ):
            return _less_busy(one, other, load_of, rng)
    if 0 < choices < len(candidates):
        # Mostly all may take it, so it pays to look at the chosen ones alone first.
        chosen = _sample(candidates, choices, rng)
        if len(eligible := _eligible(chosen, exclude, bound, requests_of)) == choices:
            return _least(eligible, load_of, rng)
    eligible = _eligible(candidates, exclude, bound, requests_of)
    if 0 < choices < len(eligible):
        eligible = _sample(eligible, choices, rng)
    return _least(eligible, load_of, rng)


def one_of_two(
    one: Endpoint, other: Endpoint, outstanding: Mapping[str, int], rng: Rng, bound: int | None = None
) -> Endpoint | None:
    """`pick` of two by what this router has on them alone: what there is to choose from nearly always, in half of the steps."""
    load, load_of_other = outstanding.get(one.replica_id, 0), outstanding.get(other.replica_id, 0)
    if load == load_of_other:
        chosen, least = (one if rng.random() < 0.5 else other), load
    elif load < load_of_other:
        chosen, least = one, load
    else:
        chosen, least = other, load_of_other
    return chosen if bound is None or least < bound else None


def _sums(own: Mapping[str, int | float], elsewhere: Mapping[str, int | float]) -> _Of:
    def load_of(replica_id: str, nothing: int) -> float:
        return own.get(replica_id, nothing) + elsewhere.get(replica_id, nothing)

    return load_of


def _eligible(
    candidates: Sequence[Endpoint], exclude: Collection[str], bound: int | None, requests_of: _Of
) -> Sequence[Endpoint]:
    """Those that are neither excluded nor have their number of requests."""
    if bound is None:
        if not exclude:
            return candidates
        return [endpoint for endpoint in candidates if endpoint.replica_id not in exclude]
    if not exclude:
        return [endpoint for endpoint in candidates if requests_of(endpoint.replica_id, 0) < bound]
    return [
        endpoint
        for endpoint in candidates
        if endpoint.replica_id not in exclude and requests_of(endpoint.replica_id, 0) < bound
    ]


def _least(eligible: Sequence[Endpoint], load_of: _Of, rng: Rng) -> Endpoint | None:
    """The least busy one, one of them at random where there are several."""
    if len(eligible) < 2:
        return eligible[0] if eligible else None
    if len(eligible) == 2:
        return _less_busy(eligible[0], eligible[1], load_of, rng)
    loads = [load_of(endpoint.replica_id, 0) for endpoint in eligible]
    least = min(loads)
    if loads.count(least) == 1:
        return eligible[loads.index(least)]
    equals = [endpoint for endpoint, load in zip(eligible, loads, strict=True) if load == least]
    return equals[rng.randrange(len(equals))]


def _less_busy(one: Endpoint, other: Endpoint, load_of: _Of, rng: Rng) -> Endpoint:
    """One of two, which is what there is to choose from nearly always: there are no more, or two were drawn."""
    load, load_of_other = load_of(one.replica_id, 0), load_of(other.replica_id, 0)
    if load == load_of_other:
        return one if rng.random() < 0.5 else other
    return one if load < load_of_other else other


def _preferred(
    candidates: Sequence[Endpoint],
    load_of: _Of,
    exclude: Collection[str],
    bound: int | None,
    requests_of: _Of,
    affinity: bytes,
    load_bound: float,
) -> Endpoint | None:
    """Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam: arXiv 1608.01350).

    The ring is that of all candidates, so that one that is left out for a moment moves nobody else's requests. A replica's load
    is bounded by the mean with the new request over those that aren't excluded: one of them is always below that.
    """
    ids = tuple([endpoint.replica_id for endpoint in candidates])
    in_service = ids if not exclude else [replica_id for replica_id in ids if replica_id not in exclude]
    if not in_service:
        return None
    total = sum([load_of(replica_id, 0) for replica_id in in_service], 1.0)
    capacity = ceil(load_bound * total / len(in_service))
    for owner in ring_of(ids).owners(affinity):
        replica_id = ids[owner]
        if (
            load_of(replica_id, 0) < capacity
            and replica_id not in exclude
            and (bound is None or requests_of(replica_id, 0) < bound)
        ):
            return candidates[owner]
    # All below the bound of load have their number of requests already: several of little work each.
    eligible = _eligible(candidates, exclude, bound, requests_of)
    return min(
        eligible, key=lambda endpoint: (load_of(endpoint.replica_id, 0), endpoint.replica_id), default=None
    )


def _sample(eligible: Sequence[Endpoint], choices: int, rng: Rng) -> list[Endpoint]:
    """So many different ones at random (Floyd's way: one number each)."""
    chosen: list[int] = []
    for last in range(len(eligible) - choices, len(eligible)):
        index = rng.randrange(last + 1)
        chosen.append(last if index in chosen else index)
    return [eligible[index] for index in chosen]
