from itertools import islice

from hostler_autoscaler.turns import Turns

JOBS = ["a", "b", "c", "d"]


def test_everybody_has_a_turn_in_every_round() -> None:
    turns = Turns()
    for _ in range(2):
        assert list(turns.round(lambda: JOBS, anew=True)) == JOBS


def test_whoever_had_none_goes_first_the_next_time() -> None:
    turns = Turns()
    assert list(islice(turns.round(lambda: JOBS, anew=True), 3)) == ["a", "b", "c"]
    assert list(turns.round(lambda: JOBS, anew=True)) == ["d"]
    assert list(turns.round(lambda: JOBS, anew=True)) == JOBS


def test_news_go_before_and_nobody_has_two_turns_at_once() -> None:
    turns = Turns()
    turns.hurry("c")
    turns.hurry("c")
    assert list(turns.round(lambda: JOBS, anew=True)) == ["c", "a", "b", "d"]


def test_between_rounds_there_are_only_news() -> None:
    turns = Turns()
    assert list(turns.round(lambda: JOBS, anew=True)) == JOBS
    turns.hurry("b")
    assert list(turns.round(lambda: JOBS, anew=False)) == ["b"]
    assert list(turns.round(lambda: JOBS, anew=False)) == []
