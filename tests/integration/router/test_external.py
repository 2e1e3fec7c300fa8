"""Servers that a job only adopts: they get their own key and their own name for the model, and nobody else does."""

import json

from hostler_contracts import subjects
from hostler_domain.external import ExternalServers
from tests.integration.router.harness import SECRET_KEY, Harness
from tests.integration.router.replicas import Replica

KEY = "the-servers-own-key"
SECRET = "upstream-key.job-1"


async def adopt(router: Harness, *servers: Replica, **fields: object) -> None:
    urls = tuple(server.url for server in servers)
    external = ExternalServers(urls, **fields)  # type: ignore[arg-type]  # a test's own
    await router.add_job(
        *urls, runtime="external", hardware_profile="external", maximum=len(urls), external=external
    )


async def test_a_server_gets_its_own_key_and_its_own_name_for_the_model(
    router: Harness, first: Replica
) -> None:
    secrets = router.bus.bucket(subjects.BUCKET_SECRETS)
    await secrets.put(SECRET, SECRET_KEY.seal(SECRET, KEY))
    await adopt(router, first, served_model="mine", api_key_secret=SECRET)

    assert (await router.chat(temperature=0.5)).status == 200
    # Once it is known, the key does not depend on the store.
    await secrets.delete(SECRET)
    assert (await router.chat()).status == 200

    assert [seen.headers["authorization"] for seen in first.seen] == [f"Bearer {KEY}"] * 2
    body = json.loads(first.seen[0].body)
    assert (body["model"], body["temperature"]) == ("mine", 0.5)


async def test_a_server_that_asks_for_no_key_gets_none(router: Harness, first: Replica) -> None:
    await adopt(router, first)
    assert (await router.chat()).status == 200
    assert "authorization" not in first.seen[0].headers
    assert json.loads(first.seen[0].body)["model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"


async def test_the_key_goes_to_the_servers_of_its_job_alone(
    router: Harness, first: Replica, second: Replica
) -> None:
    secrets = router.bus.bucket(subjects.BUCKET_SECRETS)
    await secrets.put(SECRET, SECRET_KEY.seal(SECRET, KEY))
    await adopt(router, first, api_key_secret=SECRET)
    await router.add_job(second.url, job_id="job-2", name="ours")

    await router.chat()
    await router.chat("ours")

    assert first.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert second.seen[0].headers["authorization"].startswith("Bearer hsr_")
    assert json.loads(second.seen[0].body)["model"] == "ours"


async def test_without_its_stored_key_a_server_is_not_asked(router: Harness, first: Replica) -> None:
    await adopt(router, first, api_key_secret=SECRET)
    assert (await router.chat()).status == 503
    assert first.seen == []
