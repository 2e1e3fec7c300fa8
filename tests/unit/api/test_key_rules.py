"""What a key may pass on, who may touch whom, and what a key is after rotations and crashes."""

from datetime import timedelta

import pytest

from hostler_api.key_rules import KeyFamily, KeyStatus, families, is_wider, new_key_errors
from hostler_contracts.catalogue import ApiKey
from hostler_domain.limits import Limits
from tests.support.builders import NOW, at


def key(**fields: object) -> ApiKey:
    values: dict[str, object] = {
        "key_id": "key-1",
        "name": "laptop",
        "project": "p",
        "key_hash": "h1",
        "prefix": "hsk_12345678",
        "scopes": ("jobs:read",),
        "created_at": NOW,
        **fields,
    }
    return ApiKey.model_validate(values)


ADMIN = key(scopes=("admin",))


@pytest.mark.parametrize(
    ("made", "maker", "wrong"),
    [
        ({}, {}, []),
        ({"scopes": ("jobs:read", "jobs:write")}, {}, ["scopes"]),
        ({"scopes": ("admin",)}, {}, ["scopes"]),
        ({"scopes": ("inference", "jobs:write")}, {"scopes": ("admin",)}, []),
        ({"scopes": ("admin",)}, {"scopes": ("admin",)}, []),
        ({"scopes": ()}, {}, ["scopes"]),
        ({"expires_at": NOW}, {}, ["expires_at"]),
        ({"expires_at": at(1)}, {}, []),
        ({}, {"expires_at": at(60)}, ["expires_at"]),
        ({"expires_at": at(61)}, {"expires_at": at(60)}, ["expires_at"]),
        ({"expires_at": at(60)}, {"expires_at": at(60)}, []),
        ({"allowed_jobs": ("a",)}, {}, []),
        ({"allowed_jobs": ()}, {}, ["allowed_jobs"]),
        ({"allowed_jobs": tuple(map(str, range(101)))}, {}, ["allowed_jobs"]),
        ({"allowed_jobs": ("a",), "scopes": ("admin",)}, {"scopes": ("admin",)}, ["allowed_jobs"]),
        ({}, {"allowed_jobs": ("a",)}, ["allowed_jobs"]),
        ({"allowed_jobs": ("a", "b")}, {"allowed_jobs": ("a",)}, ["allowed_jobs"]),
        ({"allowed_jobs": ("a",)}, {"allowed_jobs": ("a", "b")}, []),
        ({"limits": Limits(concurrency=2)}, {"limits": Limits(concurrency=2)}, []),
        ({"limits": Limits(concurrency=3)}, {"limits": Limits(concurrency=2)}, ["limits.concurrency"]),
        ({}, {"limits": Limits(concurrency=2)}, ["limits.concurrency"]),
        ({}, {"limits": Limits(concurrency=2), "scopes": ("admin",)}, []),
        ({"limits": Limits(requests_per_minute=0)}, {}, ["limits.requests_per_minute"]),
        ({"name": " x"}, {}, ["name"]),
        ({"name": "x\u202e"}, {}, ["name"]),
        ({"name": "schlüssel für mich"}, {}, []),
    ],
)
def test_a_new_key_is_no_wider_than_its_maker(
    made: dict[str, object], maker: dict[str, object], wrong: list[str]
) -> None:
    assert [each.field for each in new_key_errors(key(**made), key(**maker), NOW)] == wrong


@pytest.mark.parametrize(
    ("one", "other", "wider"),
    [
        ({}, {}, False),
        ({"scopes": ("jobs:write",)}, {}, True),
        ({"scopes": ("admin",)}, {"scopes": ("jobs:read", "keys:write")}, True),
        ({}, {"scopes": ("admin",)}, False),
        ({}, {"allowed_jobs": ("a",)}, True),
        ({"allowed_jobs": ("a",)}, {"allowed_jobs": ("a",)}, False),
        ({"allowed_jobs": ("a", "b")}, {"allowed_jobs": ("a",)}, True),
        ({"allowed_jobs": ("a",)}, {}, False),
    ],
)
def test_a_key_is_wider_if_there_is_anything_that_it_alone_may(
    one: dict[str, object], other: dict[str, object], wider: bool
) -> None:
    assert is_wider(key(**one), key(**other)) is wider


def test_the_secrets_of_a_key_are_one_key_and_the_one_that_nothing_superseded_is_shown() -> None:
    first = key(key_hash="h1", superseded_at=at(1), expires_at=at(60))
    second = key(key_hash="h2", issued=1)
    other = key(key_id="key-2", key_hash="h3")
    assert families((first, second, other)) == {
        "key-1": KeyFamily(second, (first,)),
        "key-2": KeyFamily(other),
    }


def test_after_a_crash_in_the_middle_of_a_rotation_the_key_is_still_one() -> None:
    first, second = key(key_hash="h1"), key(key_hash="h2", issued=1)
    assert families((first, second)) == families((second, first)) == {"key-1": KeyFamily(second, (first,))}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, KeyStatus.ACTIVE),
        ({"expires_at": at(1)}, KeyStatus.ACTIVE),
        ({"expires_at": NOW}, KeyStatus.EXPIRED),
        ({"revoked_at": NOW}, KeyStatus.REVOKED),
        ({"revoked_at": NOW, "expires_at": NOW}, KeyStatus.REVOKED),
    ],
)
def test_a_key_has_one_status(fields: dict[str, object], status: KeyStatus) -> None:
    assert KeyFamily(key(**fields)).status(NOW) is status


def test_the_overlap_ends_with_the_last_earlier_secret_that_works() -> None:
    now = NOW
    gone = key(key_hash="h0", superseded_at=now, expires_at=now - timedelta(seconds=1))
    works = key(key_hash="h1", superseded_at=now, expires_at=at(60))
    latest = key(key_hash="h2", issued=2)
    assert KeyFamily(latest, (works, gone)).overlap_ends(now) == at(60)
    assert KeyFamily(latest, (gone,)).overlap_ends(now) is None
