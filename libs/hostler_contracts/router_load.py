"""What routers tell each other: how much each has on every replica, so that none sends its requests where the others have sent theirs.

A core message without a stream: the next one says the same anew. It is no event, so it has no envelope. Routers alone write and read it.
"""

from typing import Final

import msgspec

from hostler_domain.errors import PermanentError

REQUESTS_MAX: Final = float(2**31)
WORK_MAX: Final = float(2**43)


class ReplicaWork(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one router has on one replica, on an average of the last second: requests under way, and their work in the router's unit."""

    requests: float
    work: float


class RouterLoad(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one router has under way.

    Attributes:
        router: Which router process.
        life: One life of it, so that what a dead one said last is told from what its successor says; a later life sorts behind.
        number: Of this message in that life, from 1.
        replicas: By replica id; those without requests are left out.
    """

    router: str
    life: str
    number: int
    replicas: dict[str, ReplicaWork]


class UndecodableLoad(PermanentError):
    """Bytes that say nothing about a router's load."""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(RouterLoad).decode


def encode_load(load: RouterLoad) -> bytes:
    """As it is sent."""
    return _encode(load)


def decode_load(data: bytes) -> RouterLoad:
    """The load in `data`.

    Raises:
        UndecodableLoad: there is none in it, or there are numbers in it that can't be.
    """
    try:
        load = _decode(data)
    except msgspec.DecodeError as error:
        raise UndecodableLoad(f"no load of a router: {error}") from None
    for each in load.replicas.values():
        if not (0 < each.requests < REQUESTS_MAX and 0 <= each.work < WORK_MAX):
            raise UndecodableLoad(
                "no load of a router: a replica has a number of requests, or work, that can't be"
            )
    return load
