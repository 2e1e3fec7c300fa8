"""The events of usage and audit on the wire: golden files decode and encode to the byte, strangers are tolerated.

`HOSTLER_WRITE_GOLDEN=1` writes a golden file where there is none; an existing one is never rewritten, because old messages must stay readable.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostler_bus.topology import TOPOLOGY
from hostler_contracts import subjects
from hostler_contracts.audit import (
    NO_PROJECT,
    AuditEntry,
    AuditRecordedV1,
    UndecodableAudit,
    decode_audit,
    encode_audit,
)
from hostler_contracts.schemas import file_name
from hostler_contracts.usage import UndecodableUsage, UsageRecordedV1, decode_usage, encode_usage
from hostler_domain.spec_rules import PROJECT_NAME
from tests.support.builders import NOW
from tests.support.usage import event, request

GOLDEN = Path(__file__).parent / "golden"
USAGE = event(request(), request(usage_id="u2", key_id=None, key_project=None, status=499, aborted=True))
USAGE_IN_FULL = event(
    request(
        cached_tokens=3,
        measured=False,
        resumed=True,
        first_token_seconds=0.25,
        audio_seconds=12.5,
        streamed=True,
        outcome="cut",
        aborted=True,
    ),
    writer="w1",
    number=7,
)
AUDIT = AuditRecordedV1(
    id="e1",
    source="/hostler/api/api-1",
    subject="key-2",
    time=NOW,
    project="default",
    correlationid="req-1",
    data=AuditEntry(
        action="key.created", actor_key_id="key-1", target="key-2", at=NOW, details={"scopes": "jobs:read"}
    ),
)
Decode = Callable[[bytes], UsageRecordedV1 | AuditRecordedV1]
BOTH = pytest.mark.parametrize(
    ("golden", "made", "encoded", "decode"),
    [
        pytest.param("usage.recorded.v1.json", USAGE, encode_usage(USAGE), decode_usage, id="usage"),
        pytest.param(
            "usage.recorded.v1.in_full.json",
            USAGE_IN_FULL,
            encode_usage(USAGE_IN_FULL),
            decode_usage,
            id="usage in full",
        ),
        pytest.param("audit.recorded.v1.json", AUDIT, encode_audit(AUDIT), decode_audit, id="audit"),
    ],
)


@BOTH
def test_the_golden_file_decodes_and_encodes_to_the_same_bytes(
    golden: str, made: UsageRecordedV1 | AuditRecordedV1, encoded: bytes, decode: Decode
) -> None:
    path = GOLDEN / golden
    if not path.exists() and os.environ.get("HOSTLER_WRITE_GOLDEN") == "1":
        path.write_bytes(encoded + b"\n")
    stored = path.read_bytes().rstrip()
    assert decode(stored) == made
    # A file from before a field was added encodes with the field's default; what is not new stays as it was.
    assert encoded == stored or set(_paths(json.loads(stored))) < set(_paths(json.loads(encoded)))


def _paths(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every plain value of a document, with where it is."""
    match value:
        case dict():
            for name, inner in value.items():
                yield from _paths(inner, f"{path}/{name}")
        case list():
            for index, inner in enumerate(value):
                yield from _paths(inner, f"{path}/{index}")
        case _:
            yield path, value


def test_the_names_of_the_golden_files_are_those_of_their_types() -> None:
    assert {file_name(UsageRecordedV1), file_name(AuditRecordedV1)} == {
        "usage.recorded.v1.json",
        "audit.recorded.v1.json",
    }


@BOTH
def test_fields_that_are_not_known_are_ignored(
    golden: str,  # of the table
    made: UsageRecordedV1 | AuditRecordedV1,
    encoded: bytes,
    decode: Decode,
) -> None:
    document = json.loads(encoded)
    document["data"]["weather"] = "fine"
    assert decode(json.dumps(document).encode()) == made


@pytest.mark.parametrize("poison", [b"", b"{", b"null", b'{"data": {}}', b"\xff"])
def test_what_is_none_is_refused(poison: bytes) -> None:
    with pytest.raises(UndecodableUsage):
        decode_usage(poison)
    with pytest.raises(UndecodableAudit):
        decode_audit(poison)


def test_each_has_a_stream_that_refuses_rather_than_forgets() -> None:
    for subject, name in (
        (subjects.usage("default", "job-1"), "USAGE"),
        (subjects.audit("default", "key.created"), "AUDIT"),
        (subjects.audit(NO_PROJECT, "login.refused"), "AUDIT"),
    ):
        stream = TOPOLOGY.stream_of(subject)
        assert (stream.name, stream.when_full) == (name, "new")


def test_what_belongs_to_no_project_collides_with_none() -> None:
    assert PROJECT_NAME.fullmatch(NO_PROJECT) is None
