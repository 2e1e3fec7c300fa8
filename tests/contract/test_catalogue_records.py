"""Records of catalogues as they were stored before they had limits: they are read, and so is what a later version adds."""

import json

from hostler_contracts.catalogue import API_KEYS, PROJECTS
from hostler_domain.limits import Limits

OLD_KEY = {
    "key_id": "01939e00-0000-7000-8000-000000000001",
    "name": "laptop",
    "project": "team",
    "key_hash": "00",
    "prefix": "hsk_12345678",
    "scopes": ["inference"],
    "created_at": "2026-01-01T00:00:00Z",
}
OLD_PROJECT = {"name": "team", "project_id": "p", "created_at": "2026-01-01T00:00:00Z", "gpu_quota": 2}
LIMITS = {"requests_per_minute": 60, "tokens_per_minute": None, "concurrency": 4}


def test_a_key_without_limits_is_read_as_one_that_has_none() -> None:
    assert API_KEYS.decode(json.dumps(OLD_KEY).encode()).limits is None


def test_a_project_without_limits_is_read_as_one_that_has_none() -> None:
    assert PROJECTS.decode(json.dumps(OLD_PROJECT).encode()).limits is None


def test_limits_are_read_back_as_they_were_written() -> None:
    key = API_KEYS.decode(json.dumps(OLD_KEY | {"limits": LIMITS}).encode())
    project = PROJECTS.decode(json.dumps(OLD_PROJECT | {"limits": LIMITS}).encode())
    assert key.limits == project.limits == Limits(60, None, 4)
    assert json.loads(API_KEYS.encode(key))["limits"] == LIMITS
    assert json.loads(PROJECTS.encode(project))["limits"] == LIMITS


def test_a_bound_that_a_later_version_knows_is_left_unread() -> None:
    later = LIMITS | {"images_per_minute": 3}
    assert API_KEYS.decode(json.dumps(OLD_KEY | {"limits": later}).encode()).limits == Limits(60, None, 4)
    assert PROJECTS.decode(json.dumps(OLD_PROJECT | {"limits": later}).encode()).limits == Limits(60, None, 4)
