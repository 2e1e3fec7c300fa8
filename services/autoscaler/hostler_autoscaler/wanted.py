"""What each consideration wants, by itself: a need in replicas, with a sentence and its figures. `decide` takes the largest."""

from hostler_autoscaler.decision import ProposalKind
from hostler_autoscaler.demand import forecast
from hostler_autoscaler.latency_rule import contradicting_latency, unlearned_latency
from hostler_autoscaler.scene import Scene, Wanted, made
from hostler_domain.scaling import Scaling, ScalingMetric

BACKLOG_SHARE = 1.2
"""So many times the requests at a time that replicas are meant to have are a backlog."""
BACKLOG_SHARE_UNLEARNED = 1.5
DRAIN_SECONDS = 120.0
"""When help has come a backlog is worked off in this time. All that come meanwhile are late, so longer costs more than the replicas that it saves;
in half of it, and they have nothing left to do."""
RESERVE_SHARE = 1.3
"""Times what replicas are counted with: what comes beyond it piles up until help arrives; less, and they are slower for a while."""
GROWTH_MIN = 1.01
"""A forecast closer to the present than this is not worth a sentence."""
KV_FULL = 0.95
"""From here on replicas make requests wait, or take their room away again."""
KV_WANTED = 0.85


def wants(scene: Scene, spec: Scaling) -> list[Wanted]:
    """All of them, in the order in which they are told."""
    steady = [_rate(scene), _latency(scene), _concurrency(scene, spec)]
    found = [*steady, _backlog(scene), _cache(scene), _forecast(scene, steady)]
    unlearned = scene.capacity.learned is None
    found.append(unlearned_latency(scene) if unlearned else contradicting_latency(scene))
    return [each for each in found if each is not None]


def _rate(scene: Scene) -> Wanted | None:
    """By the throughput target. Headroom for noise, busy minutes and surges are a matter of the latency, once that is known."""
    limit, demand = scene.capacity.limit_rps, scene.demand
    if limit is None:
        return None
    rps, told = demand.with_headroom, demand.told
    if scene.capacity.learned is not None:
        chance = demand.sustained_error
        rps = max(demand.sustained_rps - chance, 0.0)
        told = f"{demand.sustained}, less {chance:.2g} that may be chance,"
    return made(
        ProposalKind.RATE,
        rps / limit,
        f"{told} / {limit:.3g} rps per replica",
        rps=rps,
        replica_rps=limit,
    )


def _latency(scene: Scene) -> Wanted | None:
    """What keeps the 95th percentile, by what was learned."""
    learned, demand = scene.capacity.learned, scene.demand
    if learned is None:
        return None
    bound = ", which is content-bound" if learned.content_bound else ""
    return made(
        ProposalKind.LATENCY,
        demand.with_headroom / learned.rps,
        f"{demand.told} / {learned.rps:.3g} rps that a replica carries for a p95 of {learned.p95_ms:.0f} ms{bound}",
        rps=demand.with_headroom,
        replica_rps=learned.rps,
        p95_ms=learned.p95_ms,
        in_time=learned.in_time,
    )


def _concurrency(scene: Scene, spec: Scaling) -> Wanted | None:
    """By the concurrency target; those that wait would be under way if there were room for them."""
    target = spec.target(ScalingMetric.CONCURRENCY)
    if target is None:
        return None
    outstanding = scene.sensed.outstanding
    return made(
        ProposalKind.CONCURRENCY,
        outstanding / target.effective,
        f"{outstanding:.3g} in flight and waiting / {target.effective:g} per replica",
        outstanding=outstanding,
        replica_outstanding=target.effective,
    )


def _backlog(scene: Scene) -> Wanted | None:
    """More than the ready replicas are meant to have: enough for the rate, and for working off the excess in time."""
    capacity, ready, rps = scene.capacity, scene.observation.ready, scene.demand.with_headroom
    outstanding = scene.sensed.outstanding
    replica_rps, x = capacity.rps, capacity.x
    if capacity.learned is not None:
        # Whoever waits is a matter of the latency; the throughput target has its say about the rate.
        replica_rps, x = capacity.learned.rps, capacity.learned.x
    if replica_rps is None:
        return None
    if x is None:
        # Nobody knows how many a replica may have; those that wait are too many in any case.
        meant = outstanding - scene.load.queued
        if scene.load.queued <= 1:
            return None
    else:
        meant = x * ready
        share = BACKLOG_SHARE if capacity.learned is not None else BACKLOG_SHARE_UNLEARNED
        if outstanding <= share * meant + 1:
            return None
    piling = max(rps - RESERVE_SHARE * replica_rps * ready, 0.0) * scene.arriving_seconds
    excess = outstanding - meant + piling
    return made(
        ProposalKind.BACKLOG,
        (rps + excess / DRAIN_SECONDS) / replica_rps,
        f"{outstanding:.0f} requests, {meant:.0f} meant for {ready} ready, to be worked off in {DRAIN_SECONDS:.0f} s at {replica_rps:.3g} rps each",
        lasting=False,
        outstanding=outstanding,
        meant=meant,
        piling=round(piling, 1),
        rps=rps,
    )


def _cache(scene: Scene) -> Wanted | None:
    """Replicas whose caches are full make requests wait, however few there are."""
    used, ready = scene.load.kv_utilisation, scene.observation.ready
    if used is None or used < KV_FULL or scene.load.queued <= 1:
        return None
    return made(
        ProposalKind.BACKLOG,
        ready * used / KV_WANTED,
        f"caches are {100 * used:.0f} % full and {scene.load.queued} requests wait, {100 * KV_WANTED:.0f} % are meant for {ready} ready",
        lasting=False,
        kv_utilisation=used,
        queued=scene.load.queued,
    )


def _forecast(scene: Scene, steady: list[Wanted | None]) -> Wanted | None:
    """What the load of now needs, for the rate that there will be when a replica asked for now serves."""
    present, limit = scene.demand.rps, scene.capacity.limit_rps
    ahead = forecast(scene.state.rates, present, scene.cold_start_seconds)
    if ahead <= present * GROWTH_MIN:
        return None
    need = max((each.need for each in steady if each is not None), default=0.0)
    if limit is not None:
        # What grows is more by now than over some minutes.
        need = max(need, present / limit)
    if need <= 0:
        return None
    return made(
        ProposalKind.FORECAST,
        need * ahead / present,
        f"{ahead:.3g} rps in {scene.cold_start_seconds:.0f} s, a cold start, {ahead / present:.2f} times the present {present:.3g}",
        rps=ahead,
        seconds=scene.cold_start_seconds,
    )
