"""Whatever order requests begin and end in, what is counted is what is under way."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hostler_router.outstanding import Hold, Outstanding

WORK = st.one_of(st.just(1.0), st.floats(0, 2**32, allow_nan=False), st.floats(0, 60))
STEPS = st.lists(st.tuples(st.sampled_from("abc"), WORK, st.booleans(), st.integers(0, 30)), max_size=60)


@given(STEPS)
def test_counts_and_work_are_those_of_the_requests_under_way(
    steps: list[tuple[str, float, bool, int]],
) -> None:
    outstanding = Outstanding()
    begun: list[Hold] = []
    live: list[Hold] = []
    for replica_id, work, ends, which in steps:
        if ends and begun:
            hold = begun[which % len(begun)]
            hold.end()
            live = [one for one in live if one is not hold]
        else:
            hold = outstanding.begin(replica_id, work)
            assert abs(hold.work - work) <= 1 / 2048
            begun.append(hold)
            live.append(hold)
        assert outstanding.counts == Counter(hold.replica_id for hold in live)
        sums = {
            name: sum(hold.work for hold in live if hold.replica_id == name) for name in outstanding.counts
        }
        assert outstanding.work == sums
    for hold in live:
        hold.end()
    assert (outstanding.counts, outstanding.work) == ({}, {})
