"""A guest as user data for cloud-init, which carries it out on the machine's first boot.

Pure. The backend puts the text into the machine's Secret. It is `#cloud-config` in JSON, which is YAML as well: what a job's owner wrote
is only ever a JSON string or base64, so no value can become structure. The server is started by a constant unit and a constant
launcher (`launcher.py`) that takes the command and the environment from a JSON file; no shell and no template sees them.
"""

import base64
import json
import re
from collections.abc import Iterable

from hostler_domain.errors import PermanentError
from hostler_provisioner.kubevirt.guest import CACHE_PATH, Guest, GuestFile
from hostler_provisioner.kubevirt.launcher import LAUNCHER, UNIT, UNIT_NAME
from hostler_provisioner.kubevirt.machine import Cache

LAUNCH_PATH = "/etc/hostler/launch.json"
LAUNCHER_PATH = "/usr/local/lib/hostler/launch.py"
CACHE_SERIAL = "hostler-cache"
"""Serial number of the cache's disk, by which the guest finds it."""
CACHE_TAG = "hostler-cache"
"""Tag of the cache's file system, where it is shared."""
SERVER_USER, LOGIN_USER = "hostler", "ubuntu"
SHARED_CACHE_UID = 107
"""A shared cache is written as this user whatever the guest says: KubeVirt's own, which has no right to act as another."""
USER_DATA_BYTES_MAX = 900 * 1024
"""A Secret holds a megabyte."""

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PATH = re.compile(r"(/[A-Za-z0-9._-]+)+", re.ASCII)
_SSH_KEY = re.compile(
    r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" [A-Za-z0-9+/]{16,8192}={0,2}( [^\x00-\x1f\x7f]{0,8192})?"
)


def user_data(guest: Guest, *, hostname: str, cache: Cache) -> str:
    """What cloud-init is to do.

    Args:
        guest: What runs in the machine.
        hostname: Its name.
        cache: How the model cache comes in.

    Raises:
        PermanentError: something in it can't be handed to a machine; the message names it.
    """
    document: dict[str, object] = {
        "hostname": hostname,
        "preserve_hostname": False,
        "ssh_pwauth": False,
        "disable_root": True,
        "growpart": {"mode": "auto", "devices": ["/"], "ignore_growroot_disabled": False},
        "resize_rootfs": True,
        "users": [_user(guest, cache)],
    }
    files = list(guest.files)
    if cache in (Cache.DISK, Cache.EMPTY):
        device = f"/dev/disk/by-id/virtio-{CACHE_SERIAL}"
        # `auto` leaves a file system of this label as it is: a disk that a predecessor filled keeps what is on it.
        document["fs_setup"] = [
            {
                "device": device,
                "filesystem": "ext4",
                "label": "models",
                "partition": "auto",
                "overwrite": False,
            }
        ]
        document["mounts"] = [[device, CACHE_PATH, "ext4", "defaults,nofail,discard", "0", "2"]]
    elif cache is Cache.SHARED:
        document["mounts"] = [[CACHE_TAG, CACHE_PATH, "virtiofs", "defaults,nofail", "0", "0"]]
    if guest.argv:
        commands = [["mkdir", "-p", CACHE_PATH]]
        if cache is not Cache.SHARED:
            commands.append(["chown", SERVER_USER, CACHE_PATH])
        files += [
            GuestFile(LAUNCH_PATH, _launch(guest), 0o600),
            GuestFile(LAUNCHER_PATH, LAUNCHER.encode(), 0o755),
            GuestFile(f"/etc/systemd/system/{UNIT_NAME}", _unit(guest).encode(), 0o644),
        ]
        commands += [
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", "--now", "--no-block", UNIT_NAME],
        ]
        document["runcmd"] = commands
    if files:
        document["write_files"] = [_written(file) for file in files]
    text = "#cloud-config\n" + json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
    if len(text) > USER_DATA_BYTES_MAX:
        raise PermanentError(
            f"what the machine is told has {len(text)} bytes, more than {USER_DATA_BYTES_MAX}"
        )
    return text


def _user(guest: Guest, cache: Cache) -> dict[str, object]:
    """The one user: somebody who logs in, or the server's own, who can't."""
    if guest.ssh_keys:
        for index, key in enumerate(guest.ssh_keys):
            if not _SSH_KEY.fullmatch(key):
                raise PermanentError(f"ssh_keys.{index} is not a public key in OpenSSH's form on one line")
        return {
            "name": LOGIN_USER,
            "shell": "/bin/bash",
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "lock_passwd": True,
            "ssh_authorized_keys": list(guest.ssh_keys),
        }
    user: dict[str, object] = {
        "name": SERVER_USER,
        "system": True,
        "shell": "/usr/sbin/nologin",
        "homedir": "/var/lib/hostler",
        "lock_passwd": True,
    }
    return user | ({"uid": SHARED_CACHE_UID} if cache is Cache.SHARED else {})


def _launch(guest: Guest) -> bytes:
    """The command and the environment as the launcher reads them."""
    for index, argument in enumerate(guest.argv):
        _refuse_null(f"argument {index} of the server ({guest.argv[max(index - 1, 0)][:80]!r})", argument)
    for name, value in _all_env(guest):
        if not _ENV_NAME.fullmatch(name):
            raise PermanentError(f"environment variable {name[:80]!r} is not a name that can be used")
        _refuse_null(f"environment variable {name}", value)
    return json.dumps({"argv": list(guest.argv), "env": dict(_all_env(guest))}, sort_keys=True).encode()


def _all_env(guest: Guest) -> Iterable[tuple[str, str]]:
    """Secrets last, so that no variable of a job takes the place of one."""
    return (*guest.env, *guest.secret_env)


def _refuse_null(what: str, text: str) -> None:
    """Refuse what a process can't be given; JSON could carry it."""
    if "\0" in text:
        raise PermanentError(f"{what} contains a null character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PermanentError(f"{what} is not text: it has half of a character in it") from error


def _unit(guest: Guest) -> str:
    return UNIT.format(
        launcher=LAUNCHER_PATH,
        launch=LAUNCH_PATH,
        user="root" if guest.as_root else SERVER_USER,
        log_name=guest.log_name,
        cache=CACHE_PATH,
        stop_seconds=guest.shutdown_timeout_seconds + 5,
    )


def _written(file: GuestFile) -> dict[str, object]:
    if not _PATH.fullmatch(file.path) or ".." in file.path:
        raise PermanentError(f"{file.path[:80]!r} is not a path of a file in the machine")
    return {
        "path": file.path,
        "encoding": "b64",
        "content": base64.b64encode(file.content).decode(),
        "owner": "root:root",
        "permissions": f"0{file.mode:o}",
    }
