"""The events of dead letters on the wire: as `test_job_events` does it for those of jobs."""

import os
from pathlib import Path

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as SdkEvent

from hostler_contracts.dead_letters import (
    LETTER_MODELS,
    Copied,
    DeadLetterDiscardedV1,
    DeadLetterGivenUpV1,
    DeadLetterReplayedV1,
    LetterFact,
    Replay,
    ReplayRequestedV1,
    UndecodableLetter,
    decode_advisory,
    decode_letter,
    decode_replay,
)
from hostler_contracts.envelope import CloudEvent
from hostler_contracts.schemas import file_name
from hostler_domain.dead_letters import DeadLetter, Notice, Source, discarded, given_up, replayed
from tests.support.builders import NOW, at

GOLDEN = Path(__file__).parent / "golden"
SOURCE = Source("JOBS", "ledger", 42)
SUBJECT = "hostler.jobs.default.j1.replica-ready"
MESSAGE = Copied.model_validate({"headers": {"Nats-Msg-Id": "e1"}, "body": "eyJub3QiOiJqc29u"})


def waiting() -> DeadLetter:
    letter = given_up(None, Notice(7, at(9), 5, "no such price"), SOURCE, SUBJECT, at(1))
    assert letter is not None
    return letter


def example(model: type[CloudEvent]) -> CloudEvent:
    about = {
        "id": "0193-e",
        "source": "/hostler/test/1",
        "subject": SOURCE.letter_id,
        "time": NOW,
        "project": "-",
    }
    if model is ReplayRequestedV1:
        data: object = Replay(source=SOURCE, subject=SUBJECT, stored_at=at(1), message=MESSAGE)
    else:
        letter = {
            DeadLetterGivenUpV1: waiting(),
            DeadLetterReplayedV1: replayed(waiting(), at=at(20), by="key-1"),
            DeadLetterDiscardedV1: discarded(waiting(), at=at(20), by="key-1"),
        }[model]
        data = LetterFact(letter=letter, message=MESSAGE)
    return model.model_validate({**about, "data": data})


@pytest.mark.parametrize("model", LETTER_MODELS, ids=lambda model: model.__name__)
def test_the_golden_file_decodes_and_encodes_to_the_same_bytes(model: type[CloudEvent]) -> None:
    event = example(model)
    path = GOLDEN / file_name(model)
    if not path.exists() and os.environ.get("HOSTLER_WRITE_GOLDEN") == "1":
        path.write_bytes(event.model_dump_json().encode() + b"\n")
    stored = path.read_bytes().rstrip()
    decoded = decode_replay(stored) if model is ReplayRequestedV1 else decode_letter(stored)
    assert decoded == event
    assert decoded.model_dump_json().encode() == stored


@pytest.mark.parametrize("model", LETTER_MODELS, ids=lambda model: model.__name__)
def test_the_cloudevents_sdk_reads_it(model: type[CloudEvent]) -> None:
    event = example(model)
    read = JSONFormat().read(SdkEvent, event.model_dump_json().encode())
    assert (read.get_type(), read.get_subject()) == (event.type, SOURCE.letter_id)


@pytest.mark.parametrize("decode", [decode_advisory, decode_letter, decode_replay])
@pytest.mark.parametrize("poison", [b"", b"{", b"[]", b"null", b'{"type": "x"}', b"\xff\xfe"])
def test_what_says_nothing_about_a_letter_is_refused(decode, poison: bytes) -> None:  # type: ignore[no-untyped-def]  # three functions of one shape
    with pytest.raises(UndecodableLetter):
        decode(poison)
