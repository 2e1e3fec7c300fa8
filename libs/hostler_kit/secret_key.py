"""The one secret that the services of an installation share, and what is made from it.

It comes from a file that only its owner can read, or that is root's and read by the group of this process, as Kubernetes
mounts a Secret. Tokens are sealed with it (AES-256-GCM, the name of the secret as associated
data, so that a sealed value can't be moved to another name); the key that a replica asks of its callers is derived from it, so
that the provisioner and every router know the key without it ever being stored or sent.
"""

import base64
import hashlib
import hmac
import os
import stat
from pathlib import Path

from hostler_domain.errors import PermanentError

_KEY_BYTES = 32
_NONCE_BYTES = 12


class BadSecret(PermanentError):
    """A key file that can't be used, or a sealed value that this key does not open."""


class SecretKey:
    """32 bytes that never show themselves."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise BadSecret(f"a secret key has {_KEY_BYTES} bytes, this one {len(key)}")
        self._key = key

    def __repr__(self) -> str:
        return "SecretKey(...)"

    def seal(self, name: str, value: str) -> bytes:
        """`value` so that only `open` with the same key and name gives it back."""
        # Late: it takes 7 MiB in every worker of a router, most of which never open anything.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, value.encode(), name.encode())

    def open(self, name: str, sealed: bytes) -> str:
        """What was sealed under `name`.

        Raises:
            BadSecret: it was sealed with another key or under another name, or was changed.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return (
                AESGCM(self._key)
                .decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
                .decode()
            )
        except (InvalidTag, ValueError):
            raise BadSecret(f"the secret {name!r} can't be opened with this key") from None

    def sign(self, purpose: str, text: str) -> str:
        """What only this key makes of `text`; with another purpose it is another."""
        digest = hmac.digest(self._key, f"{purpose}:{text}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def replica_key(self, replica_id: str) -> str:
        """The bearer key that the server of one replica asks for."""
        return "hsr_" + self.sign("replica-key", replica_id)


def require_secret_key(path: Path | None) -> SecretKey:
    """The key in the file that a setting names.

    Raises:
        BadSecret: the setting names none, or one that can't be used.
    """
    if path is None:
        raise BadSecret("HOSTLER_SECRET_KEY_FILE must name the installation's secret key file")
    return read_secret_key(path)


def read_secret_key(path: Path) -> SecretKey:
    """The key in a file of 32 bytes in base64url.

    Raises:
        BadSecret: there is no such file, others can read it, or it holds no key.
    """
    text = read_private(path, "secret key")
    try:
        return SecretKey(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise BadSecret(f"the secret key file {path} holds no base64") from None


def read_private(path: Path, what: str) -> str:
    """The one line of a file that only its owner can read, or that root lets this process's group read.

    Raises:
        BadSecret: there is no such file, or others can read it; `what` says what was wanted.
    """
    try:
        facts = path.stat()
        text = path.read_text().strip()
    except OSError as error:
        raise BadSecret(f"the {what} file {path} can't be read: {error.strerror}") from None
    groups = frozenset((os.getgid(), *os.getgroups()))
    if not is_private(facts.st_mode, owner=facts.st_uid, group=facts.st_gid, user=os.getuid(), groups=groups):
        raise BadSecret(f"the {what} file {path} must be readable by its owner only (chmod 600)")
    return text


def is_private(mode: int, *, owner: int, group: int, user: int, groups: frozenset[int]) -> bool:
    """Whether nobody but this process's user, and root, who may read anything, can be meant to read such a file.

    Kubernetes mounts a Secret as root's, readable by one group that it makes up for the pod; the user could not read it otherwise.
    """
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return True
    beyond_reading = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
    return owner == 0 and user != 0 and group in groups and group != 0 and not mode & beyond_reading
