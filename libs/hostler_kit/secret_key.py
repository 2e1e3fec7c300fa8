"""The one secret that the services of an installation share, and what is made from it.

It comes from a file that only its owner can read. Tokens are sealed with it (AES-256-GCM, the name of the secret as associated
data, so that a sealed value can't be moved to another name); the key that a replica asks of its callers is derived from it, so
that the provisioner and every router know the key without it ever being stored or sent.
"""

import base64
import hashlib
import hmac
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, value.encode(), name.encode())

    def open(self, name: str, sealed: bytes) -> str:
        """What was sealed under `name`.

        Raises:
            BadSecret: it was sealed with another key or under another name, or was changed.
        """
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
    try:
        mode = path.stat().st_mode
        text = path.read_text().strip()
    except OSError as error:
        raise BadSecret(f"the secret key file {path} can't be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadSecret(f"the secret key file {path} must be readable by its owner only (chmod 600)")
    try:
        return SecretKey(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise BadSecret(f"the secret key file {path} holds no base64") from None
