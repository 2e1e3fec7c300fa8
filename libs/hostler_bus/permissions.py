"""What each service may do at NATS, as data; whoever configures the server turns it into users.

One user per service, shared by its instances, with the service's name. What is not listed is refused. `hostler up` writes the
users with these lists, and a test tries every list against a real server. To let a service append one more kind of event, read
one more bucket or write one, change its line in `ACCESS`.

The lists keep services to what is theirs; they are no wall between hostile programs. Whoever may make consumers on a stream
may have the server send that stream's messages to any subject, and NATS does not tell a deletion of a key from a write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hostler_bus.topology import TOPOLOGY, bucket_prefix, bucket_stream
from hostler_contracts import subjects

_API: Final = "$JS.API"

COLLECTOR: Final = "dead-letters"
"""Name of the durable consumer that collects dead letters."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a service needs.

    Attributes:
        events: Names of the events that it appends to JOBS.
        sends: Further subjects that it publishes to.
        serves: Subjects at which it answers requests.
        streams: Streams that it reads.
        consumes: Durable consumers that it answers for, each as stream and name.
        buckets: Buckets that it reads.
        looks_up: Further buckets of which it reads single keys (a pattern), one at a time.
        writes: Buckets that it writes to, each with the keys (a pattern).
        declares: Whether it makes the streams and buckets.
    """

    events: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    streams: tuple[str, ...] = (subjects.JOBS,)
    consumes: tuple[tuple[str, str], ...] = ()
    buckets: tuple[str, ...] = ()
    looks_up: tuple[tuple[str, str], ...] = ()
    writes: tuple[tuple[str, str], ...] = ()
    declares: bool = False


@dataclass(frozen=True, slots=True)
class Permissions:
    """The same in the words of NATS.

    Attributes:
        publish: Patterns of subjects that it may publish to.
        subscribe: Patterns of subjects that it may subscribe to.
        answers: Whether it may also answer once at the reply subject of a message that it got.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool


_EVERY_ROUTER: Final = f"{subjects.ROOT}.rpc.router.*.in_flight"
_EVERY_PROVISIONER: Final = f"{subjects.ROOT}.rpc.provisioner.*.logs"
_LEASES: Final = subjects.BUCKET_LEASES

ACCESS: Final[Mapping[str, Access]] = MappingProxyType(
    {
        "api": Access(
            events=(
                "job.created",
                "job.updated",
                "job.restart_requested",
                "job.stop_requested",
                "job.resume_requested",
                "job.delete_requested",
                "job.scaled",
            ),
            sends=(
                _EVERY_PROVISIONER,
                subjects.SCHEDULER_EXPLAIN,
                subjects.AUTOSCALER_SIMULATE,
                subjects.DEAD_LETTERS_SUBJECTS,
                subjects.REPLAYS_SUBJECTS,
                subjects.AUDIT_SUBJECTS,
            ),
            # What a consumer of any stream has given up is copied from there.
            streams=tuple(stream.name for stream in TOPOLOGY.streams),
            consumes=((subjects.DEAD_LETTER_ADVISORIES, COLLECTOR),),
            buckets=(
                subjects.BUCKET_API_KEYS,
                subjects.BUCKET_KEY_USES,
                subjects.BUCKET_MODEL_MASTERS,
                subjects.BUCKET_HARDWARE_PROFILES,
                subjects.BUCKET_PROJECTS,
                subjects.BUCKET_NODES,
                subjects.BUCKET_SECRETS,
                subjects.BUCKET_IDEMPOTENCY,
                subjects.BUCKET_NAMES,
                _LEASES,
            ),
            writes=(
                (_LEASES, "metric-history"),
                (subjects.BUCKET_API_KEYS, ">"),
                (subjects.BUCKET_KEY_USES, ">"),
                (subjects.BUCKET_MODEL_MASTERS, ">"),
                (subjects.BUCKET_HARDWARE_PROFILES, ">"),
                (subjects.BUCKET_PROJECTS, ">"),
                (subjects.BUCKET_SECRETS, ">"),
                (subjects.BUCKET_IDEMPOTENCY, ">"),
                (subjects.BUCKET_NAMES, ">"),
            ),
            declares=True,
        ),
        "scheduler": Access(
            events=("replica.scheduled", "replica.draining", "job.pending", "job.failed", "job.stopped"),
            serves=(subjects.SCHEDULER_EXPLAIN,),
            buckets=(
                subjects.BUCKET_NODES,
                subjects.BUCKET_HARDWARE_PROFILES,
                subjects.BUCKET_PROJECTS,
                _LEASES,
            ),
            writes=((_LEASES, "scheduler"),),
        ),
        "provisioner": Access(
            events=(
                "replica.importing",
                "replica.booting",
                "replica.loading",
                "replica.ready",
                "replica.unhealthy",
                "replica.draining",
                "replica.terminating",
                "replica.terminated",
                "replica.failed",
                "job.unreachable",
                "job.deleted",
            ),
            sends=(_EVERY_ROUTER,),
            serves=(_EVERY_PROVISIONER,),
            # A profile says what claims the GPUs of a replica in a cluster.
            buckets=(
                subjects.BUCKET_HARDWARE_PROFILES,
                subjects.BUCKET_SECRETS,
                subjects.BUCKET_ROUTERS,
                _LEASES,
            ),
            # It takes the secrets of a deleted job away; the lease has the cluster's name behind the dot.
            writes=((subjects.BUCKET_NODES, ">"), (subjects.BUCKET_SECRETS, ">"), (_LEASES, "provisioner.>")),
        ),
        "router": Access(
            sends=(subjects.METRICS_SUBJECTS, subjects.USAGE_SUBJECTS, subjects.ROUTERS_LOAD),
            serves=(_EVERY_ROUTER, subjects.ROUTERS_LOAD),
            # It counts the routers among which limits are divided while Valkey is away.
            buckets=(subjects.BUCKET_API_KEYS, subjects.BUCKET_PROJECTS, subjects.BUCKET_ROUTERS),
            # Of the secrets nothing but the keys of external servers.
            looks_up=((subjects.BUCKET_SECRETS, "upstream-key.*"),),
            writes=((subjects.BUCKET_ROUTERS, ">"), (subjects.BUCKET_KEY_USES, ">")),
        ),
        "autoscaler": Access(
            events=("job.scaled", "job.advised"),
            sends=(subjects.DECISIONS_SUBJECTS,),
            serves=(subjects.AUTOSCALER_SIMULATE,),
            streams=(subjects.JOBS, subjects.METRICS, subjects.DECISIONS),
            buckets=(subjects.BUCKET_AUTOSCALER, _LEASES),
            writes=((subjects.BUCKET_AUTOSCALER, ">"), (_LEASES, "autoscaler")),
        ),
    }
)
"""By service."""


def permissions_of(service: str) -> Permissions:
    """The lists of one service, a key of `ACCESS`."""
    access = ACCESS[service]
    readable = (*access.streams, *(bucket_stream(bucket) for bucket in access.buckets))
    publish = [
        f"{_API}.STREAM.NAMES",  # to see whether everything has been declared
        *(subjects.job_events_of_kind(event) for event in access.events),
        *access.sends,
        *(f"{bucket_prefix(bucket)}{keys}" for bucket, keys in access.writes),
        *(call for stream in readable for call in _reading(stream)),
        *(f"$JS.ACK.{stream}.{consumer}.>" for stream, consumer in access.consumes),
        *(
            f"{_API}.DIRECT.GET.{bucket_stream(bucket)}.{bucket_prefix(bucket)}{keys}"
            for bucket, keys in access.looks_up
        ),
        *(_declaring() if access.declares else ()),
    ]
    return Permissions(tuple(publish), (f"{inbox_prefix(service)}.>", *access.serves), bool(access.serves))


def inbox_prefix(user: str | None) -> str:
    """Where replies to a user arrive: a place of its own, so that permissions can keep others from reading them."""
    return f"_INBOX_{user or 'anyone'}"


def _reading(stream: str) -> tuple[str, ...]:
    return (
        f"{_API}.STREAM.INFO.{stream}",
        f"{_API}.STREAM.MSG.GET.{stream}",
        f"{_API}.DIRECT.GET.{stream}",
        f"{_API}.DIRECT.GET.{stream}.>",
        f"{_API}.CONSUMER.CREATE.{stream}.>",
        f"{_API}.CONSUMER.MSG.NEXT.{stream}.*",
        f"{_API}.CONSUMER.DELETE.{stream}.*",
    )


def _declaring() -> tuple[str, ...]:
    names = [stream.name for stream in TOPOLOGY.all_streams]
    changes = (f"{_API}.STREAM.{verb}.{name}" for name in names for verb in ("CREATE", "UPDATE"))
    return (f"{_API}.STREAM.LIST", *changes)
