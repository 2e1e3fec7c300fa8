"""Which broken streams may go on now: few at a time for each replica, the others in the order in which they came."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from hostler_router.resume_turns import AT_ONCE, ResumeTurns


@dataclass(eq=False)
class Stream:
    number: int
    called: list[int] = field(default_factory=list)

    def on_resume_turn(self) -> None:
        self.called.append(self.number)


def test_a_replica_takes_over_so_many_at_a_time_and_then_the_oldest_that_waits() -> None:
    turns, called = ResumeTurns(), list[int]()
    streams = [Stream(number, called) for number in range(AT_ONCE + 3)]
    assert [turns.take(each, 1) for each in streams] == [True] * AT_ONCE + [False] * 3
    turns.leave(streams[5], 1)
    turns.leave(streams[5], 1)
    assert called == [AT_ONCE]
    turns.leave(streams[AT_ONCE + 1], 1)  # its client hung up
    turns.leave(streams[0], 1)
    assert called == [AT_ONCE, AT_ONCE + 2]


def test_who_has_a_turn_keeps_it_and_nobody_overtakes_those_that_wait() -> None:
    turns, called = ResumeTurns(), list[int]()
    streams = [Stream(number, called) for number in range(AT_ONCE + 1)]
    for each in streams:
        turns.take(each, 1)
    assert turns.take(streams[0], 1)
    assert not turns.take(Stream(99, called), 2), "one is before it, though there is room now"
    turns.leave(streams[0], 2)
    assert called == [AT_ONCE, 99]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.integers(0, 3)), max_size=200),
    st.integers(1, 3),
)
def test_never_more_than_its_share_is_held_nobody_is_called_twice_and_nobody_is_forgotten(
    steps: list[tuple[int, bool, int]], last: int
) -> None:
    turns, called = ResumeTurns(), list[int]()
    streams = [Stream(number, called) for number in range(61)]
    for which, takes, replicas in steps:
        held = turns.held
        if takes:
            turns.take(streams[which], replicas)
        else:
            turns.leave(streams[which], replicas)
        assert turns.held <= max(held, AT_ONCE * max(replicas, 1))
    for each in streams:
        turns.leave(each, last)
    assert (turns.held, turns.waiting) == (0, 0)
