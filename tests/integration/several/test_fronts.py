"""Two apis, two routers: shared ports, shared load, and what a client sees of a sudden death.

Clients that try again must see no failure. A connection that a killed process had accepted is reset, which is honest; such resets
are counted, and the retry goes to the other process.
"""

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field

import httpx2
import pytest

from hostler_domain.api_keys import make_key
from tests.integration.several.conftest import Witness
from tests.support.servers import free_port
from tests.support.services import Service, Services, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ADMIN_KEY = make_key(b"a" * 32)
AUTHORIZED = {"Authorization": f"Bearer {ADMIN_KEY}"}
MODEL = "made-up/model"
TRIES_MAX = 5


def job(name: str | None = None) -> dict[str, object]:
    body: dict[str, object] = {"model": MODEL, "runtime": "simulated", "hardware_profile": "cpu.small"}
    return body if name is None else {**body, "name": name}


def start_apis(services: Services, *ports: int) -> list[Service]:
    key_file = services.folder / "admin.key"
    key_file.touch(mode=0o600)
    key_file.write_text(ADMIN_KEY)
    return [
        services.start("api", f"api-{number}", port=str(port), admin_key_file=str(key_file))
        for number, port in enumerate(ports, start=1)
    ]


async def until_ready(*running: Service) -> None:
    for service in running:
        await until(lambda service=service: service.ready, f"{service.name} is ready")


@dataclass
class Client:
    """One that opens a connection per request, so that the kernel spreads them, and tries again what failed on the way."""

    url: str
    statuses: Counter[int] = field(default_factory=Counter)
    resets: int = 0
    failures: list[str] = field(default_factory=list)

    async def send(self, method: str, path: str, **options: object) -> httpx2.Response | None:
        for _ in range(TRIES_MAX):
            try:
                async with httpx2.AsyncClient(base_url=self.url, headers=AUTHORIZED, timeout=30) as client:
                    answer = await client.request(method, path, **options)  # type: ignore[arg-type]  # passed on
            except httpx2.TransportError:
                self.resets += 1
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code < 500:
                return answer
        self.failures.append(f"{method} {path}")
        return None


async def test_what_one_api_wrote_the_other_reads_at_once(services: Services, witness: Witness) -> None:
    ports = (free_port(), free_port())
    await until_ready(*start_apis(services, *ports))
    first, second = (Client(f"http://127.0.0.1:{port}") for port in ports)
    for number in range(20):
        one, other = (first, second) if number % 2 else (second, first)
        made = await one.send("POST", "/v1/jobs", json=job(f"job-{number}"))
        assert made is not None
        assert made.status_code == 202, made.text
        for name in (made.json()["job_id"], f"job-{number}"):
            found = await other.send("GET", f"/v1/jobs/{name}")
            assert found is not None
            assert (found.status_code, found.json()["job_id"]) == (200, made.json()["job_id"])
        # The ETag of one is good at the other, whose projection may not be there yet.
        path, change = f"/v1/jobs/{made.json()['job_id']}", {"labels": {"number": str(number)}}
        tag = made.headers["ETag"]
        changed = await other.send("PATCH", path, json=change, headers={"If-Match": tag})
        assert changed is not None
        assert changed.status_code == 202, changed.text
        again = await one.send("PATCH", path, json={"labels": {"number": "-1"}}, headers={"If-Match": tag})
        assert again is not None
        assert again.status_code == 412, again.text
    assert witness.bus.connected


async def test_of_two_apis_one_gives_a_name_and_one_idempotency_key_makes_one_job(
    services: Services, witness: Witness
) -> None:
    ports = (free_port(), free_port())
    await until_ready(*start_apis(services, *ports))
    clients = [Client(f"http://127.0.0.1:{port}") for port in ports] * 8

    same_name = await asyncio.gather(*(each.send("POST", "/v1/jobs", json=job("wanted")) for each in clients))
    assert Counter(each.status_code for each in same_name if each) == {202: 1, 409: 15}

    nameless = await asyncio.gather(*(each.send("POST", "/v1/jobs", json=job()) for each in clients))
    names = [each.json()["name"] for each in nameless if each]
    assert len(set(names)) == 16, sorted(names)

    key = {"Idempotency-Key": str(uuid.uuid4())}
    same_key = await asyncio.gather(
        *(each.send("POST", "/v1/jobs", json=job("once"), headers=key) for each in clients)
    )
    assert Counter(each.status_code for each in same_key if each) == {202: 16}
    assert len({each.json()["job_id"] for each in same_key if each}) == 1
    replayed = await clients[1].send("POST", "/v1/jobs", json=job("once"), headers=key)
    assert replayed is not None
    assert replayed.json()["job_id"] == same_key[0].json()["job_id"]  # type: ignore[union-attr]  # answered, as counted above
    other_body = await clients[1].send("POST", "/v1/jobs", json=job("twice"), headers=key)
    assert other_body is not None
    assert other_body.status_code == 422
    assert len(await witness.history()) == 18


async def test_two_apis_share_a_port_and_one_may_be_killed_under_load(
    services: Services, witness: Witness
) -> None:
    port = free_port()
    first, second = start_apis(services, port, port)
    await until_ready(first, second)
    client = Client(f"http://127.0.0.1:{port}")

    await asyncio.gather(*(client.send("GET", "/v1/jobs") for _ in range(60)))
    shares = [each.metric("hostler_api_requests_total") for each in (first, second)]
    assert sum(shares) == 60
    assert min(shares) > 0, "both answered"

    async def create(number: int) -> None:
        key = {"Idempotency-Key": f"key-{number}"}
        await client.send("POST", "/v1/jobs", json=job(f"job-{number}"), headers=key)

    async def work(worker: int) -> None:
        for number in range(10):
            await create(worker * 10 + number)

    working = [asyncio.create_task(work(worker)) for worker in range(6)]
    await until(lambda: client.statuses[202] >= 10, "it is under load")
    first.kill()
    await asyncio.gather(*working)
    print(f"api: 60 creations, one of two killed: {client.resets} connections reset, {client.statuses}")
    assert client.failures == []
    assert client.statuses[202] == 60
    jobs = [message for message in await witness.history() if message.subject.endswith(".job-created")]
    assert len(jobs) == 60, "each was made once, whatever its connection went through"


async def test_two_routers_share_a_port_and_one_may_be_killed_under_load(
    services: Services, witness: Witness
) -> None:
    port = free_port()
    await until_ready(*start_apis(services, free_port()))
    services.start("scheduler", "scheduler-1")
    services.start("provisioner", "provisioner-1", node_cpu_cores="4")
    first, second = (services.start("router", f"router-{number}", port=str(port)) for number in (1, 2))
    await witness.create("demo", runtime="simulated", completion_tokens="2", n_parallel="16")
    await witness.until_ready("demo", 1)
    await until_ready(first, second)
    client = Client(f"http://127.0.0.1:{port}")
    question = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}

    async def ask() -> None:
        await client.send("POST", "/v1/chat/completions", json=question)

    async def work() -> None:
        for _ in range(10):
            await ask()

    await asyncio.gather(*(ask() for _ in range(40)))
    shares = [each.metric("hostler_router_requests_total") for each in (first, second)]
    assert sum(shares) == 40
    assert min(shares) > 0, "both answered"

    working = [asyncio.create_task(work()) for _ in range(6)]
    await until(lambda: client.statuses[200] >= 60, "it is under load")
    first.kill()
    await asyncio.gather(*working)
    print(f"router: 100 requests, one of two killed: {client.resets} connections reset, {client.statuses}")
    assert client.failures == []
    assert client.statuses[200] == 100
