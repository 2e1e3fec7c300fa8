"""Tokens that stand for a key: what they open, and everything that makes them open nothing."""

from datetime import timedelta

import pytest

from hostler_api.sessions import Sessions, is_session
from hostler_contracts.catalogue import ApiKey
from hostler_contracts.credentials import Refusal, Refused
from hostler_kit.secret_key import SecretKey
from tests.support.builders import NOW, at
from tests.unit.api.test_key_rules import key

SESSIONS = Sessions(SecretKey(b"s" * 32))
KEY = key()
OTHER = key(key_id="key-2", key_hash="h2")


def opened(token: str, *keys: ApiKey, seconds: float = 0, sessions: Sessions = SESSIONS) -> ApiKey | Refusal:
    found = sessions.verify(token, keys or (OTHER, KEY), "jobs:read", now=at(seconds))
    return found.refusal if isinstance(found, Refused) else found


def token(**fields: object) -> str:
    return SESSIONS.mint(key(**fields), now=NOW, ttl_seconds=600)[0]


def test_a_token_opens_what_its_key_opens_until_its_end() -> None:
    assert is_session(token())
    assert opened(token()) == KEY
    assert opened(token(), seconds=599) == KEY
    assert opened(token(), seconds=600) is Refusal.EXPIRED


def test_a_token_ends_with_its_key() -> None:
    short = key(expires_at=at(60))
    made, ends = SESSIONS.mint(short, now=NOW, ttl_seconds=600)
    assert ends == at(60)
    assert opened(made, short, seconds=60) is Refusal.EXPIRED


def test_a_token_of_a_revoked_key_opens_nothing() -> None:
    assert opened(token(), key(revoked_at=NOW)) is Refusal.REVOKED


def test_a_token_dies_with_the_secret_that_it_was_made_with() -> None:
    old = key(superseded_at=NOW, expires_at=at(60))
    new = key(key_hash="h9", issued=1)
    assert opened(token(), new, old, seconds=59) == old
    assert opened(token(), new, old, seconds=61) is Refusal.EXPIRED
    assert opened(token(), new) is Refusal.UNKNOWN


def test_the_scope_is_the_keys() -> None:
    assert opened(token(), key(scopes=("inference",))) is Refusal.SCOPE


def test_a_token_of_another_installation_opens_nothing() -> None:
    assert opened(token(), sessions=Sessions(SecretKey(b"t" * 32))) is Refusal.UNKNOWN


def test_a_token_says_nothing_about_the_secret() -> None:
    assert KEY.key_hash not in token(key_hash="a-long-hash")
    assert "a-long-hash" not in token(key_hash="a-long-hash")


@pytest.mark.parametrize(
    "forge",
    [
        lambda made: made[:-1],
        lambda made: made + "x",
        lambda made: made.replace("key-1", "key-2"),
        lambda made: made.replace(
            str(int((NOW + timedelta(seconds=600)).timestamp())), str(int(at(6000).timestamp()))
        ),
        lambda made: made.rpartition(".")[0] + ".",
    ],
)
def test_a_token_that_was_changed_opens_nothing(forge) -> None:  # type: ignore[no-untyped-def]  # a row's function
    assert opened(forge(token())) is Refusal.UNKNOWN


@pytest.mark.parametrize(
    "garbage",
    [
        "hss_",
        "hss_.",
        "hss_..",
        "hss_a.b.c",
        "hss_key-1.-5.x",
        "hss_key-1.١٢.x",
        "hss_k." + "9" * 400 + ".x",
        "hss_" + "a" * 600,
    ],
)
def test_garbage_is_no_token(garbage: str) -> None:
    assert opened(garbage) is Refusal.MALFORMED
