"""Advice becomes a condition when it has stood for a while, goes when it has been gone for longer, and does not come and go."""

from dataclasses import replace

import pytest

from hostler_autoscaler.advice_book import AdviceBook
from hostler_autoscaler.decision import Advice, AdviceKind
from hostler_autoscaler.observation import NoData
from hostler_domain.changes import GivenAdvice, JobAdvised
from hostler_domain.commands import AdviseJob, decide
from hostler_domain.evolve import evolve
from hostler_domain.job import Job
from tests.support.builders import at, running_job
from tests.support.decisions import made

RAISE = Advice(AdviceKind.RAISE_MIN_REPLICAS, "raise min_replicas to 2: 4 bursts", {"bursts": 4.0})
CEILING = Advice(AdviceKind.AT_MAX_REPLICAS, "max_replicas 3 is below the 5 that were needed")


class Life:
    """A job that is advised as its book says, a look each ten seconds."""

    def __init__(self) -> None:
        self.job: Job = running_job()
        self.book = AdviceBook()
        self.seconds = 0.0
        self.events: list[tuple[float, tuple[str, ...]]] = []

    def go(self, seconds: float, *advice: Advice, news: bool = True, replicas: int = 1) -> "Life":
        end = self.seconds + seconds
        while self.seconds < end:
            seen = made(at(self.seconds), replicas=replicas, load=None if news else NoData("none"))
            seen = replace(seen, decision=replace(seen.decision, advice=advice))
            due = self.book.due(self.job, seen)
            if due is not None:
                for change in decide(self.job, AdviseJob(at(self.seconds), due)):
                    self.job = evolve(self.job, change)
                    self.events.append((self.seconds, tuple(each.sentence for each in due)))
                self.book.told(self.job.job_id, due, at(self.seconds))
            self.seconds += 10
        return self

    @property
    def standing(self) -> list[str]:
        return [each.type for each in self.job.status.conditions if each.status]


def test_advice_that_stands_for_two_minutes_is_a_condition_with_its_evidence() -> None:
    life = Life().go(120, RAISE)
    assert life.standing == []
    life.go(10, RAISE)
    (condition,) = life.job.status.conditions
    assert (condition.type, condition.status, condition.reason) == (
        "AdviceRaiseMinReplicas",
        True,
        "ScalingAdvice",
    )
    assert condition.message == "raise min_replicas to 2: 4 bursts"
    assert condition.last_transition_at == at(120)


def test_advice_of_a_moment_is_none() -> None:
    life = Life()
    for _ in range(10):
        life.go(60, RAISE).go(120)
    assert life.events == []


def test_a_short_gap_does_not_begin_it_anew() -> None:
    assert Life().go(100, RAISE).go(20).go(20, RAISE).standing == ["AdviceRaiseMinReplicas"]


def test_it_goes_when_it_has_been_gone_for_a_quarter_of_an_hour() -> None:
    life = Life().go(300, RAISE).go(890)
    assert life.standing == ["AdviceRaiseMinReplicas"]
    life.go(20)
    assert life.standing == []
    (condition,) = life.job.status.conditions
    assert condition.message == "no longer: raise min_replicas to 2: 4 bursts"
    assert [sentences for _, sentences in life.events] == [("raise min_replicas to 2: 4 bursts",), ()]


def test_it_does_not_come_and_go() -> None:
    life = Life()
    for _ in range(20):
        life.go(300, RAISE).go(300)
    assert len(life.events) == 1


@pytest.mark.parametrize("how", [{"news": False}, {"replicas": 0}], ids=["no news", "asleep"])
def test_no_news_and_sleep_take_nothing_back(how: dict[str, bool]) -> None:
    life = Life().go(300, RAISE).go(3600, **how)  # type: ignore[arg-type]  # of the table
    assert life.standing == ["AdviceRaiseMinReplicas"]


def test_its_figures_are_renewed_each_hour_at_most() -> None:
    life = Life().go(200, RAISE)
    for minute in range(120):
        life.go(60, replace(RAISE, sentence=f"raise min_replicas to 2: {minute} bursts"))
    assert len(life.events) == 2 + 1
    assert life.job.status.conditions[0].last_transition_at == at(120)


def test_two_kinds_stand_side_by_side_and_go_one_by_one() -> None:
    life = Life().go(300, RAISE, CEILING)
    assert life.standing == ["AdviceAtMaxReplicas", "AdviceRaiseMinReplicas"]
    assert life.go(1000, CEILING).standing == ["AdviceAtMaxReplicas"]


def test_after_a_restart_what_stands_goes_on_standing() -> None:
    life = Life().go(300, RAISE)
    life.book = AdviceBook()
    assert life.go(60).standing == ["AdviceRaiseMinReplicas"]
    assert life.go(880).standing == []
    assert [sentences for _, sentences in life.events][-1] == ()


def test_advice_that_is_what_stands_leads_to_nothing() -> None:
    given = (GivenAdvice("raise_min_replicas", "raise it"),)
    job = evolve(running_job(), JobAdvised(at(9), given))
    assert decide(job, AdviseJob(at(10), given)) == ()
    assert decide(job, AdviseJob(at(10), ())) == (JobAdvised(at(10), ()),)


def test_a_condition_that_comes_again_has_a_new_beginning() -> None:
    given = (GivenAdvice("raise_min_replicas", "raise it"),)
    job = running_job()
    for seconds, advice in ((1, given), (2, ()), (3, given)):
        job = evolve(job, JobAdvised(at(seconds), advice))
    (condition,) = job.status.conditions
    assert (condition.status, condition.message, condition.last_transition_at) == (True, "raise it", at(3))
