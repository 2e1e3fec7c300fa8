"""Whatever routers say, in whatever order it comes, however often, and whoever dies: what is added up is what the living said last."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hostler_contracts.router_load import ReplicaWork, RouterLoad, decode_load, encode_load
from hostler_router.peer_loads import KEPT_SECONDS, PeerLoads, averaged

_replicas = st.dictionaries(
    st.sampled_from("abcd"), st.builds(ReplicaWork, st.floats(0.01, 50), st.floats(0, 2**40)), max_size=4
)
_loads = st.builds(
    RouterLoad,
    router=st.sampled_from(["w1", "w2", "w3"]),
    life=st.sampled_from(["life-1", "life-2"]),
    number=st.integers(1, 9),
    replicas=_replicas,
)
_steps = st.lists(st.tuples(st.floats(0, KEPT_SECONDS), _loads, st.booleans()), max_size=40)


@given(_steps)
def test_the_sums_are_those_of_what_each_living_router_said_last(
    steps: list[tuple[float, RouterLoad, bool]],
) -> None:
    peers, now = PeerLoads(), 0.0
    latest: dict[str, tuple[float, RouterLoad]] = {}
    for passed, load, expires in steps:
        now += passed
        if expires:
            peers.expire(now)
            latest = {name: said for name, said in latest.items() if now - said[0] <= KEPT_SECONDS}
        known = latest.get(load.router)
        newer = known is None or (load.life, load.number) > (known[1].life, known[1].number)
        assert peers.hear(load, now) is newer
        if newer:
            latest[load.router] = (now, load)
        counts: Counter[str] = Counter()
        work: Counter[str] = Counter()
        for _, said in latest.values():
            for replica_id, each in said.replicas.items():
                counts[replica_id] += max(round(each.requests * 1024), 1)
                work[replica_id] += round(each.work * 1024)
        assert peers.counts == {replica_id: count / 1024 for replica_id, count in counts.items()}
        assert peers.work == {replica_id: work[replica_id] / 1024 for replica_id in counts}
    peers.expire(now + 2 * KEPT_SECONDS)
    assert (peers.counts, peers.work) == ({}, {})


@given(st.lists(_loads, max_size=12), st.integers(0, 99))
def test_the_order_in_which_it_comes_makes_no_difference(said: list[RouterLoad], seed: int) -> None:
    unique = list({(each.router, each.life, each.number): each for each in said}.values())
    shuffled = Random(seed).sample(unique, len(unique))
    sums = []
    for order in (unique, shuffled, [*shuffled, *unique]):
        peers = PeerLoads()
        for load in order:
            peers.hear(load, 0.0)
        sums.append((dict(peers.counts), dict(peers.work)))
    assert sums[0] == sums[1] == sums[2]


@given(_loads)
def test_what_is_sent_is_what_is_heard(load: RouterLoad) -> None:
    assert decode_load(encode_load(load)) == load


_counts = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 500), max_size=4)


@given(st.lists(st.tuples(_counts, st.floats(0.01, 1.0)), max_size=12), _counts)
def test_an_average_lies_between_what_was_and_is_and_comes_to_what_stays(
    course: list[tuple[dict[str, int], float]], stays: dict[str, int]
) -> None:
    told: dict[str, ReplicaWork] = {}
    for counts, seconds in course:
        before, told = (
            told,
            averaged(told, counts, {name: 2.0 * count for name, count in counts.items()}, seconds),
        )
        for name in before.keys() | counts.keys():
            was = before[name].requests if name in before else 0.0
            now = told[name].requests if name in told else 0.0
            assert min(was, counts.get(name, 0)) - 0.01 <= now <= max(was, counts.get(name, 0)) + 0.01
    for _ in range(100):
        told = averaged(told, stays, dict.fromkeys(stays, 1.5), 0.15)
    assert told == {name: ReplicaWork(count, 1.5) for name, count in stays.items()}
