"""The timeline of decisions that `hostler explain --since` prints."""

from datetime import timedelta

from hostler_cli.decision_text import timeline, weighed
from hostler_cli.explain import decision_lines
from hostler_client import ScalingDecision
from tests.support.builders import NOW


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
    assert list(decision_lines([], "1h", full=False)) == [
        "no decision about its number of replicas in the last 1h"
    ]
