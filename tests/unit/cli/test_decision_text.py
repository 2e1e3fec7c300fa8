"""The timeline of decisions that `hostler explain --since` prints."""

from datetime import timedelta

import pytest

from hostler_cli.decision_text import timeline, weighed
from hostler_cli.decision_words import without_decisions
from hostler_cli.explain import decision_lines
from hostler_client import Job, ScalingDecision
from tests.support.builders import NOW, created
from tests.unit.cli.test_decisions import event_of


def decision(
    seconds: float = 0, *, before: int = 1, replicas: int = 1, kind: str = "stay: rate", **more: object
) -> ScalingDecision:
    return ScalingDecision.model_validate(
        {
            "sequence": 1,
            "at": NOW + timedelta(seconds=seconds),
            "previous_replicas": before,
            "replicas": replicas,
            "kind": kind,
            "reason": f"{kind}, in words",
            "inputs": {"ready": 1, "load": {"rps": 4.25, "in_flight": 6, "queued": 0, "p95_ms": None}},
            **more,
        }
    )


def test_decisions_that_say_the_same_are_one_line() -> None:
    rows = list(
        timeline(
            [
                decision(0),
                decision(60),
                decision(120),
                decision(130, replicas=3, kind="up: backlog"),
                decision(140, before=3, replicas=3),
            ]
        )
    )
    assert [row[1] for row in rows] == ["1", "1 -> 3", "3"]
    assert rows[0][-1] == "stay: rate, in words (3 times)"
    assert "-" in rows[0][0]
    assert rows[1][2:7] == ("1", "4.25", "6", "0", "-")


def test_every_decision_has_a_line_where_all_are_wanted() -> None:
    assert len(list(timeline([decision(0), decision(60)], full=True))) == 2


def test_a_change_is_never_told_together_with_another() -> None:
    ups = [decision(0, replicas=2, kind="up: rate"), decision(9, replicas=2, kind="up: rate")]
    assert len(list(timeline(ups))) == 2


def test_nothing_known_about_the_load_is_a_dash() -> None:
    (row,) = timeline([decision(inputs={"ready": 0, "load": {"reason": "no window"}})])
    assert row[2:7] == ("0", "-", "-", "-", "-")


def test_everything_that_was_weighed_is_told() -> None:
    lines = list(
        weighed(
            decision(
                replicas=3,
                kind="up: rate",
                bounds=["from 08:00 at least 2"],
                proposals=[{"kind": "rate", "replicas": 3, "sentence": "11 rps / 4 rps", "numbers": {}}],
                shadow={"replicas": 2, "reason": "fewer"},
                advice=[{"kind": "x", "sentence": "raise min_replicas to 2"}],
            )
        )
    )
    assert lines[1:] == [
        "  from 08:00 at least 2",
        "  rate: 3 (11 rps / 4 rps)",
        "  the shadow policy: 2 (fewer)",
        "  advice: raise min_replicas to 2",
    ]


def test_without_decisions_it_says_so() -> None:
    assert list(decision_lines([], full=False, none="no decision")) == ["no decision"]


def test_a_timeline_of_several_days_has_the_days() -> None:
    rows = list(timeline([decision(0), decision(60), decision(3 * 86_400, replicas=2, kind="up: rate")]))
    first, last = ((NOW + timedelta(seconds=each)).astimezone() for each in (0, 3 * 86_400))
    assert rows[0][0].startswith(f"{first:%m-%d %H:%M:%S}-")
    assert rows[1][0] == f"{last:%m-%d %H:%M:%S}"
    assert next(iter(timeline([decision(0)])))[0] == f"{first:%H:%M:%S}"


def test_what_narrowed_the_bounds_is_told_with_the_reason() -> None:
    (row,) = timeline([decision(bounds=["held at 1 by its owner"])])
    assert row[-1] == "stay: rate, in words; held at 1 by its owner"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.89362, "0.894"), (4.25, "4.25"), (99.96, "100"), (507.9, "508"), (12345.6, "12346")],
)
def test_figures_have_three_digits_and_all_before_the_point(value: float, text: str) -> None:
    (row,) = timeline([decision(inputs={"ready": 1, "load": {"rps": value}})])
    assert row[3] == text


def test_a_kind_is_not_told_twice() -> None:
    proposal = {"kind": "rate", "replicas": 1, "sentence": "rate: 1 rps / 4 rps", "numbers": {}}
    head, line = weighed(decision(proposals=[proposal]))
    assert line == "  rate: 1 (1 rps / 4 rps)"
    assert ", 1 replica: " in head


def job(**scaling: object) -> Job:
    """A job whose scaling has other values here and there."""
    made = event_of(created()).job.model_dump(mode="json")
    made["spec"]["scaling"].update(scaling)
    return Job.model_validate(made)


@pytest.mark.parametrize(
    ("scaling", "of_shadow", "text"),
    [
        ({}, False, "no decision about its number of replicas in the last 1h; the first comes"),
        ({"max_replicas": 1}, False, "there is none to make, min_replicas is max_replicas (1)"),
        ({"targets": []}, False, "there is none to make, it has no targets"),
        ({}, True, "has no shadow policy, and had none in the last 1h; `hostler shadow set` makes one"),
        ({"shadow": {"targets": []}}, True, "no decision of its shadow policy in the last 1h; the first"),
        (
            {"shadow": {"targets": []}, "max_replicas": 1},
            True,
            "no decision of its shadow policy in the last 1h: there is none to make, min_replicas is max",
        ),
    ],
)
def test_why_there_are_no_decisions_is_told(scaling: dict[str, object], of_shadow: bool, text: str) -> None:
    assert text in without_decisions(job(**scaling), "1h", of_shadow=of_shadow)
