"""What each consideration wants, by itself: a need in replicas, with a sentence and its figures. `decide` takes the largest."""

from hostler_autoscaler.decision import ProposalKind
from hostler_autoscaler.demand import forecast, present_rate
from hostler_autoscaler.latency_rule import unlearned_latency
from hostler_autoscaler.scene import Scene, Wanted, made
from hostler_domain.scaling import Scaling, ScalingMetric

NOISE_SHARE = 0.5
"""Of the standard deviation of a minute's rate: the headroom for the noise that was seen."""
BACKLOG_SHARE = 1.2
"""So many times the requests at a time that replicas are meant to have are a backlog."""
BACKLOG_SHARE_UNLEARNED = 1.5
DRAIN_SECONDS_MIN = 120.0
"""A backlog is worked off in this time, or in one cold start, if that is longer: sooner, and the help comes for nothing left."""
PILE_SHARE = 0.5
"""Of what will pile up until help arrives: not all of it, since bursts end."""
KV_FULL = 0.95
KV_WANTED = 0.85


def wants(scene: Scene, spec: Scaling) -> list[Wanted]:
    """All of them, in the order in which they are told."""
    found = [_rate(scene), _latency(scene), _concurrency(scene, spec), _backlog(scene), _forecast(scene)]
    return [each for each in found if each is not None]


def rate_now(scene: Scene) -> float:
    """The present rate with the headroom for its noise."""
    noise = scene.state.rates.noise()
    present = present_rate(scene.sensed.rate, scene.sensed.rate_20, noise)
    return present + NOISE_SHARE * noise


def _rate(scene: Scene) -> Wanted | None:
    limit = scene.capacity.limit_rps
    if limit is None:
        return None
    rate, told = _rate_told(scene)
    return made(
        ProposalKind.RATE, rate / limit, f"{told} / {limit:.3g} rps per replica", rps=rate, replica_rps=limit
    )


def _latency(scene: Scene) -> Wanted | None:
    """What keeps the 95th percentile, by what was learned; until then, what it says by itself."""
    learned = scene.capacity.learned
    if learned is None:
        return unlearned_latency(scene)
    rate, told = _rate_told(scene)
    bound = ", which is content-bound" if learned.content_bound else ""
    return made(
        ProposalKind.LATENCY,
        rate / learned.rps,
        f"{told} / {learned.rps:.3g} rps that a replica carries for a p95 of {learned.p95_ms:.0f} ms{bound}",
        rps=rate,
        replica_rps=learned.rps,
        p95_ms=learned.p95_ms,
        in_time=learned.in_time,
    )


def _rate_told(scene: Scene) -> tuple[float, str]:
    noise = NOISE_SHARE * scene.state.rates.noise()
    present = present_rate(scene.sensed.rate, scene.sensed.rate_20, scene.state.rates.noise())
    seconds = 20 if present > scene.sensed.rate else scene.load.seconds_covered
    spare = f" + {noise:.2g}" if noise > 0.005 * present else ""
    return present + noise, f"{present:.3g}{spare} rps over {seconds:.0f} s"


def _concurrency(scene: Scene, spec: Scaling) -> Wanted | None:
    target = spec.target(ScalingMetric.CONCURRENCY)
    if target is None:
        return None
    waiting = f" and {scene.load.queued} waiting" if scene.load.queued else ""
    return made(
        ProposalKind.CONCURRENCY,
        scene.sensed.outstanding / target.effective,
        f"{scene.load.in_flight} in flight{waiting} / {target.effective:g} per replica",
        outstanding=scene.sensed.outstanding,
        replica_outstanding=target.effective,
    )


def _backlog(scene: Scene) -> Wanted | None:
    """More than the ready replicas are meant to have: enough for the rate, and for working off the excess in time."""
    rps, x = scene.capacity.rps, scene.capacity.x
    if rps is None or x is None:
        return None
    ready, outstanding = scene.observation.ready, scene.sensed.outstanding
    share = BACKLOG_SHARE if scene.capacity.learned is not None else BACKLOG_SHARE_UNLEARNED
    meant = x * ready
    if outstanding <= share * meant + 1:
        return None
    rate = rate_now(scene)
    piling = max(rate - rps * ready, 0.0) * scene.arriving_seconds
    excess = outstanding - meant
    seconds = max(DRAIN_SECONDS_MIN, scene.cold_start_seconds)
    need = rate / rps + (excess + PILE_SHARE * piling) / (rps * seconds)
    return made(
        ProposalKind.BACKLOG,
        need,
        f"{outstanding:.0f} requests, {meant:.0f} meant for {ready} ready, to be worked off in {seconds:.0f} s at {rps:.3g} rps each",
        outstanding=outstanding,
        meant=meant,
        piling=round(piling, 1),
        rps=rate,
    )


def _forecast(scene: Scene) -> Wanted | None:
    rps = scene.capacity.rps
    if rps is None:
        return None
    noise = scene.state.rates.noise()
    present = present_rate(scene.sensed.rate, scene.sensed.rate_20, noise)
    ahead = forecast(scene.state.rates, present, scene.cold_start_seconds)
    if ahead <= present * 1.01:
        return None
    return made(
        ProposalKind.FORECAST,
        (ahead + NOISE_SHARE * noise) / rps,
        f"{ahead:.3g} rps in {scene.cold_start_seconds:.0f} s, a cold start, / {rps:.3g} rps per replica",
        rps=ahead,
        seconds=scene.cold_start_seconds,
    )
