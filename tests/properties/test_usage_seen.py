"""Batches of usage are counted once however often and in whatever order they come, for as long as the reader lives."""

from hypothesis import given
from hypothesis import strategies as st

from hostler_contracts.usage_seen import SeenBatches
from tests.support.usage import event, request

_batches = st.lists(st.tuples(st.sampled_from(["w1", "w2"]), st.integers(1, 12)), max_size=60)


@given(_batches)
def test_a_batch_is_new_once(batches: list[tuple[str, int]]) -> None:
    seen = SeenBatches()
    known: set[tuple[str, int]] = set()
    for place, (writer, number) in enumerate(batches):
        new = seen.is_new(event(request(), event_id=f"e{place}", writer=writer, number=number))
        assert new == ((writer, number) not in known)
        known.add((writer, number))


@given(st.permutations(range(1, 40)))
def test_what_is_remembered_of_a_writer_does_not_grow_with_what_it_wrote(order: list[int]) -> None:
    seen = SeenBatches()
    for number in order:
        seen.is_new(event(event_id="e", writer="w", number=number))
    ranges = seen._writers["w"]
    assert (ranges.starts, ranges.ends) == ([1], [39])


def test_batches_of_before_the_numbers_are_told_by_their_ids() -> None:
    seen = SeenBatches()
    told = [seen.is_new(event(event_id=event_id)) for event_id in ("e1", "e2", "e1")]
    assert told == [True, True, False]
