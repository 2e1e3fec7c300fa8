"""What a job is for, and what makes a job without an endpoint valid.

An inference serves a model behind an endpoint. A workspace and a training are one machine each that people reach by SSH: no model,
no requests, no scaling. `spec_rules` refuses by this, the scheduler and the router ask only for the kind.
"""

import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from hostler_domain.errors import FieldError
from hostler_domain.priorities import PRIORITY_CLASSES

MACHINE = "machine"
"""Runtime of a workspace or training: nothing but a machine with an SSH server."""
SSH_KEYS_MAX = 20
_SSH_KEY_LENGTH_MAX = 8192
_SSH_KEY = re.compile(
    r"(?P<type>ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)"
    r" (?P<blob>[A-Za-z0-9+/]+={0,2})(?: [\x21-\x7e]+)*",
    re.ASCII,
)


class JobKind(StrEnum):
    """What a job is for."""

    INFERENCE = "inference"
    WORKSPACE = "workspace"
    TRAINING = "training"


@dataclass(frozen=True, slots=True)
class KindDefaults:
    """What a job of a kind has where nobody says anything else."""

    priority: int
    preemptible: bool


DEFAULTS: Mapping[JobKind, KindDefaults] = MappingProxyType(
    {
        JobKind.INFERENCE: KindDefaults(PRIORITY_CLASSES["very-high"], preemptible=False),
        JobKind.WORKSPACE: KindDefaults(PRIORITY_CLASSES["high"], preemptible=False),
        JobKind.TRAINING: KindDefaults(PRIORITY_CLASSES["low"], preemptible=True),
    }
)
"""Run:ai's: whoever waits for an answer goes before whoever sits at a machine, and a training waits for both and gives way."""


def ssh_key_errors(keys: tuple[str, ...]) -> Iterator[FieldError]:
    """Everything that is wrong with the keys that shall open a machine."""
    if not 1 <= len(keys) <= SSH_KEYS_MAX:
        yield FieldError("ssh_keys", f"must be from 1 to {SSH_KEYS_MAX} keys, got {len(keys)}")
    for number, key in enumerate(keys):
        if not _is_public_key(key):
            yield FieldError(
                f"ssh_keys.{number}",
                "must be an OpenSSH public key on one line, such as 'ssh-ed25519 AAAA... name', without options before it",
            )
        elif key in keys[:number]:
            yield FieldError(f"ssh_keys.{number}", "is given twice")


def _is_public_key(key: str) -> bool:
    match = _SSH_KEY.fullmatch(key) if len(key) <= _SSH_KEY_LENGTH_MAX else None
    if match is None:
        return False
    try:
        blob = binascii.a2b_base64(match["blob"], strict_mode=True)
    except binascii.Error:
        return False
    # The key itself begins with its type once more, after four bytes that give the length of it.
    kind = match["type"].encode()
    begin = len(kind).to_bytes(4, "big") + kind
    return blob.startswith(begin) and len(blob) > len(begin)
