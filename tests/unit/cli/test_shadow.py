"""What `hostler shadow show` prints."""

from datetime import timedelta

from hostler_cli.shadow import shadow_lines
from hostler_client import ScalingDecision
from tests.support.builders import NOW


def decision(minute: int, own: int, shadow: int) -> ScalingDecision:
    return ScalingDecision.model_validate(
        {
            "sequence": minute + 1,
            "at": NOW + timedelta(minutes=minute),
            "previous_replicas": own,
            "replicas": own,
            "shadow": {"replicas": shadow, "reason": "a reason"},
        }
    )


def test_both_are_compared_over_time() -> None:
    numbers = [(2, 2), (2, 4), (2, 4), (3, 1)]
    lines = list(shadow_lines([decision(30 * i, own, sh) for i, (own, sh) in enumerate(numbers)], "2h"))
    own, shadow = (line.split() for line in lines[1:3])
    assert own[3:7] == ["3.00", "1", "2", "3"]
    assert shadow[1:5] == ["5.00", "2", "1", "4"]
    assert lines[4] == "the shadow wanted more in 50% and fewer in 25% of 4 decisions"
    assert lines[5] == "its latest: 1 replica, a reason"


def test_without_any_it_says_so() -> None:
    assert list(shadow_lines([], "2h", none="none")) == ["none"]


def test_minutes_are_hours_of_which_something_is_left() -> None:
    lines = list(shadow_lines([decision(minute, 1, 2) for minute in range(2)], "5m"))
    assert [line.split()[place] for line, place in zip(lines[1:3], (3, 1), strict=True)] == ["0.017", "0.033"]
