"""Whatever the order in which load windows come, and however often each: the same windows say the same."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hostler_autoscaler.observation import LoadSignals, NoData
from hostler_contracts.load import LoadWindow
from tests.unit.autoscaler.reports import every, told, window

ROUTERS = ("router-1", "router-2", "router-3")
windows = st.builds(
    window,
    st.integers(-60, 118),
    arrivals=st.integers(0, 50),
    seconds=st.sampled_from((0.25, 2.0, 5.0, 15.0)),
    router=st.sampled_from(ROUTERS),
    in_flight=st.integers(0, 9),
    queued=st.none() | st.integers(0, 9),
    queue_age=st.none() | st.floats(0, 9),
    latencies_ms=st.lists(st.floats(1, 9999), max_size=3).map(tuple),
    kv=st.dictionaries(st.sampled_from(("r1", "r2")), st.floats(0, 1), max_size=2),
    leaves=st.booleans(),
)


def once(each: list[LoadWindow]) -> list[LoadWindow]:
    """A router says one thing about one period."""
    return list({(one.router, one.started_at): one for one in each}.values())


@given(st.data(), st.lists(windows, max_size=30).map(once))
def test_order_and_repetition_change_nothing(data: st.DataObject, given_windows: list[LoadWindow]) -> None:
    repeated = (
        given_windows + data.draw(st.lists(st.sampled_from(given_windows), max_size=10))
        if given_windows
        else []
    )
    shuffled = data.draw(st.permutations(repeated))
    one, other = (told(each, now=120, quickly=True) for each in (given_windows, shuffled))
    assert _rounded(one) == _rounded(other)


@given(
    st.integers(1, 40),
    st.sets(st.integers(0, 11), max_size=8),
    st.integers(0, 4),
)
def test_lost_windows_of_a_steady_router_do_not_change_the_rate(
    arrivals: int, lost: set[int], shift: int
) -> None:
    steady = every(0 - shift, 60 - shift, arrivals=arrivals)
    kept = [each for number, each in enumerate(steady) if number not in lost or number in (0, 11)]
    load = told(kept)
    assert isinstance(load, LoadSignals)
    assert abs(load.rps - arrivals / 5) < 1e-6


@given(st.lists(windows, max_size=20).map(once), st.integers(0, 400))
def test_a_router_that_falls_silent_never_lowers_the_load(others: list[LoadWindow], after: int) -> None:
    quiet = [each for each in others if each.router == "router-2"]
    steady = every(0, 120, arrivals=20, in_flight=5, router="router-3")
    reporting = every(0, 120 + after, arrivals=1)
    then = told([*steady, *every(0, 120, arrivals=1)], now=120)
    now = told([*quiet, *steady, *reporting], now=120 + min(after, 290))
    assert isinstance(then, LoadSignals)
    assert isinstance(now, LoadSignals)
    assert now.rps >= then.rps - 1e-6


def _rounded(load: LoadSignals | NoData) -> LoadSignals | NoData:
    """Sums of the same numbers in another order differ in their last digits."""
    if isinstance(load, NoData):
        return load
    return replace(
        load,
        rps=round(load.rps, 6),
        rps_20=None if load.rps_20 is None else round(load.rps_20, 6),
        concurrency=None if load.concurrency is None else round(load.concurrency, 6),
        concurrency_20=None if load.concurrency_20 is None else round(load.concurrency_20, 6),
        kv_utilisation=None if load.kv_utilisation is None else round(load.kv_utilisation, 6),
        seconds_covered=round(load.seconds_covered, 6),
        rps_high=None if load.rps_high is None else round(load.rps_high, 6),
        concurrency_high=None if load.concurrency_high is None else round(load.concurrency_high, 6),
    )
