"""Load windows on the wire: golden files decode and encode to the byte, and those of routers of an earlier version are read.

`HOSTLER_WRITE_GOLDEN=1` writes a golden file where there is none; an existing one is never rewritten, because routers of several versions
report at the same time.
"""

import os
from pathlib import Path

import pytest

from hostler_contracts.load import (
    LoadWindow,
    LoadWindowV1,
    ReplicaLoad,
    RuntimeLoad,
    UndecodableWindow,
    decode_window,
    encode_window,
)
from tests.support.builders import NOW

GOLDEN = Path(__file__).parent / "golden"
COUNTS = LoadWindow(
    router="router-1",
    job_id="job-1",
    started_at=NOW,
    seconds=5.0,
    arrivals=7,
    completed=4,
    failed=1,
    rejected=1,
    in_flight=2,
    latency_ms={20: 3, 24: 1},
    first_token_ms={12: 4},
    prompt_tokens=40,
    completion_tokens=64,
    audio_seconds=9,
    queued=3,
    replicas={
        "r1": ReplicaLoad(completed=4, in_flight=2, latency_ms={20: 3, 24: 1}, completion_tokens=64),
        "r2": ReplicaLoad(failed=1),
    },
)
IN_FULL = COUNTS.model_copy(
    update={
        "latency_total_ms": 1234.5,
        "timed_ms": 1000.25,
        "timed_tokens": 60,
        "queue_age_seconds": 1.5,
        "leaves": True,
        "replicas": {
            "r1": ReplicaLoad(in_flight=2, runtime=RuntimeLoad(running=2, waiting=1, kv_utilisation=0.75)),
            "r2": ReplicaLoad(runtime=RuntimeLoad(running=0)),
        },
    }
)


def event(window: LoadWindow) -> LoadWindowV1:
    return LoadWindowV1(
        id="e1",
        source="/hostler/router/router-1",
        subject="job-1",
        time=NOW,
        project="default",
        data=window,
    )


BOTH = pytest.mark.parametrize(
    ("golden", "made"),
    [
        pytest.param("load.window.v1.json", event(COUNTS), id="counts"),
        pytest.param("load.window.v1.in_full.json", event(IN_FULL), id="in full"),
    ],
)


@BOTH
def test_a_golden_file_decodes_and_encodes_to_the_byte(golden: str, made: LoadWindowV1) -> None:
    path = GOLDEN / golden
    if os.environ.get("HOSTLER_WRITE_GOLDEN") and not path.exists():
        path.write_bytes(encode_window(made))
    kept = path.read_bytes()
    assert decode_window(kept) == made
    assert encode_window(made) == kept


def test_what_an_earlier_router_did_not_say_is_unknown_and_not_zero() -> None:
    window = decode_window((GOLDEN / "load.window.v1.json").read_bytes()).data
    assert (window.latency_total_ms, window.timed_ms, window.timed_tokens) == (None, None, None)
    assert window.queue_age_seconds is None
    assert not window.leaves


def test_what_a_later_router_adds_is_ignored() -> None:
    data = (GOLDEN / "load.window.v1.json").read_bytes().replace(b'"queued":3', b'"queued":3,"new_figure":1')
    assert decode_window(data).data == COUNTS


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"data": {"arrivals": -1}}'])
def test_what_is_no_window_is_refused(data: bytes) -> None:
    with pytest.raises(UndecodableWindow):
        decode_window(data)


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"-1", b"1e300"])
@pytest.mark.parametrize("field", ["seconds", "arrivals", "in_flight"])
def test_a_figure_that_no_router_can_have_counted_is_refused(field: str, value: bytes) -> None:
    data = encode_window(event(COUNTS.model_copy(update={field: 999})))
    with pytest.raises(UndecodableWindow):
        decode_window(data.replace(b":999.0" if field == "seconds" else b":999", b":" + value))


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-1"])
@pytest.mark.parametrize("field", ["latency_total_ms", "timed_ms", "queue_age_seconds"])
def test_so_is_one_of_the_later_fields(field: str, value: bytes) -> None:
    data = encode_window(event(IN_FULL.model_copy(update={field: 999.0})))
    with pytest.raises(UndecodableWindow):
        decode_window(data.replace(b":999.0", b":" + value))
