"""Keys and projects through both clients and the command line, against the real application on a real port."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hostler_api.usage import UsageTotals
from hostler_cli.app import app
from hostler_cli.exit_codes import ExitCode
from hostler_client import (
    AsyncHostlerClient,
    Conflict,
    HostlerClient,
    Invalid,
    KeyChanges,
    Limits,
    NewApiKey,
    NewLimits,
    NewProject,
    NotFound,
    ProjectChanges,
)
from tests.integration.api.conftest import ADMIN_KEY, KEEPER_KEY, Site
from tests.support.builders import NOW
from tests.support.usage import event, request


async def typed(url: str, *arguments: str, key: str = ADMIN_KEY) -> Result:
    """A command, as it is typed, in a thread of its own."""
    environ = {"HOSTLER_API_URL": url, "HOSTLER_API_KEY": key, "HOSTLER_DATA_DIR": "/nonexistent"}
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


async def test_the_asynchronous_client_does_all_that_there_is_to_keys_and_projects(url: str) -> None:
    async with AsyncHostlerClient(api_url=url, api_key=ADMIN_KEY) as client:
        project = await client.projects.create(NewProject(name="new", gpu_limit=4))
        changed = await client.projects.update("new", ProjectChanges(gpu_limit=None, description="d"))
        assert changed == project.model_copy(update={"gpu_limit": None, "description": "d"})
        assert [each.name async for each in client.projects.list()] == ["default", "new", "team"]

        made = await client.keys.create(NewApiKey(name="ci", scopes=["jobs:read"], project="new"))
        assert made.secret.get_secret_value() not in repr(made)
        assert (await client.keys.rename(made.key_id, "cd")).name == "cd"
        rotated = await client.keys.rotate(made.key_id, overlap_seconds=0)
        assert rotated.secret != made.secret
        with pytest.raises(Conflict):
            await client.projects.delete("new")
        assert (await client.keys.revoke(made.key_id)).status == "revoked"
        assert [each.key_id async for each in client.keys.list(status="revoked")] == [made.key_id]
        assert (await client.keys.usage(made.key_id)).data == ()
        await client.projects.delete("new")
        with pytest.raises(NotFound):
            await client.projects.get("new")


async def test_the_blocking_client_pages_through_all_keys(url: str) -> None:
    def work() -> tuple[list[str], list[str], str]:
        with HostlerClient(api_url=url, api_key=KEEPER_KEY) as client:
            with pytest.raises(Invalid) as refused:
                client.keys.create(NewApiKey(name="wide", scopes=["admin"]))
            made = [client.keys.create(NewApiKey(name=f"k{n}", scopes=["jobs:read"])) for n in range(60)]
            listed = [key.key_id for key in client.keys.list(sort="created_at")]
            return [key.key_id for key in made], listed, refused.value.errors[0].field

    made, listed, field = await asyncio.to_thread(work)
    assert ([key_id for key_id in listed if key_id in made], field) == (made, "scopes")
    assert len(set(listed)) == len(listed)


async def test_a_secret_is_all_that_a_new_key_prints_to_stdout(url: str, tmp_path: Path) -> None:
    done = await typed(url, "keys", "create", "ci", "--scope", "jobs:read", "--scope", "inference")
    secret = done.stdout.strip()
    assert (done.exit_code, done.stdout.count("\n"), secret[:4]) == (0, 1, "hsk_")
    assert "the only time" in done.stderr
    assert (await typed(url, "jobs", "list", key=secret)).exit_code == 0
    listed = await typed(url, "keys", "list", "-o", "json")
    assert secret not in listed.output
    (key,) = [each for each in json.loads(listed.stdout) if each["name"] == "ci"]
    assert key["scopes"] == ["jobs:read", "inference"]

    renamed = await typed(url, "keys", "update", key["key_id"], "--name", "cd", "-o", "name")
    assert renamed.stdout == "cd\n"
    rotated = await typed(url, "keys", "rotate", key["key_id"], "--overlap-seconds", "0", "-o", "json")
    assert json.loads(rotated.stdout)["secret"] not in (secret, "**********")
    assert (await typed(url, "jobs", "list", key=secret)).exit_code == ExitCode.AUTH
    assert (await typed(url, "keys", "revoke", key["key_id"], "-o", "id")).stdout == key["key_id"] + "\n"
    shown = (await typed(url, "keys", "get", key["key_id"])).stdout
    assert "revoked" in shown
    assert (await typed(url, "keys", "get", "nobody")).exit_code == ExitCode.NOT_FOUND


async def test_a_key_is_made_for_some_jobs_and_for_a_while(url: str) -> None:
    options = "--scope inference --project team --allowed-job a --allowed-job b --expires-in 0.5 -o json"
    done = await typed(url, "keys", "create", "ci", *options.split())
    key = json.loads(done.stdout)
    assert (key["project"], key["allowed_jobs"]) == ("team", ["a", "b"])
    assert key["expires_at"] is not None


async def test_the_asynchronous_client_sets_limits_and_takes_them_away(url: str) -> None:
    async with AsyncHostlerClient(api_url=url, api_key=ADMIN_KEY) as client:
        wanted = NewLimits(requests_per_minute=60, concurrency=2)
        key = await client.keys.create(NewApiKey(name="ci", scopes=["inference"], limits=wanted))
        assert key.limits == Limits(requests_per_minute=60, concurrency=2)
        changes = KeyChanges(limits=NewLimits(tokens_per_minute=9, concurrency=None))
        changed = await client.keys.update(key.key_id, changes)
        assert changed.limits == Limits(requests_per_minute=60, tokens_per_minute=9)
        assert (await client.keys.update(key.key_id, KeyChanges(limits=None))).limits is None
        project = await client.projects.create(NewProject(name="new", limits=wanted))
        assert project.limits == Limits(requests_per_minute=60, concurrency=2)
        changed_project = await client.projects.update("new", ProjectChanges(limits=None))
        assert changed_project.limits is None


async def test_limits_are_set_from_the_command_line(url: str) -> None:
    options = "--scope inference --rpm 60 --tpm 1000 --concurrency 3 -o json"
    made = await typed(url, "keys", "create", "ci", *options.split())
    key = json.loads(made.stdout)
    assert key["limits"] == {"requests_per_minute": 60, "tokens_per_minute": 1000, "concurrency": 3}
    changed = await typed(url, "keys", "update", key["key_id"], "--rpm", "none", "--concurrency", "5")
    assert "1000 tpm, 5 at once" in changed.stdout
    assert (await typed(url, "keys", "update", key["key_id"])).exit_code == ExitCode.USAGE
    assert (await typed(url, "keys", "update", key["key_id"], "--tpm", "lots")).exit_code == ExitCode.USAGE
    assert (await typed(url, "keys", "update", key["key_id"], "--tpm", "0")).exit_code != 0

    assert (await typed(url, "projects", "create", "new", "--rpm", "600")).exit_code == 0
    project = await typed(url, "projects", "update", "new", "--tpm", "9000", "-o", "json")
    assert json.loads(project.stdout)["limits"] == {
        "requests_per_minute": 600,
        "tokens_per_minute": 9000,
        "concurrency": None,
    }
    assert "600 rpm, 9000 tpm" in (await typed(url, "projects", "list")).stdout


async def test_usage_is_printed_by_time_and_key(site: Site, url: str) -> None:
    usage: UsageTotals = site.app.state.usage
    usage.take(event(request(key_id="key-of-team"), request(key_id="key-of-team")))
    times = ("--start", "2026-11-21", "--end", "2026-11-22T00:00Z")
    done = await typed(url, "keys", "usage", "key-of-team", "--granularity", "hour", *times)
    assert done.stdout.splitlines()[1].split() == [
        f"{NOW:%Y-%m-%d}",
        f"{NOW:%H:00}",
        "key-of-team",
        "2",
        "0",
        "10",
        "4",
        "0",
    ]
    everyone = await typed(url, "keys", "usage", "-o", "json", *times)
    assert json.loads(everyone.stdout)["data"][0]["requests"] == 2
    assert (await typed(url, "keys", "usage", "--start", "soon")).exit_code == ExitCode.USAGE


async def test_projects_are_made_changed_and_deleted_from_the_command_line(url: str) -> None:
    made = await typed(url, "projects", "create", "new", "--gpu-quota", "2", "--gpu-limit", "4", "-o", "json")
    assert (json.loads(made.stdout)["gpu_quota"], json.loads(made.stdout)["gpu_limit"]) == (2, 4)
    changed = await typed(url, "projects", "update", "new", "--gpu-quota", "none", "-o", "json")
    assert (json.loads(changed.stdout)["gpu_quota"], json.loads(changed.stdout)["gpu_limit"]) == (None, 4)
    assert (await typed(url, "projects", "update", "new", "--gpu-limit", "-1")).exit_code == ExitCode.USAGE
    assert (await typed(url, "projects", "update", "new")).exit_code == ExitCode.USAGE
    assert (await typed(url, "projects", "list", "-o", "name")).stdout.split() == ["default", "new", "team"]
    assert "none" in (await typed(url, "projects", "get", "new")).stdout
    assert (await typed(url, "projects", "create", "new")).exit_code == ExitCode.CONFLICT
    assert (await typed(url, "projects", "delete", "new", "--yes")).exit_code == 0
    assert (await typed(url, "projects", "get", "new")).exit_code == ExitCode.NOT_FOUND
    refused = await typed(url, "projects", "create", "mine", key=KEEPER_KEY)
    assert refused.exit_code == ExitCode.AUTH
