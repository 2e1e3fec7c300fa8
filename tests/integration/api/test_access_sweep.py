"""Every route of the application, whoever added it: without a key, with too small a scope, with another project's key.

The routes come from the application itself. A new route with an object in its path that is not in `OBJECTS` fails here, so that
somebody says which object a stranger should knock at.
"""

import re
from collections.abc import Iterator

import httpx2
import pytest
import structlog
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry

from hostler_api import app as app_module
from hostler_api.app import Parts, create_app
from hostler_api.dialects.runai.ids import DEPARTMENT_NAME
from hostler_api.route_access import RouteAccess, RouteWithoutAccess, route_table
from hostler_contracts import catalogue, subjects
from hostler_contracts.catalogue import ApiKey, Scope
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_domain.catalogue import Project
from hostler_kit.clock import SystemClock
from hostler_kit.ops import Readiness
from tests.integration.api.conftest import ADMIN_KEY, Site
from tests.support.builders import MODEL, NOW
from tests.support.eventually import eventually

SCOPES: tuple[Scope, ...] = ("jobs:read", "jobs:write", "keys:read", "keys:write", "inference")
STRANGER_KEY = make_key(b"x" * 32)
"""May do everything but what admins may, in a project of its own."""
FOREIGN = "of-strangers"
PERIOD = "?metricType=THROUGHPUT&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z"
NOBODY = "01939e00-0000-7000-8000-00000000dead"
LYCEUM = "/api/v2/external/"
SHARED = frozenset(
    {
        "/v1/model-masters",
        "/v1/hardware-profiles",
        "/v1/nodes",
        "/api/v1/workload-types",
        "/api/v1/workload-categories",
        "/api/v1/workload-priorities",
        "/api/v1/clusters",
    }
)
"""Catalogues that belong to no project: every key reads the same."""


def key_with(*scopes: Scope) -> str:
    return make_key("+".join(scopes).encode().ljust(32, b"."))


async def store(site: Site, secret: str, project: str, *scopes: Scope) -> None:
    record = ApiKey(
        key_id=f"key-{display_prefix(secret)}",
        name="sweep",
        project=project,
        key_hash=hash_key(secret),
        prefix=display_prefix(secret),
        scopes=scopes,
        created_at=NOW,
    )
    await site.bus.bucket(subjects.BUCKET_API_KEYS).put(record.key_hash, catalogue.API_KEYS.encode(record))
    keys = site.app.state.catalogues.keys
    await eventually(lambda: record.key_hash in keys.records)


@pytest.fixture
async def objects(site: Site) -> dict[str, str]:
    """One object of the project `default` for each parameter of a path; and the keys that knock."""
    job = (await site.post({"model": MODEL, "name": "demo"})).json()
    key = (await site.send("POST", "/v1/api-keys", {"name": "k", "scopes": ["jobs:read"]})).json()
    foreign = Project(FOREIGN, "p", NOW)
    await site.bus.bucket(subjects.BUCKET_PROJECTS).put(FOREIGN, catalogue.PROJECTS.encode(foreign))
    await store(site, STRANGER_KEY, FOREIGN, *SCOPES)
    for scope in SCOPES:
        await store(site, key_with(scope), "default", scope)
    return {
        "job": job["job_id"],
        "key_id": key["key_id"],
        "name": "default",
        "model": MODEL,
        "replica_id": "nobody",
        "letter": "JOBS.nobody.1",
        "batch_id": "batch-1",
        "file_id": "file-1",
        "inference_id": "request-1",
        "org_slug": "default",
        "workload_id": job["job_id"],
        "revision_id": job["job_id"],
        "pod_id": NOBODY,
        "cluster_id": NOBODY,
        "project_id": "project-nobody",
        "category_id": NOBODY,
        "type_id": NOBODY,
        "slug": "default",
    }


def table(site: Site) -> list[RouteAccess]:
    return route_table(site.app)


def guarded(site: Site) -> Iterator[RouteAccess]:
    rows = [row for row in table(site) if row.scope is not None]
    assert len(rows) > 20
    yield from rows


def address(row: RouteAccess, objects: dict[str, str]) -> str:
    parameters = re.findall(r"{(\w+)(?::\w+)?}", row.path)
    unknown = [name for name in parameters if name not in objects]
    assert not unknown, f"{row.method} {row.path}: say in `objects` which object {unknown} is"
    return re.sub(r"{(\w+)(?::\w+)?}", lambda match: objects[match[1]], row.path)


async def test_without_a_key_every_guarded_route_answers_401_whatever_it_is_asked(
    site: Site, objects: dict[str, str]
) -> None:
    for row in guarded(site):
        path = address(row, objects)
        for body in (None, {"nonsense": True}):
            assert (await site.send(row.method, path, body, key="")).status_code == 401, row


async def test_with_too_small_a_scope_every_guarded_route_answers_403(
    site: Site, objects: dict[str, str]
) -> None:
    for row in guarded(site):
        path = address(row, objects)
        for scope in SCOPES:
            if scope != row.scope:
                answer = await site.send(row.method, path, key=key_with(scope))
                assert answer.status_code == 403, (row, scope, answer.text)


async def test_another_projects_key_finds_none_of_the_objects_at_any_route(
    site: Site, objects: dict[str, str]
) -> None:
    knocked = 0
    for row in guarded(site):
        if "{" not in row.path or row.scope == "admin" or row.path.startswith(tuple(SHARED)):
            continue
        knocked += 1
        # A body that no route could refuse for itself: whether the thing exists must be said before what is wrong with the wish.
        body = {"name": "x"} if row.method == "PATCH" and "api-keys" in row.path else None
        if row.method == "PATCH" and body is None:
            body = {"spec": {}} if row.path.startswith("/api/v1/") else {"labels": {}}
        if row.path.endswith("/scale"):
            body = {"replicas": 1}
        if row.path.endswith("/simulate"):
            body = {}
        query = PERIOD if "/metrics" in row.path else ""
        answer = await site.send(row.method, address(row, objects) + query, body, key=STRANGER_KEY)
        if row.path.startswith(LYCEUM) and answer.status_code == 501:
            continue  # nothing of the kind is offered to anyone
        assert answer.status_code == 404, (row, answer.text)
        for secret_word in ("demo", objects["key_id"] if "key_id" not in row.path else "demo"):
            assert secret_word not in answer.text, row
    assert knocked > 12


async def test_no_list_shows_another_projects_things_whatever_cursor_or_filter_is_given(
    site: Site, objects: dict[str, str]
) -> None:
    lists = [
        row for row in guarded(site) if row.method == "GET" and "{" not in row.path and row.scope != "admin"
    ]
    assert {"/v1/jobs", "/v1/api-keys", "/v1/api-keys/usage", "/v1/projects"} <= {row.path for row in lists}
    cursors = ("", "?limit=500", "?after=0", f"?after={objects['job']}", "?after=zzzz", "?project=default")
    for row in lists:
        if row.path in SHARED:
            continue
        for query in cursors:
            answer = await site.get(row.path + query, STRANGER_KEY)
            assert answer.status_code in (200, 400, 403, 404, 422, 501, 503), (row, query)
            # Run:ai's only department is called default as well.
            shown = answer.text.replace(query, "").replace(f'"name":"{DEPARTMENT_NAME}"}},"gpu"', "")
            for hidden in (objects["job"], objects["key_id"], '"default"', '"demo"'):
                assert hidden not in shown, (row, query)


async def test_an_application_with_a_route_that_says_not_who_may_call_it_does_not_start(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = APIRouter()
    forgotten.add_api_route("/v1/forgotten", lambda: "all the secrets")
    monkeypatch.setattr(app_module, "ROUTERS", (forgotten,))
    monkeypatch.setattr(app_module, "included", app_module.included.__wrapped__)
    with pytest.raises(RouteWithoutAccess, match="GET /v1/forgotten"):
        made_anew(site)


def made_anew(site: Site, *, serves_admin: bool = True) -> FastAPI:
    names = [name for name in Parts.__slots__ if name != "readiness"]
    return create_app(
        Parts(**{name: getattr(site.app.state, name) for name in names}, readiness=Readiness()),
        logger=structlog.get_logger(),
        clock=SystemClock(),
        registry=CollectorRegistry(),
        serves_admin=serves_admin,
    )


async def test_where_admins_have_a_listener_of_their_own_the_public_one_knows_none_of_their_routes(
    site: Site, objects: dict[str, str]
) -> None:
    public = made_anew(site, serves_admin=False)
    described = public.openapi()["paths"]
    admin_rows = [row for row in guarded(site) if row.scope == "admin"]
    assert len(admin_rows) >= 4
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    transport = httpx2.ASGITransport(app=public)
    async with httpx2.AsyncClient(transport=transport, base_url="http://p", headers=headers) as client:
        for row in admin_rows:
            answer = await client.request(row.method, address(row, objects))
            assert answer.status_code == 404, row
            assert row.method.lower() not in described.get(row.path, {}), row
        assert (await client.get("/v1/jobs")).status_code == 200
    assert "get" in described["/v1/projects"]


def test_every_scope_guards_something_here_but_the_routers_own(site: Site) -> None:
    assert {row.scope for row in table(site) if row.scope} == {*SCOPES, "admin"} - {"inference"}
