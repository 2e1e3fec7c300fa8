"""What a machine is told at its first boot: valid for cloud-init itself, and nothing that a user writes ever becomes structure."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostler_domain.errors import PermanentError
from hostler_provisioner.kubevirt.cloud_init import LAUNCH_PATH, LAUNCHER_PATH, user_data
from hostler_provisioner.kubevirt.guest import Guest, GuestFile
from hostler_provisioner.kubevirt.launcher import LAUNCHER
from hostler_provisioner.kubevirt.machine import Cache
from tests.support.machines import GUEST

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hostlerhostlerhostlerhostler me@home"
WORKSPACE = Guest(argv=(), ssh_keys=(KEY,))
NASTY = (
    "a\nb",
    "#cloud-config\nruncmd: [reboot]",
    "${{ secrets }} $(reboot) `reboot` $HOME %h %%",
    "{{ ds.meta_data }} ## template: jinja",
    "'\"\\ \t --host=1.2.3.4",
    "---\n- !!python/object/apply:os.system [reboot]",
    "\u2028\u0085\ufeff\U0001f600",
)
text = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60
) | st.sampled_from(NASTY)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)


def told(guest: Guest, cache: Cache = Cache.DISK) -> dict[str, Any]:
    """The document, as YAML has it and so cloud-init."""
    return yaml.safe_load(user_data(guest, hostname="r-1", cache=cache))


def files(document: dict[str, Any]) -> dict[str, bytes]:
    return {each["path"]: base64.b64decode(each["content"]) for each in document.get("write_files", ())}


def shape(value: Any) -> Any:
    """A document without what is written in its strings."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("cache", Cache)
@pytest.mark.parametrize("guest", [GUEST, WORKSPACE], ids=["a server", "a workspace"])
def test_cloud_init_itself_takes_it(guest, cache, tmp_path):
    command = shutil.which("cloud-init")
    if command is None:
        pytest.skip("cloud-init is not installed here: Debian's package of that name")
    path = tmp_path / "user-data"
    path.write_text(user_data(guest, hostname="r-1", cache=cache))

    # Warnings of Python inside cloud-init are not ours.
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [command, "schema", "-c", str(path)], capture_output=True, text=True, timeout=60, check=False, env=env
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid cloud-config" in done.stdout


def test_cloud_init_would_refuse_what_is_wrong(tmp_path):
    command = shutil.which("cloud-init")
    if command is None:
        pytest.skip("cloud-init is not installed here: Debian's package of that name")
    path = tmp_path / "user-data"
    path.write_text(
        user_data(GUEST, hostname="r-1", cache=Cache.DISK).replace('"growpart"', '"growpartition"')
    )
    wrong = path.read_text().replace('"permissions": "0600"', '"permissions": 600')
    path.write_text(wrong)

    done = subprocess.run(
        [command, "schema", "-c", str(path)], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode != 0


@given(args=st.lists(text, max_size=5), env=st.dictionaries(names, text, max_size=4), secret=text)
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_arrives_and_changes_no_structure(args, env, secret):
    guest = Guest(argv=("vllm", *args), env=tuple(env.items()), secret_env=(("HF_TOKEN", secret),), port=1)

    document = told(guest)
    plain = told(Guest(argv=("vllm",), port=1))

    launch = json.loads(files(document)[LAUNCH_PATH])
    assert launch["argv"] == ["vllm", *args]
    assert launch["env"] == {**env, "HF_TOKEN": secret}
    assert shape(document) == shape(plain)
    others = {path: content for path, content in files(document).items() if path != LAUNCH_PATH}
    assert others == {path: content for path, content in files(plain).items() if path != LAUNCH_PATH}


@given(args=st.lists(text, max_size=4), env=st.dictionaries(names, text, max_size=3))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_launcher_hands_over_exactly_what_was_written(tmp_path, args, env):
    report = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
    guest = Guest(argv=(sys.executable, "-I", "-c", report, *args), env=tuple(env.items()), port=1)
    content = files(told(guest))
    (tmp_path / "launch.json").write_bytes(content[LAUNCH_PATH])
    launcher = tmp_path / "launch.py"
    launcher.write_bytes(content[LAUNCHER_PATH])

    done = subprocess.run(
        [sys.executable, "-I", str(launcher)],
        env={"CREDENTIALS_DIRECTORY": str(tmp_path), "LEAKED": "no"},
        capture_output=True,
        timeout=60,
        check=True,
    )

    first, second = done.stdout.decode().splitlines()
    assert first.startswith("hostler: starting python")
    seen_args, seen_env = json.loads(second)
    assert seen_args == args
    assert env.items() <= seen_env.items()
    assert "LEAKED" not in seen_env


def test_a_server_that_is_not_there_ends_the_launcher_with_one_line(tmp_path):
    (tmp_path / "launch.json").write_text(json.dumps({"argv": ["/no/such/server"], "env": {}}))
    launcher = tmp_path / "launch.py"
    launcher.write_text(LAUNCHER)

    done = subprocess.run(
        [sys.executable, "-I", str(launcher)],
        env={"CREDENTIALS_DIRECTORY": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == "hostler: /no/such/server can't be started: No such file or directory\n"


@pytest.mark.parametrize(
    ("guest", "words"),
    [
        (Guest(argv=("vllm", "a\0b")), "argument 1 .* null character"),
        (Guest(argv=("vllm", "\ud800")), "half of a character"),
        (Guest(argv=("vllm",), env=(("A", "\0"),)), "environment variable A contains a null"),
        (Guest(argv=("vllm",), env=(("A=B", "1"),)), "'A=B' is not a name"),
        (Guest(argv=("vllm",), env=(("A\nB", "1"),)), "is not a name"),
        (Guest(argv=(), ssh_keys=(KEY, KEY + "\nroot::0:0")), "ssh_keys.1"),
        (Guest(argv=(), ssh_keys=('command="reboot" ' + KEY,)), "ssh_keys.0"),
        (Guest(argv=("vllm",), files=(GuestFile("/etc/../shadow", b""),)), "not a path"),
        (Guest(argv=("vllm", "x" * 2_000_000)), "bytes"),
    ],
)
def test_what_can_not_be_handed_over_is_refused_by_name(guest, words):
    with pytest.raises(PermanentError, match=words):
        user_data(guest, hostname="r-1", cache=Cache.NONE)


def test_no_variable_of_a_job_takes_the_place_of_a_secret():
    guest = Guest(argv=("vllm",), env=(("KEY", "mine"),), secret_env=(("KEY", "the replica's"),))

    assert json.loads(files(told(guest))[LAUNCH_PATH])["env"] == {"KEY": "the replica's"}


def test_files_with_secrets_are_readable_by_root_alone():
    document = told(GUEST)
    modes = {each["path"]: each["permissions"] for each in document["write_files"]}

    assert modes[LAUNCH_PATH] == "0600"
    assert b"hsr_secret" in files(document)[LAUNCH_PATH]
    assert [path for path, content in files(document).items() if b"hsr_secret" in content] == [LAUNCH_PATH]


def test_the_server_runs_as_a_user_who_can_not_log_in_and_nobody_can_with_a_password():
    (user,) = told(GUEST)["users"]

    assert (user["shell"], user["lock_passwd"]) == ("/usr/sbin/nologin", True)
    assert "sudo" not in user
    assert told(GUEST)["ssh_pwauth"] is False


def test_a_workspace_has_its_keys_and_no_server():
    document = told(WORKSPACE)

    assert document["users"][0]["ssh_authorized_keys"] == [KEY]
    assert "write_files" not in document
    assert "runcmd" not in document


def test_a_disk_that_a_predecessor_filled_is_not_formatted_anew():
    (made,) = told(GUEST)["fs_setup"]

    assert (made["partition"], made["overwrite"]) == ("auto", False)
    assert told(GUEST)["mounts"][0][:2] == [made["device"], "/var/lib/hostler/models"]
    assert told(GUEST, Cache.EMPTY)["fs_setup"] == [made]
    assert "fs_setup" not in told(GUEST, Cache.SHARED)
    assert told(GUEST, Cache.SHARED)["mounts"][0][2] == "virtiofs"


def test_the_unit_lets_the_server_end_its_requests():
    unit = files(told(GUEST))["/etc/systemd/system/hostler-runtime.service"].decode()

    assert "TimeoutStopSec=125" in unit
    assert "User=hostler\n" in unit


def test_systemd_itself_takes_the_unit(tmp_path):
    command = shutil.which("systemd-analyze")
    if command is None:
        pytest.skip("systemd-analyze is not installed here")
    content = files(told(GUEST))
    unit = tmp_path / "hostler-runtime.service"
    unit.write_bytes(content["/etc/systemd/system/hostler-runtime.service"])

    done = subprocess.run(
        [command, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )

    complaints = [
        line for line in done.stderr.splitlines() if Path(unit).name in line and "not executable" not in line
    ]
    assert complaints == []
