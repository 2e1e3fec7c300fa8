from datetime import timedelta

import pytest

from hostler_contracts.catalogue import ApiKey
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_router.auth import Caller, Viewer, authenticate
from hostler_router.openai_errors import ErrorReply
from tests.support.builders import NOW

KEY = make_key(bytes(range(20)))
OTHER_KEY = make_key(bytes(range(1, 21)))


def record(**fields: object) -> ApiKey:
    values: dict[str, object] = {
        "key_id": "key-1",
        "name": "laptop",
        "project": "alice",
        "key_hash": hash_key(KEY),
        "prefix": display_prefix(KEY),
        "scopes": ("inference",),
        "created_at": NOW,
        **fields,
    }
    return ApiKey.model_validate(values)


def ask(headers: dict[bytes, bytes], stored: ApiKey | None = None) -> Caller | ErrorReply:
    records = {hash_key(KEY): stored or record()}
    return authenticate(headers, records.get, now=NOW)


def bearer(key: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {key}".encode()}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(bearer(KEY), id="bearer"),
        pytest.param({b"authorization": f"bearer  {KEY} ".encode()}, id="bearer, oddly written"),
        pytest.param({b"x-api-key": KEY.encode()}, id="x-api-key"),
        pytest.param(bearer(f"lk_{KEY}"), id="bearer, as Lyceum's client wants it"),
        pytest.param({b"x-api-key": f"lk_{KEY}".encode()}, id="x-api-key, as Lyceum's client wants it"),
        pytest.param(
            {b"authorization": b"Basic eA==", b"x-api-key": KEY.encode()}, id="x-api-key beside basic"
        ),
    ],
)
def test_a_good_key_is_a_caller_wherever_it_stands(headers: dict[bytes, bytes]) -> None:
    assert ask(headers) == Caller("key-1", Viewer("alice"), "alice", None, record())


def test_an_admin_key_sees_everything() -> None:
    assert ask(bearer(KEY), record(scopes=("admin",))) == Caller(
        "key-1", Viewer("alice", admin=True), "alice", None, record()
    )


@pytest.mark.parametrize(
    ("scope", "org", "expected"),
    [
        pytest.param("inference", "alice", Viewer("alice"), id="the key's own"),
        pytest.param("inference", "bob", Viewer(None), id="another's: nothing but public jobs"),
        pytest.param("inference", " ", Viewer("alice"), id="none"),
        pytest.param("admin", "bob", Viewer("bob"), id="an admin's choice"),
        pytest.param("admin", "alice", Viewer("alice"), id="an admin's own, and only that"),
    ],
)
def test_an_org_narrows_what_a_key_sees(scope: str, org: str, expected: Viewer) -> None:
    headers = {**bearer(KEY), b"x-org-slug": org.encode()}
    assert ask(headers, record(scopes=(scope,))) == Caller("key-1", expected, "alice", None, record())


def test_a_key_that_expires_later_still_works() -> None:
    assert isinstance(ask(bearer(KEY), record(expires_at=NOW + timedelta(seconds=1))), Caller)


@pytest.mark.parametrize(
    ("headers", "stored", "status", "code", "says"),
    [
        pytest.param({}, record(), 401, "invalid_api_key", "didn't provide", id="none"),
        pytest.param(bearer(""), record(), 401, "invalid_api_key", "didn't provide", id="empty"),
        pytest.param(bearer("sk-abc"), record(), 401, "invalid_api_key", "mistyped", id="of another service"),
        pytest.param(bearer(KEY[:-1] + "!"), record(), 401, "invalid_api_key", "mistyped", id="mistyped"),
        pytest.param(bearer("hsk_" + "é" * 30), record(), 401, "invalid_api_key", "mistyped", id="not ascii"),
        pytest.param(bearer(KEY * 20), record(), 401, "invalid_api_key", "mistyped", id="endless"),
        pytest.param(bearer(OTHER_KEY), record(), 401, "invalid_api_key", "unknown", id="unknown"),
        pytest.param(
            bearer(KEY),
            record(key_hash=hash_key(OTHER_KEY)),
            401,
            "invalid_api_key",
            "unknown",
            id="a record under a wrong name",
        ),
        pytest.param(
            bearer(KEY), record(revoked_at=NOW), 401, "invalid_api_key", "was revoked", id="revoked"
        ),
        pytest.param(
            bearer(KEY), record(expires_at=NOW), 401, "invalid_api_key", "has expired", id="expired"
        ),
        pytest.param(
            bearer(KEY),
            record(scopes=("jobs:read",)),
            403,
            "insufficient_scope",
            "'inference'",
            id="without the scope",
        ),
    ],
)
def test_a_key_that_is_not_accepted_says_why(
    headers: dict[bytes, bytes], stored: ApiKey, status: int, code: str, says: str
) -> None:
    refused = ask(headers, stored)
    assert isinstance(refused, ErrorReply)
    assert (refused.status, refused.code) == (status, code)
    assert says in refused.message
    assert not refused.should_retry


def test_no_error_repeats_the_key() -> None:
    for key in (OTHER_KEY, KEY[:-1] + "!"):
        assert key not in repr(ask(bearer(key)))
