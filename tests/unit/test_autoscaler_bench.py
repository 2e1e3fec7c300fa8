"""The bench of the autoscaler: its scenarios are what they say, its table adds up, and targets are judged as written."""

import gzip
from pathlib import Path

import pytest

from bench.autoscaler import __main__ as bench
from bench.autoscaler import scenarios, synthetic, table, traces
from bench.autoscaler.baseline import Baseline, Figures
from bench.autoscaler.careful import target_of
from bench.autoscaler.suite import Measured
from hostler_autoscaler.simulation.conditions import Conditions

MOST = Figures(99.0, 100.0, 0, 0, 1000.0)
CLAIRVOYANT = Figures(98.0, 40.0, 3, 5, 1000.0)


def figures(attainment: float, hours: float, flaps: int = 0, launches: int = 0) -> Figures:
    return Figures(attainment, hours, flaps, launches, 1000.0)


def measured(name: str, blind: int = 0, **policies: Figures) -> Measured:
    named = {policy.replace("_", "-"): each for policy, each in policies.items()}
    return Measured(name, 10, Baseline(MOST, CLAIRVOYANT), named, dict.fromkeys(named, blind))


def judged(*those: Measured) -> dict[str, str]:
    """By the number of the target, whether it is met."""
    lines = [line.split(maxsplit=2) for line in table.targets(those).splitlines()]
    return {line[0]: line[1] for line in lines if line[1] in ("met", "MISSED")}


def test_loss_is_hours_of_the_clairvoyants_and_a_tenth_per_point() -> None:
    one = measured("step", hpa=figures(96.5, 50.0))
    assert table.loss(one, one.policies["hpa"]) == pytest.approx(50 / 40 + 0.25)
    better = measured("step", hpa=figures(99.5, 50.0))
    assert table.loss(better, better.policies["hpa"]) == pytest.approx(50 / 40)


def test_a_row_has_means_of_the_scenarios_and_sums_of_flaps() -> None:
    made = {
        row.policy: row
        for row in table.rows(
            [
                measured("step", hpa=figures(97.0, 40.0, 2, 10)),
                measured("ramp", hpa=figures(93.0, 60.0, 3, 20)),
                measured("cold-600", hpa=figures(0.0, 1.0, 99, 99)),
            ]
        )
    }
    hpa = made["hpa"]
    assert (hpa.shortfall_mean, hpa.shortfall_worst, hpa.hours) == (4.0, 6.0, 1.25)
    assert (hpa.flaps, hpa.launches, hpa.loss) == (5, 30, pytest.approx(1.25 + 0.4))
    assert made["(clairvoyant)"].loss == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("default", "slo", "expected"),
    [
        (
            figures(97.5, 40.0, 120, 700),
            figures(97.5, 38.0),
            {"1a": "met", "1b": "met", "2": "met", "3": "met"},
        ),
        (
            figures(96.9, 40.0, 121, 0),
            figures(97.5, 43.0),
            {"1a": "MISSED", "1b": "met", "2": "MISSED", "3": "MISSED"},
        ),
        (
            figures(97.0, 43.0, 0, 701),
            figures(97.0, 39.0),
            {"1a": "met", "1b": "MISSED", "2": "met", "3": "MISSED"},
        ),
    ],
)
def test_targets_of_the_table(default, slo, expected) -> None:
    assert judged(measured("step", hostler=default, hostler_slo=slo, hpa=figures(97, 48))) == expected


def test_the_worst_shortfall_counts_as_well() -> None:
    good, bad = figures(99.0, 40.0), figures(92.9, 40.0)
    those = [measured(name, hostler=good) for name in ("step", "ramp", "flat", "noisy")]
    assert judged(*those)["2"] == "met"
    assert judged(*those, measured("small", hostler=bad))["2"] == "MISSED"


@pytest.mark.parametrize(
    ("name", "base", "changed", "expected"),
    [
        ("drift", None, {"hostler": figures(97.31, 40)}, {"4": "met"}),
        ("drift", None, {"hostler": figures(97.2, 40)}, {"4": "MISSED"}),
        ("target-high", None, {"hostler": figures(96, 40), "hpa_p95": figures(95, 40)}, {"5a": "met"}),
        ("target-high", None, {"hostler": figures(96, 41), "hpa_p95": figures(95, 40)}, {"5a": "MISSED"}),
        ("target-low", None, {"hostler_slo": figures(98, 30), "hpa_p95": figures(99, 40)}, {"5b": "met"}),
        (
            "target-low",
            None,
            {"hostler_slo": figures(97.9, 30), "hpa_p95": figures(99, 40)},
            {"5b": "MISSED"},
        ),
        ("gap", "ramp", {"hostler": figures(97.7, 40)}, {"6": "met"}),
        ("gap", "ramp", {"hostler": figures(97.6, 40)}, {"6": "MISSED"}),
        ("boots-fail", "on-off", {"hostler": figures(97.5, 40, 8)}, {"7": "met"}),
        ("boots-fail", "on-off", {"hostler": figures(97.5, 40, 9)}, {"7": "MISSED"}),
        (
            "cold-600",
            "ramp",
            {"hostler": figures(97, 44), "hpa": figures(97, 40), "ray": figures(98.9, 90)},
            {"8": "met"},
        ),
        (
            "cold-600",
            "ramp",
            {"hostler": figures(97, 45), "hpa": figures(97, 40), "ray": figures(98.9, 90)},
            {"8": "MISSED"},
        ),
    ],
)
def test_targets_of_single_scenarios(name, base, changed, expected) -> None:
    those = [measured(name, **changed)]
    if base:
        those.append(measured(base, hostler=figures(98.0, 40, 4)))
    found = judged(*those)
    assert {number: found[number] for number in expected} == expected


def test_a_decrease_without_metrics_misses_the_target() -> None:
    those = [measured("gap", blind=1, hostler=figures(98, 40)), measured("ramp", hostler=figures(98, 40))]
    assert judged(*those)["6"] == "MISSED"


def test_without_our_policy_nothing_is_judged() -> None:
    assert "no target can be judged" in table.targets([measured("step", hpa=figures(98, 40))])


def test_traces_are_read_from_their_differences(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(gzip.compress(b"dt_ms,in_tok,out_tok\n0,5,7\n1500,6,0\n"))
    traffic = traces.read(path)
    assert (traffic.arrivals, traffic.prompts, traffic.answers) == ([0.0, 1.5], [5, 6], [7, 1])
    assert traffic.seconds == 2.5


def test_without_traces_their_scenarios_are_left_out_and_it_says_so(capsys) -> None:
    names = "azure-conv,servegen-day,servegen-morning"
    assert bench.main(["--scenarios", names, "--policies", "hpa", "--processes", "1"]) == 0
    out = capsys.readouterr().out
    assert (
        f"left out, for want of the public traces (--traces, HOSTLER_TRACES): {names.replace(',', ', ')}"
        in out
    )


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SystemExit, match="no such scenario: nowhere"):
        bench.main(["--scenarios", "nowhere"])
    with pytest.raises(SystemExit, match="no such policy: nobody"):
        bench.main(["--scenarios", "step", "--policies", "nobody"])


def test_every_changed_scenario_changes_one_of_the_table() -> None:
    assert set(scenarios.CHANGED.values()) <= set(scenarios.TABLE)
    assert len(scenarios.TABLE) == 12


def test_synthetic_rates_are_met() -> None:
    traffic = synthetic.arrivals(4000, synthetic.step(1.0, 4.0, 1000, 3000), 5.0, 3)
    inside = sum(1000 <= at < 3000 for at in traffic.arrivals)
    assert inside == pytest.approx(8000, rel=0.05)
    assert len(traffic) - inside == pytest.approx(2000, rel=0.1)
    ramp = synthetic.ramp(2, 6, (100, 200), (300, 400))
    assert [ramp(at) for at in (0, 150, 250, 350, 500)] == [2, 4, 6, 4, 2]


def test_the_careful_rate_keeps_p95_well_below_its_target() -> None:
    content = synthetic.arrivals(2000.0, lambda _: 3.0, 3.0, 7)
    rate, concurrency = target_of(content, Conditions(scenarios.MEDIUM, 1.0, 30_000))
    faster, _ = target_of(content, Conditions(scenarios.MEDIUM, 1.0, 60_000))
    assert 1.5 < rate < 2.2
    assert 8 < concurrency < scenarios.MEDIUM.active_max
    assert faster >= rate
