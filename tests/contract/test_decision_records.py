"""Decisions on the wire: the golden file decodes and encodes to the byte, strangers are tolerated, old ones go first.

`HOSTLER_WRITE_GOLDEN=1` writes the golden file where there is none; an existing one is never rewritten, because old messages must stay readable.
"""

import json
import os
from pathlib import Path

import pytest

from hostler_bus.topology import TOPOLOGY
from hostler_contracts import subjects
from hostler_contracts.decisions import (
    AdviceTold,
    DecisionRecord,
    DecisionTold,
    ProposalTold,
    ScalingDecidedV1,
    ShadowTold,
    UndecodableDecision,
    decode_decision,
    encode_decision,
)
from hostler_contracts.schemas import file_name
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from tests.support.builders import JOB_ID, NOW

GOLDEN = Path(__file__).parent / "golden" / "scaling.decided.v1.json"
SCALING = Scaling(min_replicas=1, max_replicas=6, targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 5.0, 80),))
OBSERVATION = {"now": "2026-11-21T12:00:00Z", "desired": 1, "ready": 1, "load": {"rps": 11.5, "in_flight": 7}}
MADE = ScalingDecidedV1(
    id="0193-e",
    source="/hostler/autoscaler/1",
    subject=JOB_ID,
    time=NOW,
    project="default",
    data=DecisionRecord(
        at=NOW,
        previous_replicas=1,
        decision=DecisionTold(
            replicas=3,
            reason="up from 1 to 3: rate",
            proposals=(
                ProposalTold(
                    kind="rate", replicas=3, sentence="11.5 rps / 4 rps = 3 replicas", numbers={"rps": 11.5}
                ),
            ),
            advice=(
                AdviceTold(
                    kind="raise_min_replicas", sentence="raise min_replicas to 2", numbers={"bursts": 4.0}
                ),
            ),
        ),
        kind="up: rate",
        scaling=SCALING,
        bounds=("from 08:00 at least 1",),
        observation=OBSERVATION,
        state='{"v":1}',
        shadow=ShadowTold(
            scaling=SCALING,
            state="{}",
            observation=OBSERVATION,
            decision=DecisionTold(replicas=1, reason="as it is", hold=True),
        ),
    ),
)


def test_the_golden_file_decodes_and_encodes_to_the_same_bytes() -> None:
    if not GOLDEN.exists() and os.environ.get("HOSTLER_WRITE_GOLDEN") == "1":
        GOLDEN.write_bytes(encode_decision(MADE) + b"\n")
    stored = GOLDEN.read_bytes().rstrip()
    assert GOLDEN.name == file_name(ScalingDecidedV1)
    assert decode_decision(stored) == MADE
    assert decode_decision(encode_decision(decode_decision(stored))) == MADE


def test_fields_that_are_not_known_are_ignored() -> None:
    document = json.loads(encode_decision(MADE))
    document["data"]["weather"] = "fine"
    document["data"]["decision"]["proposals"][0]["weather"] = "fine"
    assert decode_decision(json.dumps(document).encode()) == MADE


@pytest.mark.parametrize("poison", [b"", b"{", b"null", b'{"data": {}}', b"\xff"])
def test_what_is_none_is_refused(poison: bytes) -> None:
    with pytest.raises(UndecodableDecision):
        decode_decision(poison)


def test_they_lie_by_job_in_a_stream_that_forgets_the_oldest() -> None:
    stream = TOPOLOGY.stream_of(subjects.decisions("default", JOB_ID))
    assert (stream.name, stream.when_full) == ("DECISIONS", "old")
    assert stream.age_seconds_max is not None
    assert stream.messages_per_subject_max is not None
    assert stream.messages_per_subject_max > stream.age_seconds_max / 60, (
        "a record a minute fits into the time"
    )
