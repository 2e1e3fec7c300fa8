"""Marked secrets through the whole life of a job on the whole stack; afterwards they are nowhere but sealed.

Looked at: every answer of the api and the router, every message of every stream and bucket, every file of the data folder (Valkey writes
down there all that it is told), every page of figures, and the arguments and environment of every process. A search that finds nothing
proves little, so each place is shown to be searched by a word that must be there.
"""

import base64
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx2
import nats
import psutil
import pytest

from hostler_cli.supervisor.layout import DataLayout, valkey_socket
from tests.e2e.conftest import Stack, until
from tests.e2e.test_external import start_servers
from tests.e2e.test_simulated import QUESTION, QUICK, ready_ids

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HF_TOKEN = "hf_CanaryOfHuggingFace0123456789abcdef"
UPSTREAM_KEY = "sk-CanaryOfUpstreamServers0123456789"
PROBE = "canary-probe-in-valkey"


@dataclass
class Watched:
    """The stack, its secrets, and everything that it answered."""

    stack: Stack
    secrets: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=30))

    def api(self, method: str, path: str, body: object = None, **headers: str) -> httpx2.Response:
        return self._ask(self.stack.api_port, method, path, body, headers)

    def router(self, method: str, path: str, body: object = None, **headers: str) -> httpx2.Response:
        return self._ask(self.stack.router_port, method, path, body, headers)

    def _ask(
        self, port: int, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> httpx2.Response:
        sent = {"Authorization": f"Bearer {self.stack.key}", **headers}
        url = f"http://127.0.0.1:{port}{path}"
        json = {} if body is None else {"json": body}
        answer = self.http.request(method, url, headers=sent, **json)  # type: ignore[arg-type]  # a body or none
        self.answers.append(f"{dict(answer.headers)}\n{answer.text}")
        return answer

    def leaks(self, where: str, content: bytes | str) -> list[str]:
        """Which secrets, in which form, `content` holds."""
        text = content if isinstance(content, bytes) else content.encode()
        return [
            f"{name} ({form}) in {where}"
            for name, secret in self.secrets.items()
            for form, shape in shapes(secret)
            if shape in text
        ]


def shapes(secret: str) -> Iterator[tuple[str, bytes]]:
    yield "plain", secret.encode()
    yield "quoted", quote(secret, safe="").encode()
    yield "base64", base64.b64encode(secret.encode())[:-4]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.up()
    watched = Watched(stack, {"the token": HF_TOKEN, "the servers' key": UPSTREAM_KEY})
    servers = start_servers(tmp_path_factory.mktemp("servers"), UPSTREAM_KEY, count=1)
    try:
        live(watched, servers[0].url)
        yield watched
    finally:
        watched.http.close()
        servers[0].process.kill()
        servers[0].process.wait()
        stack.down()


def live(watched: Watched, server_url: str) -> None:
    """Everything that happens to secrets, good and bad."""
    made = watched.api("POST", "/v1/api-keys", {"name": "canary", "scopes": ["jobs:read", "inference"]})
    secret = made.json()["secret"]
    watched.answers.clear()  # the one answer that shows it
    watched.secrets["a key"] = secret
    job = {
        "model": "made-up/model",
        "name": "canary",
        "runtime": "simulated",
        "hardware_profile": "cpu.small",
        "serving": {"args": QUICK},
        "hf_token": HF_TOKEN,
    }
    assert watched.api("POST", "/v1/jobs", job, **{"Idempotency-Key": HF_TOKEN}).status_code == 202
    external = {"endpoints": [f"{server_url}/v1"], "served_model": "theirs", "api_key": UPSTREAM_KEY}
    theirs = {"model": "their/model", "name": "theirs", "runtime": "external", "external": external}
    assert watched.api("POST", "/v1/jobs", theirs).status_code == 202
    for name in ("canary", "theirs"):
        until(lambda name=name: len(ready_ids(watched.stack, name)) == 1, f"{name} is ready")  # type: ignore[misc]  # bound now
        for stream in (False, True):
            question = {"model": name, "messages": QUESTION, "stream": stream}
            answer = watched.router(
                "POST", "/v1/chat/completions", question, Authorization=f"Bearer {secret}"
            )
            assert answer.status_code == 200, answer.text
    ask_wrongly(watched, job, made.json()["key_id"])
    assert watched.api("POST", "/v1/jobs/canary/restart").status_code == 202
    for path in ("", "/events", "/explain"):
        watched.api("GET", f"/v1/jobs/canary{path}")
    for path in (
        "/v1/jobs",
        "/v1/api-keys",
        "/v1/audit",
        "/v1/projects",
        "/openapi.json",
        "/v1/api-keys/usage",
    ):
        assert watched.api("GET", path).status_code == 200
    watched.router("GET", "/v1/models")
    watched.api("POST", f"/v1/api-keys/{made.json()['key_id']}/revoke")
    watched.api("GET", "/v1/jobs", Authorization=f"Bearer {secret}")
    assert watched.stack.hostler("jobs", "delete", "canary", "--yes", "--wait").returncode == 0


def ask_wrongly(watched: Watched, job: dict[str, object], key_id: str) -> None:
    """Secrets where none belongs; every one of these is refused."""
    for secret in (HF_TOKEN, UPSTREAM_KEY, watched.secrets["a key"]):
        wrong: list[dict[str, object]] = [
            job | {"name": secret},
            job | {"project": secret},
            job | {"model": secret},
            job | {"runtime": secret},
            job | {"runtime_image": f"http://{secret}@x"},
            job | {"hardware_profile": secret},
            job | {"location": secret},
            job | {"priority": secret},
            job | {"endpoint_auth": secret},
            job | {"labels": {f"{secret}!": "x"}},
            job | {"labels": secret},
            job | {"serving": {"args": {f"{secret} ": "x"}}},
            job | {"serving": {"env": {secret: "x"}}},
            job | {"serving": {"args": {"n_ctx": f"{secret}\n"}}},
            job | {"scaling": {"min_replicas": secret}},
            job | {"hf_token": {secret: secret}},
            job | {secret: secret},
            job | {"external": {"endpoints": [f"http://me:{secret}@host/v1"], "api_key": secret}},
            job | {"external": {"endpoints": [secret], "api_key": [secret]}},
        ]
        for body in wrong:
            answer = watched.api("POST", "/v1/jobs", body)
            assert answer.status_code in (400, 409), (body, answer.text)
        assert watched.api("PATCH", "/v1/jobs/canary", {"hf_token": secret}).status_code == 400
        assert watched.api("PATCH", "/v1/jobs/canary", {"hardware_profile": secret}).status_code == 400
        for path in (f"/v1/jobs/{secret}", f"/v1/jobs/{secret}/events", f"/{secret}", f"/problems/{secret}"):
            assert watched.api("GET", path).status_code == 404
        for query in (f"phase={secret}", f"limit={secret}", f"after={secret * 3}"):
            assert watched.api("GET", f"/v1/jobs?{query}").status_code == 400
        watched.api("GET", "/v1/jobs", Authorization=f"Bearer {secret}x")
        watched.api("GET", "/v1/jobs", Authorization=f"Basic {secret}")
        watched.api("GET", "/v1/jobs/canary", **{"X-Request-Id": secret})
        watched.api("GET", "/v1/jobs/canary/events", **{"Last-Event-ID": secret})
        watched.api("PATCH", "/v1/jobs/canary", {"priority": 1}, **{"If-Match": secret})
        watched.api("POST", "/v1/api-keys", {"name": "x", "scopes": [secret]})
        watched.api("PATCH", f"/v1/api-keys/{key_id}", {"name": "x", "secret": secret})
        watched.api("POST", "/v1/projects", {"name": secret})
        for model in (secret, f"default/{secret}"):
            question = {"model": model, "messages": QUESTION}
            assert watched.router("POST", "/v1/chat/completions", question).status_code == 404
        watched.router("POST", "/v1/chat/completions", {"model": [secret]})
        watched.router("POST", f"/v1/{secret}", {})
        watched.router("GET", f"/v1/models/{secret}")
        watched.router("GET", "/v1/models", Authorization=f"Bearer {secret}x", **{"X-Request-Id": secret})


def test_no_answer_shows_a_secret(watched: Watched) -> None:
    assert len(watched.answers) > 100
    assert "made-up/model" in "".join(watched.answers)
    assert [leak for answer in watched.answers for leak in watched.leaks("an answer", answer)] == []


async def test_no_stream_and_no_bucket_holds_a_secret(watched: Watched) -> None:
    stored = await everything_stored(watched.stack)
    streams = {stream for stream, _ in stored}
    assert {"JOBS", "USAGE", "AUDIT", "METRICS", "KV_api_keys", "KV_secrets", "KV_projects"} <= streams
    assert [content for stream, content in stored if stream == "JOBS" and b"made-up/model" in content]
    assert [leak for stream, content in stored for leak in watched.leaks(stream, content)] == []


async def everything_stored(stack: Stack) -> list[tuple[str, bytes]]:
    """Every message of every stream, subject and headers included, and which stream it lies in."""
    password = (stack.data_dir / "nats.password").read_text().strip()
    url = next(
        environ["HOSTLER_NATS_URL"] for _, _, environ in processes(stack) if "HOSTLER_NATS_URL" in environ
    )
    client = await nats.connect(url, user="operator", password=password)
    try:
        jetstream = client.jetstream()
        stored = []
        for info in await jetstream.streams_info():
            name = info.config.name or ""
            for seq in range(max(info.state.first_seq, 1), info.state.last_seq + 1):
                try:
                    message = await jetstream.get_msg(name, seq)
                except nats.js.errors.NotFoundError:
                    continue  # replaced by a later value of its key
                head = f"{message.subject} {message.headers}".encode()
                stored.append((name, head + (message.data or b"")))
        return stored
    finally:
        await client.close()


def test_no_file_holds_a_secret(watched: Watched) -> None:
    layout = DataLayout(watched.stack.data_dir)
    tell_valkey(layout, f"SET {PROBE} {PROBE}\r\n")
    until(lambda: any(PROBE.encode() in content for _, content in files(layout)), "Valkey wrote it down")
    tell_valkey(layout, f"DEL {PROBE}\r\n")
    found = files(layout)
    assert any(b"service.started" in content for path, content in found if "logs" in path.parts)
    assert len([path for path, _ in found if "nats" in path.parts]) > 10
    # The bootstrap key is a secret too, and has one place.
    watched.secrets["the admin's key"] = watched.stack.key
    places = [
        leak
        for path, content in found
        if path != layout.admin_key_file
        for leak in watched.leaks(str(path), content)
    ]
    assert places == []


def tell_valkey(layout: DataLayout, command: str) -> None:
    path = valkey_socket(layout, temporary_dir=Path(tempfile.gettempdir()), user_id=os.getuid())
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(command.encode())
        assert connection.recv(100)[:1] in (b"+", b":")


def files(layout: DataLayout) -> list[tuple[Path, bytes]]:
    return [
        (path, path.read_bytes())
        for path in layout.data_dir.rglob("*")
        if path.is_file() and not path.is_socket()
    ]


def test_no_figure_shows_a_secret(watched: Watched) -> None:
    listed = watched.stack.status()["processes"]
    assert isinstance(listed, list)
    pages = [httpx2.get(f"{each['ops_url']}/metrics").text for each in listed if each["ops_url"]]
    assert len(pages) == 5
    assert "hostler_api_requests_total" in "".join(pages)
    assert [leak for page in pages for leak in watched.leaks("a page of figures", page)] == []


def test_no_process_has_a_secret_in_its_arguments_or_its_environment(watched: Watched) -> None:
    found = list(processes(watched.stack))
    names = " ".join(" ".join(arguments) for _, arguments, _ in found)
    for name in ("nats-server", "valkey-server", "hostler_api", "hostler_router", "hostler_provisioner"):
        assert name in names
    leaks = [
        leak
        for pid, arguments, environ in found
        for leak in watched.leaks(f"process {pid}", f"{arguments} {environ}")
    ]
    assert leaks == []


def processes(stack: Stack) -> Iterator[tuple[int, list[str], dict[str, str]]]:
    """Every process of the stack, by what it was started with."""
    for process in psutil.process_iter():
        try:
            arguments, environ = process.cmdline(), process.environ()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if str(stack.data_dir) in " ".join(arguments) or environ.get("HOSTLER_DATA_DIR") == str(
            stack.data_dir
        ):
            yield process.pid, arguments, environ
