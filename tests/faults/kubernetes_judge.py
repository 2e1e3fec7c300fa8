"""The judge of what became of a cluster: reads the fake cluster's own log and the names of the jobs that should be there, and nothing else.

Pure. Whoever runs the faults calls it at the end, and once it is calm. What it finds is said in words, with the revision at which it
happened.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from tests.faults.checker import Violation
from tests.support.kubernetes.journal import Asked, Entry, Written

VMIS = "virtualmachineinstances.kubevirt.io"
_MANAGED = ("app.kubernetes.io/managed-by", "hostler")
_JOB, _REPLICA = "hostler.dev/job", "hostler.dev/replica"
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def of_hostler(entries: Iterable[Entry]) -> list[Written]:
    """What happened to objects that Hostler made, by their labels."""
    key, value = _MANAGED
    return [each for each in entries if isinstance(each, Written) and each.labels.get(key) == value]


def living(entries: Iterable[Entry]) -> dict[str, Written]:
    """The objects of Hostler that are there at the end, by UID, each as it is then."""
    found: dict[str, Written] = {}
    for each in of_hostler(entries):
        if each.what == "deleted":
            found.pop(each.uid, None)
        else:
            found[each.uid] = each
    return found


def machines(entries: Iterable[Entry]) -> dict[str, list[Written]]:
    """The VMIs that are there at the end, by job."""
    found: dict[str, list[Written]] = {}
    for each in living(entries).values():
        if each.resource == VMIS:
            found.setdefault(each.labels.get(_JOB, ""), []).append(each)
    return found


def doubles(entries: Iterable[Entry]) -> list[Violation]:
    """Two VMIs of one replica at one instant, or one replica that was made a second time."""
    there: dict[tuple[str, str], set[str]] = {}
    made: Counter[tuple[str, str]] = Counter()
    found = []
    for each in of_hostler(entries):
        if each.resource != VMIS:
            continue
        owner = (each.labels.get(_JOB, ""), each.labels.get(_REPLICA, ""))
        uids = there.setdefault(owner, set())
        if each.what == "deleted":
            uids.discard(each.uid)
        elif each.what == "created":
            made[owner] += 1
            uids.add(each.uid)
            if len(uids) > 1:
                found.append(
                    Violation(
                        "twins",
                        f"replica {owner[1]} of job {owner[0]} has {len(uids)} VMIs at revision {each.revision}",
                    )
                )
            elif made[owner] > 1:
                found.append(
                    Violation("twins", f"replica {owner[1]} was made again at revision {each.revision}")
                )
    return found


def unmarked(entries: Iterable[Entry]) -> list[Violation]:
    """VMIs that don't say whose they are: nobody could ever sweep them up."""
    return [
        Violation("orphan", f"VMI {each.name} was made at revision {each.revision} without job or replica")
        for each in entries
        if isinstance(each, Written)
        and (each.resource, each.what) == (VMIS, "created")
        and not (each.labels.get(_JOB) and each.labels.get(_REPLICA))
    ]


def orphans(entries: Iterable[Entry], jobs: Collection[str]) -> list[Violation]:
    """Objects of whatever kind that are there at the end and belong to none of the living jobs."""
    return [
        Violation("orphan", f"{each.resource} {each.name} of job {each.labels.get(_JOB)} is still there")
        for each in sorted(living(entries).values(), key=lambda each: each.revision)
        if each.labels.get(_JOB) not in jobs
    ]


def miscounted(entries: Iterable[Entry], wanted: Mapping[str, int]) -> list[Violation]:
    """Jobs whose VMIs at the end are more or fewer than wanted; to be asked once it is calm."""
    found = machines(entries)
    return [
        Violation("unsettled", f"job {job_id} has {len(found.get(job_id, ()))} VMIs instead of {count}")
        for job_id, count in sorted(wanted.items())
        if len(found.get(job_id, ())) != count
    ]


def strangers(entries: Iterable[Entry], replicas: Collection[str]) -> list[Violation]:
    """VMIs of replicas that were never scheduled."""
    made = {
        each.labels.get(_REPLICA, "")
        for each in of_hostler(entries)
        if each.resource == VMIS and each.what == "created"
    }
    return [
        Violation("orphan", f"replica {each} had a VMI and was never scheduled")
        for each in sorted(made - set(replicas))
    ]


def overcommitted(entries: Iterable[Entry]) -> list[Violation]:
    """VMIs that found no room on any node: somebody took GPUs for free that were not."""
    seen: set[str] = set()
    found = []
    for each in of_hostler(entries):
        if each.resource == VMIS and each.unschedulable and each.uid not in seen:
            seen.add(each.uid)
            found.append(Violation("room", f"VMI {each.name} found no room at revision {each.revision}"))
    return found


def asked_to_delete(entries: Iterable[Entry], since: float, until: float) -> list[Asked]:
    """Deletions of VMIs that were asked for within a span of time and took effect."""
    return [
        each
        for each in entries
        if isinstance(each, Asked)
        and each.verb in ("delete", "deletecollection")
        and each.resource == VMIS
        and since <= each.at <= until
        and each.status == 200
    ]


def busiest(entries: Iterable[Entry], since: float, until: float, window_seconds: float = 1.0) -> int:
    """The most requests that began within any window of a span of time; watches are counted when they begin."""
    began = sorted(
        begun
        for each in entries
        if isinstance(each, Asked) and since <= (begun := each.at - each.ms / 1000) <= until
    )
    return max(
        (bisect_left(began, start + window_seconds) - number for number, start in enumerate(began)), default=0
    )


def creations(entries: Iterable[Entry]) -> Counter[str]:
    """How often a VMI of each name was created with success."""
    return Counter(
        each.name for each in of_hostler(entries) if (each.resource, each.what) == (VMIS, "created")
    )


def judge(
    entries: Sequence[Entry], *, jobs: Collection[str], replicas: Collection[str] | None = None
) -> list[Violation]:
    """All that must hold of a cluster at any time, and of what is left in it now."""
    return [
        *doubles(entries),
        *unmarked(entries),
        *orphans(entries, jobs),
        *overcommitted(entries),
        *(strangers(entries, replicas) if replicas is not None else ()),
    ]
