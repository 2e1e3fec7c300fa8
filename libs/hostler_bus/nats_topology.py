"""Making a NATS server look as `topology` says.

One service does so whenever it connects, so it is quick when there is nothing to do, harmless when several processes do it at
once, and brings back the streams in memory after a restart of the server. The others wait for what it makes.
"""

import asyncio
import json

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StoreCompression, StreamConfig

from hostler_bus.topology import DUPLICATE_WINDOW_SECONDS, Storage, StreamSpec, Topology, WhenFull

_UNLIMITED = -1
_LOOK_SECONDS = 0.05
_CALL_SECONDS = 2.0


async def declare(js: JetStreamContext, topology: Topology) -> None:
    """Make what is missing and change what is different."""
    present = {info.config.name: info.config for info in await js.streams_info()}
    for spec in topology.all_streams:
        wanted = config_of(spec, topology.replicas)
        there = present.get(spec.name)
        if there is None:
            await js.add_stream(wanted)
        elif differences(wanted, there):
            await js.update_stream(_merged(there, wanted))


async def wait_until_declared(client: Client, topology: Topology, timeout_seconds: float) -> None:
    """Come back when everything is there that outlives a restart of the server.

    What lies in memory may be missing: whoever reads it tries again, whoever writes it reports it as unavailable.

    Raises:
        nats.errors.Error: something was still missing; the message says what.
    """
    wanted = {spec.name for spec in topology.all_streams if spec.storage is Storage.FILE}
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    while missing := wanted - await _names(client):
        if asyncio.get_running_loop().time() > deadline:
            raise nats.errors.Error(f"not declared yet: {', '.join(sorted(missing))}")
        await asyncio.sleep(_LOOK_SECONDS)


async def _names(client: Client) -> frozenset[str]:
    # The library can list streams only with all that there is to know about them, which not everybody may see.
    answer = json.loads((await client.request("$JS.API.STREAM.NAMES", timeout=_CALL_SECONDS)).data)
    return frozenset(answer.get("streams") or ())


def config_of(spec: StreamSpec, replicas: int | None) -> StreamConfig:
    """The stream in the words of NATS. Fields that stay None are left as the operator has them."""
    return StreamConfig(
        name=spec.name,
        subjects=list(spec.subjects),
        storage=StorageType.MEMORY if spec.storage is Storage.MEMORY else StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW if spec.when_full is WhenFull.REFUSE_NEW else DiscardPolicy.OLD,
        compression=StoreCompression.S2 if spec.compressed else StoreCompression.NONE,
        max_age=float(spec.age_seconds_max or 0),
        max_msgs=spec.messages_max or _UNLIMITED,
        max_bytes=spec.bytes_max,
        max_msgs_per_subject=spec.messages_per_subject_max or _UNLIMITED,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        num_replicas=replicas,
        allow_direct=True,
        allow_rollup_hdrs=spec.is_bucket,
        deny_delete=spec.is_bucket,
        allow_msg_ttl=spec.marker_ttl_seconds is not None,
        subject_delete_marker_ttl=spec.marker_ttl_seconds,
    )


_MANAGED = (
    "subjects",
    "storage",
    "retention",
    "discard",
    "compression",
    "max_age",
    "max_msgs",
    "max_bytes",
    "max_msgs_per_subject",
    "duplicate_window",
    "num_replicas",
    "allow_direct",
    "allow_rollup_hdrs",
    "deny_delete",
    "allow_msg_ttl",
    "subject_delete_marker_ttl",
)


def differences(wanted: StreamConfig, there: StreamConfig) -> tuple[str, ...]:
    """Names of the fields in which the server's stream is not as wanted."""
    return tuple(
        name
        for name in _MANAGED
        if getattr(wanted, name) is not None and (getattr(there, name) or 0) != (getattr(wanted, name) or 0)
    )


def _merged(there: StreamConfig, wanted: StreamConfig) -> StreamConfig:
    changes = {name: getattr(wanted, name) for name in differences(wanted, there)}
    return there.evolve(**changes)
