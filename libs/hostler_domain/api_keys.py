"""The form of an API key: `hsk_`, a random part, and a checksum that tells a mistyped key from an unknown one.

`hostler up` makes the first admin key with it and the api makes all later ones; the router checks the checksum before it
looks anything up. Randomness comes in as bytes. Nothing here keeps a key: what is stored is its hash and its first
characters.
"""

import hashlib
import zlib
from typing import Final

PREFIX: Final = "hsk_"
RANDOM_BYTES_MIN: Final = 20
"""160 bits: beyond guessing, and a fast hash of it is safe to store."""
DISPLAY_LENGTH: Final = 12
CHECKSUM_LENGTH: Final = 6
"""62**6 is above 2**32, so that every CRC32 fits."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BITS_PER_CHARACTER: Final = 5.954196310386875


def make_key(random_bytes: bytes) -> str:
    """Give the key that these random bytes stand for; the same bytes give the same key."""
    if len(random_bytes) < RANDOM_BYTES_MIN:
        raise ValueError(f"a key needs at least {RANDOM_BYTES_MIN} random bytes, got {len(random_bytes)}")
    width = int(len(random_bytes) * 8 / _BITS_PER_CHARACTER) + 1
    body = PREFIX + _base62(int.from_bytes(random_bytes, "big"), width)
    return body + _checksum(body)


def checksum_ok(key: str) -> bool:
    """Tell whether this text can be a key at all: right prefix, right letters, right checksum."""
    body, checksum = key[:-CHECKSUM_LENGTH], key[-CHECKSUM_LENGTH:]
    random_part = body.removeprefix(PREFIX)
    if not body.startswith(PREFIX) or not random_part or not set(random_part) <= set(_ALPHABET):
        return False
    return checksum == _checksum(body)


def hash_key(key: str) -> str:
    """Give what is stored in place of the key: its SHA-256 in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def display_prefix(key: str) -> str:
    """Give the characters by which people tell their keys apart; too few to be of use to anyone else."""
    return key[:DISPLAY_LENGTH]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _base62(number: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits.rjust(width, _ALPHABET[0])
