"""Masters, profiles, the audit, scaling and filters through both clients and the command line, against the real application on a real port."""

import asyncio
import json
from pathlib import Path

import pytest

from hostler_cli.exit_codes import ExitCode
from hostler_client import (
    AsyncHostlerClient,
    Conflict,
    Forbidden,
    HostlerClient,
    Invalid,
    NewHardwareProfile,
    NewMasterOverrides,
    NewMasterParameter,
    NewModelMaster,
    NotFound,
    PreconditionFailed,
)
from hostler_contracts import subjects
from hostler_contracts.what_if import SimulationAnswer
from hostler_domain.changes import JobDeleted
from tests.integration.api.conftest import ADMIN_KEY, READ_KEY, Site
from tests.integration.api.test_tenancy_clients import typed
from tests.support.builders import MODEL, ready, scheduled
from tests.support.eventually import eventually

MASTER = NewModelMaster(
    model="acme/model-7b",
    runtime="vllm",
    parameters={"max-model-len": NewMasterParameter(value="8192", tunable=False)},
    overrides=NewMasterOverrides(root_disk_gb=80, env={"A": "b"}),
    hardware_profile="gpu.a100",
    gpu_count=2,
)
PROFILE = NewHardwareProfile(name="gpu.b200", gpu_model="B200", cpu_cores=16, memory_bytes=2**37)


async def test_the_asynchronous_client_keeps_the_catalogues(url: str) -> None:
    async with AsyncHostlerClient(api_url=url, api_key=ADMIN_KEY) as client:
        made = await client.masters.create(MASTER)
        assert (made.overrides.root_disk_gb, made.parameters["max-model-len"].tunable) == (80, False)
        with pytest.raises(Conflict):
            await client.masters.create(MASTER)
        assert await client.masters.get(MASTER.model) == made
        changed = MASTER.model_copy(update={"gpu_count": 4})
        put = await client.masters.put(changed, revision=made.revision)
        assert (put.gpu_count, put.revision != made.revision) == (4, True)
        with pytest.raises(PreconditionFailed):
            await client.masters.put(MASTER, revision=made.revision)
        with pytest.raises(PreconditionFailed):
            await client.masters.delete(MASTER.model, revision=made.revision)
        assert MASTER.model in [each.model async for each in client.masters.list()]
        await client.masters.delete(MASTER.model, revision=put.revision)
        with pytest.raises(NotFound):
            await client.masters.get(MASTER.model)

        profile = await client.profiles.create(PROFILE)
        dearer = PROFILE.model_copy(update={"price_per_hour": 7.0})
        assert (await client.profiles.put(dearer, revision=profile.revision)).price_per_hour == 7
        with pytest.raises(Invalid):
            await client.profiles.put(PROFILE.model_copy(update={"cpu_cores": -1.0}))
        with pytest.raises(PreconditionFailed):
            await client.profiles.put(PROFILE, revision=profile.revision)
        with pytest.raises(PreconditionFailed):
            await client.profiles.delete(PROFILE.name, revision=profile.revision)
        await client.profiles.delete(PROFILE.name)
        assert PROFILE.name not in [each.name async for each in client.profiles.list()]
        with pytest.raises(NotFound):
            await client.profiles.get(PROFILE.name)

        deeds = [(each.action, each.target) async for each in client.audit.list()]
        assert deeds[:3] == [
            ("hardware_profile.deleted", PROFILE.name),
            ("hardware_profile.replaced", PROFILE.name),
            ("hardware_profile.created", PROFILE.name),
        ]


async def test_the_blocking_client_pages_and_is_refused_what_its_key_may_not(url: str) -> None:
    def work() -> None:
        with HostlerClient(api_url=url, api_key=ADMIN_KEY) as client:
            for number in range(60):
                name = f"machine-{number:02}"
                client.profiles.put(PROFILE.model_copy(update={"name": name}))
            names = [each.name for each in client.profiles.list()]
            assert names == sorted(set(names))
            assert len(names) > 60
            made = client.masters.put(MASTER)
            assert client.masters.get(MASTER.model) == made
            client.masters.delete(MASTER.model, revision=made.revision)
            assert MASTER.model not in [each.model for each in client.masters.list()]
            deeds = list(client.audit.list(action="hardware_profile.created"))
            assert [each.target for each in deeds[:60]] == [f"machine-{n:02}" for n in reversed(range(60))]
            assert next(each.target for each in client.audit.list(before=deeds[0].sequence)) == "machine-58"
        with HostlerClient(api_url=url, api_key=READ_KEY) as reader:
            assert reader.profiles.get("cpu.small").gpu_model is None
            for refused in (lambda: reader.profiles.put(PROFILE), lambda: next(reader.audit.list())):
                with pytest.raises(Forbidden):
                    refused()

    await asyncio.to_thread(work)


async def test_masters_are_put_from_options_and_from_what_get_printed(url: str, tmp_path: Path) -> None:
    options = (
        "--runtime vllm --parameter a=1 --fixed-parameter b=2 --env C=d --root-disk-gb 80 "
        "-g gpu.a100 --gpu-count 2 --context-length 4096 -o json"
    )
    made = await typed(url, "masters", "put", "acme/m", *options.split())
    assert json.loads(made.stdout) == {
        "model": "acme/m",
        "runtime": "vllm",
        "runtime_image": None,
        "parameters": {"a": {"value": "1", "tunable": True}, "b": {"value": "2", "tunable": False}},
        "overrides": {"root_disk_gb": 80, "env": {"C": "d"}},
        "hardware_profile": "gpu.a100",
        "gpu_count": 2,
        "context_length_tokens": 4096,
    }
    file = tmp_path / "master.json"
    file.write_text(made.stdout.replace("acme/m", "acme/n"))
    copied = await typed(url, "masters", "put", "-f", str(file))
    assert "a=1, b=2 (fixed)" in copied.stdout
    assert "acme/n" in (await typed(url, "masters", "list", "-o", "name")).stdout.split()
    assert (await typed(url, "masters", "delete", "acme/n")).exit_code == 0
    assert (await typed(url, "masters", "get", "acme/n")).exit_code == ExitCode.NOT_FOUND
    file.write_text('{"model": "acme/n", "colour": "red"}')
    for wrong in (["-f", str(file)], ["acme/n"], ["--runtime", "vllm"], ["-f", str(tmp_path / "none")]):
        refused = await typed(url, "masters", "put", *wrong)
        assert (refused.exit_code, refused.stdout) == (ExitCode.USAGE, "")
    unknown = await typed(url, "masters", "put", "acme/n", "--runtime", "fast")
    assert (unknown.exit_code, "runtime: must be one of" in unknown.stderr) == (ExitCode.USAGE, True)


async def test_profiles_are_made_changed_and_deleted_from_the_command_line(url: str) -> None:
    options = "--gpu-model B200 --device-name nvidia.com/B --cpu-cores 16 --memory-gib 1.5"
    made = await typed(url, "profiles", "create", "gpu.b200", *options.split(), "-o", "json")
    assert json.loads(made.stdout)["memory_bytes"] == 3 * 2**29
    assert (
        await typed(url, "profiles", "create", "gpu.b200", *options.split())
    ).exit_code == ExitCode.CONFLICT
    changed = await typed(url, "profiles", "update", "gpu.b200", "--price-per-hour", "6", "-o", "json")
    assert json.loads(changed.stdout) == {**json.loads(made.stdout), "price_per_hour": 6}
    assert (await typed(url, "profiles", "update", "gpu.b200")).exit_code == ExitCode.USAGE
    shown = await typed(url, "profiles", "get", "gpu.b200")
    assert shown.stdout.splitlines()[1].split() == ["gpu.b200", "B200", "nvidia.com/B", "16", "1.5", "6"]
    assert "gpu.b200" in (await typed(url, "profiles", "list", "-o", "name")).stdout.split()
    refused = await typed(url, "profiles", "delete", "gpu.b200", key=READ_KEY)
    assert refused.exit_code == ExitCode.AUTH
    assert (await typed(url, "profiles", "delete", "gpu.b200")).exit_code == 0
    needed = await typed(url, "profiles", "delete", "gpu.a100")
    assert (needed.exit_code, "model masters name" in needed.stderr) == (ExitCode.CONFLICT, True)

    audit = await typed(url, "audit", "--action", "hardware_profile.replaced", "--limit", "1")
    assert audit.stdout.splitlines()[1].split()[3] == "hardware_profile.replaced"
    newest = json.loads((await typed(url, "audit", "--limit", "1", "-o", "json")).stdout)
    assert [(each["action"], each["target"]) for each in newest] == [("hardware_profile.deleted", "gpu.b200")]
    earlier = await typed(url, "audit", "--before", str(newest[0]["sequence"]), "-o", "json", "--limit", "2")
    assert [each["action"] for each in json.loads(earlier.stdout)] == [
        "hardware_profile.replaced",
        "hardware_profile.created",
    ]
    assert (await typed(url, "audit", "--action", "nothing")).stdout == ""


async def test_a_job_is_scaled_and_its_replicas_are_listed(site: Site, url: str) -> None:
    options = "--name one --min-replicas 1 --max-replicas 3 --gpu cpu.small -o id"
    job_id = (await typed(url, "deploy", MODEL, *options.split())).stdout.strip()
    entry = await site.log.find(job_id)
    assert entry is not None
    for change in (scheduled(), ready()):
        entry = await site.log.append(entry, change)
    await eventually(lambda: (site.jobs.get(job_id) or entry).seq == entry.seq)
    scaled = await typed(url, "jobs", "scale", "one", "3", "-o", "json")
    assert json.loads(scaled.stdout)["status"]["desired_replicas"] == 3
    assert (await typed(url, "jobs", "scale", "one", "4")).exit_code == ExitCode.USAGE
    held = await typed(url, "scale", "one", "3", "--for", "2h", "-o", "json")
    assert json.loads(held.stdout)["status"]["hold"]["replicas"] == 3
    assert "held      at 3 until " in (await typed(url, "jobs", "get", "one")).stdout
    assert (await typed(url, "scale", "one", "3", "--for", "soon")).exit_code == ExitCode.USAGE
    table = (await typed(url, "jobs", "replicas", "one")).stdout.splitlines()
    assert [line.split()[:2] for line in table] == [["REPLICA", "STATE"], ["r1", "Ready"]]
    assert (await typed(url, "jobs", "replicas", "one", "-o", "id")).stdout == "r1\n"
    assert (
        json.loads((await typed(url, "jobs", "replicas", "one", "-o", "json")).stdout)[0]["state"] == "Ready"
    )
    async with AsyncHostlerClient(api_url=url, api_key=ADMIN_KEY) as client:
        assert [each.replica_id for each in await client.jobs.replicas("one")] == ["r1"]
        assert (await client.jobs.scale("one", 2)).status.desired_replicas == 2


async def test_a_shadow_from_the_command_line(site: Site, url: str) -> None:
    options = "--name one --max-replicas 3 --gpu cpu.small --target-rps 5 --target-latency 900 -o id"
    await typed(url, "deploy", MODEL, *options.split())
    assert (await typed(url, "shadow", "set", "one")).exit_code == ExitCode.USAGE
    there = await typed(
        url, "shadow", "set", "one", "--target-rps", "2", "--stabilisation", "0", "-o", "json"
    )
    scaling = json.loads(there.stdout)["spec"]["scaling"]
    assert scaling["shadow"]["targets"] == [
        {"metric": "latency_p95", "threshold": 900.0, "percentage": 100},
        {"metric": "throughput", "threshold": 2.0, "percentage": 100},
    ]
    assert (scaling["shadow"]["stabilisation_window_seconds"], scaling["shadow"]["mode"]) == (0, None)
    assert "no decision of its shadow policy" in (await typed(url, "shadow", "show", "one")).stdout
    promoted = json.loads((await typed(url, "shadow", "promote", "one", "-o", "json")).stdout)
    assert promoted["spec"]["scaling"]["stabilisation_window_seconds"] == 0
    assert (await typed(url, "shadow", "promote", "one")).exit_code == ExitCode.CONFLICT
    await typed(url, "shadow", "set", "one", "--scaling-mode", "slo")
    cleared = json.loads((await typed(url, "shadow", "clear", "one", "-o", "json")).stdout)
    assert cleared["spec"]["scaling"]["shadow"] is None


async def test_what_can_not_be_asked_of_scaling_is_refused_by_its_option_or_field(
    site: Site, url: str
) -> None:
    await typed(
        url,
        "deploy",
        MODEL,
        *["--name", "one", "--max-replicas", "3", "--gpu", "cpu.small", "--target-rps", "5"],
    )
    for asked, told in (
        ("shadow set one --target-rps 0", "must be above 0"),
        ("scale one 2 --for 10s", "--for: must be from 1m to 30d"),
        ("simulate one --since 4d", "--since: must be from 1m to 3d"),
        ("simulate one --target-rps 0", "target_rps"),
    ):
        done = await typed(url, *asked.split())
        assert done.exit_code == ExitCode.USAGE, asked
        assert told in done.output, asked
    done = await typed(url, *["simulate", "one", "--min-replicas", "9"])
    assert "scaling.max_replicas: must be at least min_replicas (9)" in done.output
    assert "initial_replicas" not in done.output


async def test_a_job_of_which_nothing_is_recorded_is_told_how_to_see_that(site: Site, url: str) -> None:
    async def refuse(_: bytes) -> bytes:
        return SimulationAnswer(refusal="no decision is recorded since yesterday").model_dump_json().encode()

    await typed(
        url,
        "deploy",
        MODEL,
        *["--name", "one", "--max-replicas", "3", "--gpu", "cpu.small", "--target-rps", "5"],
    )
    served = await site.bus.serve(subjects.AUTOSCALER_SIMULATE, refuse, queue="autoscaler")
    done = await typed(url, "simulate", "one", "--since", "6h")
    await served.close()
    assert done.exit_code == ExitCode.CONFLICT
    assert "nothing can be replayed: no decision is recorded since yesterday" in done.output
    assert "hint: `hostler explain one --since 6h`" in done.output
    assert "name that is taken" not in done.output


async def test_a_wait_for_the_end_of_a_job_that_is_gone_is_over(site: Site, url: str) -> None:
    job_id = (await typed(url, "deploy", MODEL, "--name", "one", "-o", "id")).stdout.strip()
    assert (await typed(url, "jobs", "delete", "one")).exit_code == 0
    entry = await site.log.find(job_id)
    assert entry is not None
    if not entry.job.deleted:
        await site.log.append(entry, JobDeleted(entry.job.status.phase_since))
    await eventually(lambda: (known := site.jobs.get(job_id)) is not None and known.job.deleted)
    assert (await typed(url, "jobs", "wait", "one", "--for", "deleted", "-o", "id")).stdout == f"{job_id}\n"
    for never in (["one", "--for", "ready"], ["two", "--for", "deleted"]):
        assert (await typed(url, "jobs", "wait", *never)).exit_code == ExitCode.NOT_FOUND


async def test_jobs_are_listed_by_model_and_by_all_of_their_labels(url: str) -> None:
    for name, labels in (("a", ["team=x", "tier=1"]), ("b", ["team=x"]), ("c", [])):
        flags = [part for label in labels for part in ("--label", label)]
        assert (await typed(url, "deploy", MODEL, "--name", name, *flags)).exit_code == 0
    other = await typed(
        url, "deploy", "Qwen/Qwen3-8B", "--name", "d", "--label", "team=x", "--root-disk-gb", "99"
    )
    assert other.exit_code == 0
    listed = {
        " ".join(filters): (await typed(url, "jobs", "list", "-o", "name", *filters)).stdout.split()
        for filters in (
            ["--label", "team=x"],
            ["--label", "team=x", "--label", "tier=1"],
            ["--model", MODEL],
            ["--model", MODEL, "--label", "team=x"],
            ["--phase", "Running"],
        )
    }
    assert list(listed.values()) == [["d", "b", "a"], ["a"], ["c", "b", "a"], ["b", "a"], []]
    nothing = await typed(url, "jobs", "list", "--label", "team=y")
    assert "no such jobs" in nothing.stderr
    assert (await typed(url, "jobs", "list", "--label", "team")).exit_code == ExitCode.USAGE
    async with AsyncHostlerClient(api_url=url, api_key=ADMIN_KEY) as client:
        found = client.jobs.list(model="Qwen/Qwen3-8B", labels={"team": "x"})
        assert [(each.name, (each.spec.model_extra or {})["root_disk_gb"]) async for each in found] == [
            ("d", 99)
        ]
