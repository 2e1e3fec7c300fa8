"""What `hostler simulate` prints."""

from datetime import timedelta

from hostler_cli.simulate import simulation_lines
from hostler_client import Simulation
from tests.support.builders import NOW


def replay(hours: float, *wanted: int, **more: object) -> dict[str, object]:
    points = [{"at": NOW + timedelta(minutes=number), "wanted": each} for number, each in enumerate(wanted)]
    return {"attainment": 98.25, "p95_ms": 900.0, "replica_hours": hours, "points": points, **more}


def found(**more: object) -> Simulation:
    return Simulation.model_validate(
        {
            "job_id": "j",
            "policy": "hpa",
            "begin": NOW,
            "end": NOW + timedelta(hours=1),
            "requests": 1200,
            "engine": {"unit": "tokens", "alpha_ms": 20.0, "beta_ms": 0.5, "units_per_request": 180.0},
            "cold_start_seconds": 90,
            "traffic": [{"at": NOW, "rps": 1.0}, {"at": NOW, "rps": 3.0}],
            "was": replay(4.0, 1, 2, 4, cost=8.0, flaps=1),
            "would": replay(3.0, 1, 1, 2, cost=6.0, attainment=99.25),
            "price_per_hour": 2.0,
            "notes": ["no start of a replica is known"],
            **more,
        }
    )


def test_both_replays_stand_side_by_side_with_the_change() -> None:
    lines = list(simulation_lines(found()))
    cells = {line.split("  ")[0]: line.split() for line in lines if line}
    assert cells["replica-hours"][1:] == ["4", "3", "-25%"]
    assert cells["attainment %"][2:] == ["98.25", "99.25", "+1"]
    assert cells["cost"][1:] == ["8", "6", "-25%"]
    assert cells["flaps"][1:] == ["1", "0", "-1"]
    assert "note: no start of a replica is known" in lines


def test_the_numbers_over_time_are_drawn_with_their_peaks() -> None:
    lines = list(simulation_lines(found(was=replay(4.0, *[1] * 200, 9, *[1] * 200))))
    (drawn,) = (line for line in lines if line.startswith("replicas as it was"))
    assert drawn.split()[4:6] == ["1", "9"]
    assert "\N{FULL BLOCK}" in drawn


def test_without_a_price_or_a_target_nothing_is_made_up() -> None:
    lines = list(simulation_lines(found(price_per_hour=0.0, was=replay(4.0, 1, attainment=None))))
    assert not any(line.startswith("cost") for line in lines)
    (attained,) = (line for line in lines if line.startswith("attainment"))
    assert attained.split()[2] == "-"


def test_large_figures_are_written_out() -> None:
    lines = list(simulation_lines(found(would=replay(4.0, 1, p95_ms=51_080.4, launches=12_345))))
    cells = {line.split("  ")[0]: line.split() for line in lines if line}
    assert cells["p95 ms"][2:] == ["900", "51080", "+5576%"]
    assert cells["launches"][1:] == ["0", "12345", "+12345"]
