"""Session tokens: whom they stand for, for how long, and what can't be made of them."""

import base64
import json
from datetime import timedelta

import pytest

from hostler_api.sessions import Sessions, is_session
from hostler_contracts.catalogue import ApiKey
from hostler_contracts.credentials import Refusal, Refused
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_kit.secret_key import SecretKey
from tests.support.builders import NOW, at

KEY = make_key(b"k" * 32)
RECORD = ApiKey(
    key_id="key-1",
    name="a key",
    project="default",
    key_hash=hash_key(KEY),
    prefix=display_prefix(KEY),
    scopes=("jobs:read",),
    created_at=NOW,
)
TOKENS = Sessions(SecretKey(b"s" * 32))

TTL_SECONDS = 3600
RECORD_OF_ANOTHER = RECORD.model_copy(update={"key_id": "key-9", "key_hash": "another"})


def minted(record: ApiKey, sessions: Sessions = TOKENS) -> str:
    return sessions.mint(record, now=NOW, ttl_seconds=TTL_SECONDS)[0]


def whose(
    token: str, record: ApiKey | None = RECORD, *, seconds: float = 1, scope: str = "jobs:read"
) -> object:
    known = (RECORD_OF_ANOTHER, record) if record else (RECORD_OF_ANOTHER,)
    found = TOKENS.verify(token, known, scope, now=at(seconds))  # type: ignore[arg-type]  # one of the scopes
    return found.refusal if isinstance(found, Refused) else found


def changed(**fields: object) -> ApiKey:
    return RECORD.model_copy(update=fields)


def forged(token: str, **claims: object) -> str:
    header, payload, signature = token.split(".")
    found = json.loads(base64.urlsafe_b64decode(payload + "=="))
    other = base64.urlsafe_b64encode(json.dumps({**found, **claims}).encode()).rstrip(b"=").decode()
    return f"{header}.{other}.{signature}"


def test_a_token_stands_for_its_key() -> None:
    assert whose(minted(RECORD)) == RECORD


def test_its_client_can_read_when_it_ends_and_nothing_of_the_key() -> None:
    token = minted(RECORD)
    # As runapy does it, with the alphabet that is not meant for tokens.
    claims = json.loads(base64.b64decode(token.split(".")[1] + "=="))
    assert claims["exp"] == NOW.timestamp() + TTL_SECONDS
    assert KEY not in token + json.dumps(claims)
    assert is_session(token)
    assert not is_session(KEY)


def test_it_ends_after_its_hour() -> None:
    token = minted(RECORD)
    assert whose(token, seconds=TTL_SECONDS - 1) == RECORD
    assert whose(token, seconds=TTL_SECONDS) == Refusal.EXPIRED


def test_it_never_outlives_its_key() -> None:
    short = changed(expires_at=NOW + timedelta(seconds=60))
    token = minted(short)
    assert whose(token, short, seconds=59) == short
    assert whose(token, seconds=61) == Refusal.EXPIRED


CASES = {
    "revoked": (changed(revoked_at=NOW), Refusal.REVOKED),
    "expired": (changed(expires_at=NOW), Refusal.EXPIRED),
    "gone": (None, Refusal.UNKNOWN),
    "another key of the same hash": (changed(key_id="key-2"), Refusal.UNKNOWN),
    "without the scope": (changed(scopes=("inference",)), Refusal.SCOPE),
}


@pytest.mark.parametrize(("record", "refusal"), CASES.values(), ids=CASES.keys())
def test_what_ends_the_key_ends_the_token(record: ApiKey | None, refusal: Refusal) -> None:
    assert whose(minted(RECORD), record) == refusal


TOKEN = minted(RECORD)
FORGERIES = {
    "a later end": forged(TOKEN, exp=NOW.timestamp() + 10**6),
    "another key": forged(TOKEN, sub="key-2"),
    "no signature": TOKEN.rpartition(".")[0] + ".",
    "another installation's": minted(RECORD, Sessions(SecretKey(b"t" * 32))),
    "an algorithm that signs nothing": base64.urlsafe_b64encode(b'{"alg":"none"}').decode() + "." + TOKEN.split(".", 1)[1],
    "no base64": "a.b.c",
    "another alphabet": "ä.ö.ü",
    "very long": TOKEN + "x" * 2000,
}  # fmt: skip


@pytest.mark.parametrize("token", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_token_that_was_not_written_here_stands_for_nobody(token: str) -> None:
    assert isinstance(whose(token), Refusal)
