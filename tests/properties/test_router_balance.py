"""What holds of every choice of a replica; the rings are the same for everybody."""

from collections import Counter
from math import ceil
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler_router.balance import one_of_two, pick
from hostler_router.rings import Ring
from hostler_router.table import Endpoint

NAMES = "abcdefgh"
SUBSETS = st.sets(st.sampled_from(NAMES))
LOADS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 9))
KEYS = [b"session-%d" % number for number in range(2000)]


def endpoints(names: object) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(str(name), f"http://{name}") for name in names)  # type: ignore[attr-defined]  # any names


@given(
    names=st.lists(st.sampled_from(NAMES), unique=True),
    outstanding=LOADS,
    exclude=SUBSETS,
    bound=st.one_of(st.none(), st.integers(0, 9)),
    choices=st.integers(0, 4),
    affinity=st.sampled_from([b"", b"x", b"y"]),
    load_bound=st.sampled_from([1.0, 1.25, 4.0]),
    seed=st.integers(0, 99),
)
def test_a_choice_is_an_eligible_member_and_there_is_one_whenever_one_is_eligible(
    names: list[str],
    outstanding: dict[str, int],
    exclude: set[str],
    bound: int | None,
    choices: int,
    affinity: bytes,
    load_bound: float,
    seed: int,
) -> None:
    candidates = endpoints(names)
    eligible = [
        endpoint
        for endpoint in candidates
        if endpoint.replica_id not in exclude
        and (bound is None or outstanding.get(endpoint.replica_id, 0) < bound)
    ]
    picked = [
        pick(
            candidates,
            outstanding=outstanding,
            rng=Random(seed),
            exclude=exclude,
            bound=bound,
            choices=choices,
            affinity=affinity,
            load_bound=load_bound,
        )
        for _ in range(2)
    ]
    assert picked[0] == picked[1]
    assert picked[0] in eligible if eligible else picked[0] is None


@given(outstanding=LOADS, bound=st.one_of(st.none(), st.integers(0, 9)), seed=st.integers(0, 9))
def test_the_short_way_between_two_takes_the_same_as_the_long_one(
    outstanding: dict[str, int], bound: int | None, seed: int
) -> None:
    one, other = endpoints("ab")
    assert one_of_two(one, other, outstanding, Random(seed), bound) == pick(
        (one, other), outstanding=outstanding, rng=Random(seed), bound=bound
    )


@given(work=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e6)), counts=LOADS, bound=st.integers(1, 9))
@pytest.mark.parametrize("affinity", [b"", b"x"])
def test_the_bound_is_one_of_requests_whatever_their_work(
    affinity: bytes, work: dict[str, float], counts: dict[str, int], bound: int
) -> None:
    candidates = endpoints(NAMES)
    eligible = {name for name in NAMES if counts.get(name, 0) < bound}
    picked = pick(candidates, outstanding=work, counts=counts, bound=bound, rng=Random(1), affinity=affinity)
    assert picked is None if not eligible else picked is not None and picked.replica_id in eligible


@given(
    loads=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 50)),
    key=st.binary(min_size=1, max_size=8),
    load_bound=st.sampled_from([1.0, 1.25, 2.0]),
)
def test_affinity_never_takes_a_replica_over_the_bound_of_the_mean(
    loads: dict[str, int], key: bytes, load_bound: float
) -> None:
    picked = pick(endpoints(NAMES), outstanding=loads, rng=Random(1), affinity=key, load_bound=load_bound)
    assert picked is not None
    mean = (sum(loads.values()) + 1) / len(NAMES)
    assert loads.get(picked.replica_id, 0) + 1 <= ceil(load_bound * mean)


def test_one_hot_key_spreads_no_further_than_the_bound_asks() -> None:
    candidates, loads = endpoints(NAMES), Counter[str]()
    for number in range(1, 401):
        picked = pick(candidates, outstanding=loads, rng=Random(1), affinity=b"hot", load_bound=1.25)
        assert picked is not None
        loads[picked.replica_id] += 1
        assert max(loads.values()) <= ceil(1.25 * number / len(NAMES))


@given(count=st.integers(2, 20), gone=st.integers(0, 19))
def test_a_replica_that_goes_moves_only_its_own_keys(count: int, gone: int) -> None:
    ids = [f"replica-{number}" for number in range(count)]
    left = [name for name in ids if name != f"replica-{gone % count}"]
    before, after = Ring(ids), Ring(left)
    moved = 0
    for key in KEYS[:200]:
        owner, heir = ids[next(before.owners(key))], left[next(after.owners(key))]
        if owner in left:
            assert heir == owner
        else:
            moved += 1
            # It goes where it would have gone while the replica was merely left out.
            assert heir == next(ids[index] for index in before.owners(key) if ids[index] in left)


@given(key=st.binary(min_size=1), exclude=SUBSETS)
def test_who_is_left_out_for_a_moment_moves_nobody_elses_requests(key: bytes, exclude: set[str]) -> None:
    candidates = endpoints(NAMES)
    before = pick(candidates, outstanding={}, rng=Random(1), affinity=key)
    during = pick(candidates, outstanding={}, rng=Random(1), affinity=key, exclude=exclude)
    gone = pick(endpoints(sorted(set(NAMES) - exclude)), outstanding={}, rng=Random(1), affinity=key)
    assert during == gone
    assert before is not None
    if before.replica_id not in exclude:
        assert during == before


@given(count=st.integers(1, 20), key=st.binary(min_size=1))
def test_the_order_names_each_replica_once_whatever_order_they_come_in(count: int, key: bytes) -> None:
    ids = [f"replica-{number}" for number in range(count)]
    order = [ids[index] for index in Ring(ids).owners(key)]
    assert sorted(order) == sorted(ids)
    turned = ids[::-1]
    assert [turned[index] for index in Ring(turned).owners(key)] == order


@pytest.mark.parametrize("count", [2, 8, 64])
def test_keys_are_shared_out_about_evenly(count: int) -> None:
    ring = Ring([f"replica-{number}" for number in range(count)])
    keys = [b"%d" % number for number in range(500 * count)]
    shares = Counter(next(ring.owners(key)) for key in keys)
    assert len(shares) == count
    assert min(shares.values()) / 500 > 0.65
    assert max(shares.values()) / 500 < 1.4


def test_a_replica_that_goes_moves_about_one_share() -> None:
    ids = [f"replica-{number}" for number in range(8)]
    before, after = Ring(ids), Ring(ids[:-1])
    moved = sum(next(before.owners(key)) != next(after.owners(key)) for key in KEYS)
    assert 0.65 < moved / len(KEYS) * 8 < 1.4


@given(LOADS, SUBSETS, st.integers(0, 99))
def test_of_two_choices_the_less_busy_one_is_taken(
    loads: dict[str, int], exclude: set[str], seed: int
) -> None:
    eligible = [name for name in NAMES if name not in exclude]
    picked = pick(endpoints(NAMES), outstanding=loads, rng=Random(seed), exclude=exclude, choices=2)
    if len(eligible) < 2:
        assert (picked.replica_id if picked else None) == (eligible[0] if eligible else None)
        return
    assert picked is not None
    busiest = max(loads.get(name, 0) for name in eligible)
    if sum(loads.get(name, 0) == busiest for name in eligible) == 1:
        assert loads.get(picked.replica_id, 0) < busiest
