"""Lyceum's dialect over HTTP: what its clients send, and what they are told."""

import json
import re

import httpx2
import pytest

from hostler_api.dialects.lyceum.later import NOT_OFFERED
from hostler_contracts import catalogue, subjects
from hostler_contracts.replica_logs import LogAnswer, LogQuestion
from hostler_domain.catalogue import Project
from tests.integration.api.conftest import ADMIN_KEY, READ_KEY, TEAM_KEY, Site
from tests.support.builders import NOW, scheduled
from tests.support.eventually import eventually

BASE = "/api/v2/external"
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
Json = dict[str, object]


async def call(
    site: Site, method: str, path: str, *, key: str = ADMIN_KEY, org: str = "", **options: object
) -> httpx2.Response:
    """As Lyceum's client does it: its prefix before the key, the org in a header."""
    headers = {"Authorization": f"Bearer lk_{key}"} | ({"X-Org-Slug": org} if org else {})
    return await site.client.request(method, BASE + path, headers=headers, **options)  # type: ignore[arg-type]  # passed on


async def create(site: Site, *, key: str = ADMIN_KEY, org: str = "", **fields: object) -> str:
    body = {"hf_model_id": MODEL, "hardware_profile": "cpu.small", **fields}
    answer = await call(site, "POST", "/inference/create", key=key, org=org, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "pending"
    deployment_id: str = answer.json()["deployment_id"]
    return deployment_id


async def add_project(site: Site, name: str) -> None:
    record = Project(name, f"id-of-{name}", NOW)
    await site.bus.bucket(subjects.BUCKET_PROJECTS).put(name, catalogue.PROJECTS.encode(record))
    await eventually(lambda: name in site.app.state.catalogues.projects.records)


async def ids(site: Site, *, key: str = ADMIN_KEY, org: str = "", everything: bool = False) -> list[str]:
    params = {"include_terminated": str(everything).lower()}
    answer = await call(site, "GET", "/inference/list", key=key, org=org, params=params)
    return [each["deployment_id"] for each in answer.json()["deployments"]]


async def test_a_deployment_is_a_job_and_the_other_way_round(site: Site) -> None:
    made = await create(site, min_replicas=2, max_replicas=3, target_rps=4, stabilisation_window=60)
    native = (await site.get(f"/v1/jobs/{made}")).json()
    assert (native["model"], native["spec"]["runtime"]) == (MODEL, "llamacpp")
    assert native["spec"]["scaling"]["targets"] == [
        {"metric": "throughput", "threshold": 4.0, "percentage": 100},
        {"metric": "latency_p95", "threshold": 5000.0, "percentage": 100},
    ]
    other = (await site.post({"model": MODEL, "name": "other"})).json()["job_id"]
    assert await ids(site) == [other, made]
    seen = (await call(site, "GET", "/inference/get", params={"deployment_id": other})).json()
    assert (seen["deployment_id"], seen["status"], seen["replicas"]) == (other, "pending", [])


async def test_stopping_ends_it_for_good(site: Site) -> None:
    made = await create(site)
    stopped = await call(site, "DELETE", "/inference/stop", json={"deployment_id": made})
    assert (stopped.status_code, stopped.json()) == (200, {"deployment_id": made, "status": "stopped"})
    assert (await site.get(f"/v1/jobs/{made}")).json()["status"]["desired_phase"] == "Deleted"
    assert (await ids(site), await ids(site, everything=True)) == ([], [made])
    got = await call(site, "GET", "/inference/get", params={"deployment_id": made})
    assert got.status_code == 404
    params = {"deployment_id": made, "include_terminated": "true"}
    assert (await call(site, "GET", "/inference/get", params=params)).json()["status"] == "stopped"
    again = await call(site, "DELETE", "/inference/stop", json={"deployment_id": made})
    assert (again.status_code, again.json()["status"]) == (200, "stopped")


async def test_the_token_is_sealed_and_shown_nowhere(site: Site) -> None:
    made = await create(site, hf_token="hf_canary")
    name = f"hf-token.{made}"
    entry = await site.bus.bucket(subjects.BUCKET_SECRETS).get(name)
    assert entry is not None
    assert site.secret_key.open(name, entry.value) == "hf_canary"
    for path in (f"/inference/get?deployment_id={made}", "/inference/list"):
        assert "hf_canary" not in (await call(site, "GET", path)).text


async def test_the_same_idempotency_key_makes_one_deployment(site: Site) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Idempotency-Key": "once"}
    body = {"hf_model_id": MODEL}
    first, second = [
        await site.client.post(f"{BASE}/inference/create", json=body, headers=headers) for _ in range(2)
    ]
    assert first.json() == second.json()
    other = await site.client.post(
        f"{BASE}/inference/create", json={**body, "max_replicas": 2}, headers=headers
    )
    assert (other.status_code, type(other.json()["detail"])) == (422, str)


BAD_BODIES: list[tuple[str, Json | bytes, list[str]]] = [
    ("no model", {}, ["hf_model_id"]),
    ("a model that is no id", {"hf_model_id": "smollm"}, ["hf_model_id"]),
    ("a model that is a number", {"hf_model_id": 7}, ["hf_model_id"]),
    ("a model with a control character", {"hf_model_id": "a/b\u0000c"}, ["hf_model_id"]),
    ("a model in another alphabet", {"hf_model_id": "org/模型"}, ["hf_model_id"]),
    ("a model that is too long", {"hf_model_id": "a/" + "b" * 300}, ["hf_model_id"]),
    ("a null model", {"hf_model_id": None}, ["hf_model_id"]),
    ("no such profile", {"hardware_profile": "gpu.t4"}, ["hardware_profile"]),
    ("the profile of external servers", {"hardware_profile": "external"}, ["hardware_profile"]),
    ("no such GPU type", {"gpu_type": "t4"}, ["gpu_type"]),
    ("a profile and a GPU type", {"hardware_profile": "gpu.a100", "gpu_type": "a100"}, ["gpu_type"]),
    ("no GPU at all", {"gpu_count": 0}, ["gpu_count"]),
    ("half a GPU", {"gpu_type": "a100", "gpu_count": 0.5}, ["gpu_count"]),
    ("GPUs of a machine without", {"gpu_type": "cpu.small", "gpu_count": 2}, ["gpu_count"]),
    ("another GPU memory", {"gpu_type": "h100", "gpu_vram_gb": 40}, ["gpu_vram_gb"]),
    ("no minimum", {"min_replicas": 0}, ["min_replicas"]),
    ("a negative minimum", {"min_replicas": -1}, ["min_replicas"]),
    ("a minimum in words", {"min_replicas": "two"}, ["min_replicas"]),
    ("no maximum", {"max_replicas": 0}, ["max_replicas"]),
    ("a maximum below the minimum", {"min_replicas": 3, "max_replicas": 2}, ["max_replicas"]),
    ("more than there can be", {"max_replicas": 1001}, ["max_replicas"]),
    ("no requests", {"target_rps": 0}, ["target_rps"]),
    ("fewer than no requests", {"target_rps": -1}, ["target_rps"]),
    ("requests that are no number", b'{"hf_model_id": "a/b", "target_rps": NaN}', ["target_rps"]),
    ("no latency", {"target_latency_p95_ms": 0}, ["target_latency_p95_ms"]),
    (
        "endless latency",
        b'{"hf_model_id": "a/b", "target_latency_p95_ms": Infinity}',
        ["target_latency_p95_ms"],
    ),
    ("a negative window", {"stabilisation_window": -1}, ["stabilisation_window"]),
    ("a window of more than an hour", {"stabilisation_window": 3601}, ["stabilisation_window"]),
    ("a window in part seconds", {"stabilisation_window": 1.5}, ["stabilisation_window"]),
    ("a token that is a list", {"hf_token": ["x"]}, ["hf_token"]),
    ("a token that is too long", {"hf_token": "x" * 513}, ["hf_token"]),
    ("an argument that is no name", {"vllm_args": "max model=1,a!b=2"}, ["vllm_args"]),
    ("arguments of two lines", {"vllm_args": "a=1\nb=2"}, ["vllm_args"]),
    ("arguments as an object", {"vllm_args": {"a": 1}}, ["vllm_args"]),
    ("Run:ai's bounds", {"minReplicas": 1}, ["minReplicas"]),
    ("Run:ai's scaling", {"autoscaling": {"metric": "throughput"}}, ["autoscaling"]),
    ("a field of ours", {"runtime": "external"}, ["runtime"]),
    ("two at once", {"min_replicas": 0, "target_rps": 0}, ["min_replicas", "target_rps"]),
    ("a list", b"[]", [""]),
    ("no JSON", b"{", ["1"]),
    ("nothing", b"", [""]),
]


@pytest.mark.parametrize(
    ("body", "fields"), [pytest.param(body, fields, id=name) for name, body, fields in BAD_BODIES]
)
async def test_a_bad_body_is_422_and_names_the_fields(
    site: Site, body: Json | bytes, fields: list[str]
) -> None:
    complete = body if isinstance(body, bytes) else {"hf_model_id": MODEL, **body} if body else {}
    content = complete if isinstance(complete, bytes) else json.dumps(complete).encode()
    headers = {"Content-Type": "application/json"}
    headers["Authorization"] = f"Bearer {ADMIN_KEY}"
    answer = await site.client.post(f"{BASE}/inference/create", content=content, headers=headers)
    assert answer.status_code == 422, answer.text
    assert set(answer.json()) == {"detail"}
    detail = answer.json()["detail"]
    assert [".".join(each["loc"][1:]) for each in detail] == fields
    assert all(set(each) == {"type", "loc", "msg"} and each["loc"][0] == "body" for each in detail)
    assert await ids(site) == []


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        pytest.param("GET", "/inference/get", {}, 422, id="no id"),
        pytest.param("GET", "/inference/get", {"params": {"deployment_id": ""}}, 422, id="an empty id"),
        pytest.param("GET", "/inference/get", {"params": {"deployment_id": "nope"}}, 404, id="no such id"),
        pytest.param("GET", "/inference/get", {"params": {"deployment_id": "*.>"}}, 404, id="an odd id"),
        pytest.param(
            "GET",
            "/inference/list",
            {"params": {"include_terminated": "perhaps"}},
            422,
            id="neither yes nor no",
        ),
        pytest.param(
            "DELETE", "/inference/stop", {"json": {"deployment_id": "nope"}}, 404, id="stop nothing"
        ),
        pytest.param("DELETE", "/inference/stop", {"json": {}}, 422, id="stop without an id"),
        pytest.param("DELETE", "/inference/stop", {}, 422, id="stop without a body"),
        pytest.param("GET", "/inference/replica/nope/logs", {}, 404, id="no such replica"),
        pytest.param("GET", "/orgs/nope", {}, 404, id="no such org"),
        pytest.param("GET", "/inference/nope", {}, 404, id="no such route"),
        pytest.param("POST", "/inference/stop", {}, 405, id="another method"),
    ],
)
async def test_every_error_is_a_detail(
    site: Site, method: str, path: str, options: dict[str, object], status: int
) -> None:
    answer = await call(site, method, path, **options)
    assert (answer.status_code, set(answer.json())) == (status, {"detail"})
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(("method", "path", "instead"), NOT_OFFERED)
async def test_what_is_not_offered_says_so_to_those_with_a_key(
    site: Site, method: str, path: str, instead: str
) -> None:
    address = path.format(file_id="f", batch_id="b", inference_id="i", key_id="k")
    answer = await call(site, method, address)
    assert (answer.status_code, answer.json()) == (501, {"detail": instead})
    stranger = await site.client.request(method, BASE + address)
    assert stranger.status_code == 401
    reader = await call(site, method, address, key=READ_KEY)
    assert reader.status_code == (501 if method == "GET" else 403)


@pytest.mark.parametrize(
    ("key", "status"),
    [
        pytest.param("", 401, id="none"),
        pytest.param("hsk_wrong", 401, id="mistyped"),
        pytest.param(READ_KEY, 403, id="one that may only read"),
    ],
)
async def test_a_key_that_may_not_create_is_told_so(site: Site, key: str, status: int) -> None:
    answer = await call(site, "POST", "/inference/create", key=key, json={"hf_model_id": MODEL})
    assert (answer.status_code, type(answer.json()["detail"])) == (status, str)


async def test_an_org_sees_its_own_deployments_only(site: Site) -> None:
    await add_project(site, "team")
    teams, admins = await create(site, key=TEAM_KEY), await create(site)
    assert (await ids(site, key=TEAM_KEY), await ids(site)) == ([teams], [admins])
    assert await ids(site, org="team") == [teams]
    for key, org, deployment_id in (
        (TEAM_KEY, "", admins),
        (ADMIN_KEY, "", teams),
        (ADMIN_KEY, "team", admins),
    ):
        params = {"deployment_id": deployment_id}
        got = await call(site, "GET", "/inference/get", key=key, org=org, params=params)
        gone = await call(site, "DELETE", "/inference/stop", key=key, org=org, json=params)
        assert (got.status_code, gone.status_code) == (404, 404)
    assert await ids(site, org="team") == [teams]


async def test_an_admin_creates_for_the_org_that_it_names(site: Site) -> None:
    await add_project(site, "team")
    made = await create(site, org="team")
    assert (await site.get(f"/v1/jobs/{made}")).json()["project"] == "team"


@pytest.mark.parametrize(
    ("key", "org"),
    [
        pytest.param(TEAM_KEY, "default", id="an org that is not the key's"),
        pytest.param(TEAM_KEY, "nope", id="no org at all"),
        pytest.param(ADMIN_KEY, "nope", id="no org at all, and an admin"),
    ],
)
async def test_an_org_that_the_key_has_not_is_404(site: Site, key: str, org: str) -> None:
    for path in ("/user/org", "/inference/list", "/machine-types"):
        answer = await call(site, "GET", path, key=key, org=org)
        assert (answer.status_code, answer.json()["detail"]) == (
            404,
            f"there is no org {org!r} for this API key",
        )


async def test_the_org_of_a_key_is_its_project(site: Site) -> None:
    await add_project(site, "team")
    assert (await call(site, "GET", "/user/org", key=TEAM_KEY)).json() == {
        "org_id": "id-of-team",
        "slug": "team",
        "name": "team",
        "is_personal": False,
        "is_key_scoped": True,
    }
    admins = (await call(site, "GET", "/user/org", org="team")).json()
    assert (admins["slug"], admins["is_key_scoped"]) == ("team", False)
    assert [each["slug"] for each in (await call(site, "GET", "/orgs", key=TEAM_KEY)).json()] == ["team"]
    assert [each["slug"] for each in (await call(site, "GET", "/orgs")).json()] == ["default", "team"]
    assert (await call(site, "GET", "/orgs/default", key=TEAM_KEY)).status_code == 404
    assert (await call(site, "GET", "/orgs/team", key=TEAM_KEY)).json()["id"] == "id-of-team"


async def test_the_logs_of_a_replica_are_those_of_its_org(site: Site) -> None:
    made = await create(site)
    entry = await site.log.load("default", made)
    assert entry is not None
    await site.log.append(entry, scheduled("r1"))
    path = "/inference/replica/r1/logs"
    await eventually(lambda: site.app.state.jobs.with_replica("r1") is not None)
    away = await call(site, "GET", path)
    assert (away.status_code, away.headers["retry-after"]) == (503, "1")
    assert "does not answer" in away.json()["detail"]

    asked: list[LogQuestion] = []

    async def provisioner(data: bytes) -> bytes:
        asked.append(LogQuestion.model_validate_json(data))
        return LogAnswer(found=True, text="loaded\nready\n").model_dump_json().encode()

    await site.bus.serve(subjects.provisioner_logs("local"), provisioner)
    assert (await call(site, "GET", path, key=TEAM_KEY)).status_code == 404
    assert (await call(site, "GET", path)).json() == {"error_logs": "loaded\nready\n"}
    assert [LogQuestion(replica_id="r1", tail_lines=200)] == asked


async def test_catalogues_are_what_the_installation_has(site: Site) -> None:
    machines = (await call(site, "GET", "/machine-types")).json()["machine_types"]
    assert {"hardware_profile": "gpu.a100", "price_per_hour": 2.0} in machines
    names = [each["hardware_profile"] for each in machines]
    hardware = (await call(site, "GET", "/user/quotas/available-hardware")).json()
    assert hardware == {"available_hardware_profiles": names}
    prices = (await call(site, "GET", "/pricing")).json()["prices"]
    assert [each["group_by"]["hardware_profile"] for each in prices] == names
    models = (await call(site, "GET", "/inference/models")).json()["models"]
    assert MODEL in [each["hf_model_id"] for each in models]
    assert (await call(site, "GET", "/serverless/models")).json() == {"object": "list", "data": []}


def test_the_document_has_every_parameter_of_a_path(site: Site) -> None:
    paths = site.app.openapi()["paths"]
    missing = [
        (path, method)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        != set(re.findall(r"\{(\w+)\}", path))
    ]
    assert missing == []


async def test_the_native_door_keeps_its_own_form_of_errors(site: Site) -> None:
    answer = await site.get("/v1/jobs/nope")
    assert answer.headers["content-type"] == "application/problem+json"
