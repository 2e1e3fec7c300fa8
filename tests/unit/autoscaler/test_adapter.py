"""A foreign simulator drives the policy through the adapter."""

from types import SimpleNamespace

import pytest

from bench.autoscaler.adapter import make


def shown(**more: object) -> SimpleNamespace:
    seen = {
        "t": 0.0,
        "ready": 2,
        "starting": 0,
        "starting_ages": [],
        "draining": 0,
        "in_flight": 9,
        "queued": 0,
        "queue_age_s": 0.0,
        "kv_util": None,
        "completions": 300,
        "rps": 12.0,
        "rps_over": lambda _: 12.0,
        "concurrency_over": lambda _: 9.0,
        "p95_ms": 900.0,
        "p50_ms": 300.0,
        "token_ms": 20.0,
        "metrics_ok": True,
        "min_replicas": 1,
        "max_replicas": 10,
        "target_rps": 5.0,
        "target_latency_ms": 2000.0,
        "stabilisation_s": 300,
        "cold_start_s": 180.0,
        "interval_s": 15.0,
    }
    return SimpleNamespace(**(seen | more))


@pytest.mark.parametrize(
    "settings", [None, {}, {"mode": "slo"}, {"mode": "other", "unknown": 1}, SimpleNamespace(mode="slo")]
)
def test_it_decides_and_says_why_whatever_the_settings_are(settings):
    policy = make(settings)
    assert policy.decide(shown()) == 3
    assert policy.reason == "up from 2 to 3: rate: 12 rps over 60 s / 5 rps per replica = 2.40: 3 replicas"
    assert policy.interval == 10


def test_the_interval_can_be_set():
    assert make({"interval": 30}).interval == 30


def test_in_an_outage_it_keeps_what_it_wanted():
    policy = make()
    policy.decide(shown())
    gone = dict.fromkeys(("in_flight", "queued", "rps", "p95_ms", "p50_ms", "token_ms", "completions"))
    assert policy.decide(shown(t=10.0, metrics_ok=False, rps_over=lambda _: None, **gone)) == 3
    assert policy.reason.startswith("held at 3")


def test_what_failed_to_boot_is_still_wanted():
    policy = make()
    policy.decide(shown())
    assert policy.decide(shown(t=200.0, ready=2, starting=0)) == 3


def test_what_a_simulator_does_not_show_is_unknown():
    bare = SimpleNamespace(
        t=0, ready=1, in_flight=4, rps=9.0, min_replicas=1, max_replicas=10, target_rps=5, p95_ms=float("nan")
    )
    assert make().decide(bare) == 2


def test_two_policies_do_not_know_of_each_other():
    one, other = make(), make()
    one.decide(shown(rps=40.0, rps_over=lambda _: 40.0))
    assert other.decide(shown()) == 3
