"""What is kept for replicas that found no room, and who gives way where nothing that ends by itself would make it.

`room` keeps one per plan. A waiting replica first gets room that drains for its own job, then room that drains for nobody, then
room that drains for a job after it. Only where none of that suffices does it take other replicas' room: of lower priority always,
and expendable. So a job whose victims still drain takes no others.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from hostler_domain.capacity import Resources
from hostler_domain.job import Job, Replica
from hostler_domain.replica_states import ReplicaReason
from hostler_scheduler.actions import DrainReplica
from hostler_scheduler.filter import Request
from hostler_scheduler.nodes import Nodes
from hostler_scheduler.shares import Shares
from hostler_scheduler.victims import Victim, expendable, fewest, regrets

_NOTHING = Resources()


class Waiting:
    """Room to come while one plan is made."""

    def __init__(
        self,
        jobs: tuple[Job, ...],
        nodes: Nodes,
        shares: Shares,
        ending: Mapping[str, frozenset[str]],
    ) -> None:
        self._jobs = jobs
        self._nodes = nodes
        self._shares = shares
        self._ending = ending
        self.given_way: dict[str, tuple[DrainReplica, ...]] = {}
        self.taken = 0
        # Nodes with something that drains, and at each what of it is kept for whom.
        self._soon: set[str] = set()
        self._kept: dict[str, dict[str, Resources]] = {}
        # What may be taken away for a job of a priority, by node; jobs come with ever lower ones.
        self._offered: dict[str, list[Victim]] = {}
        self._offered_below: int | None = None
        # Requests that no node will have room for by itself, and those that nothing will make room for, until something gives way.
        self._unpromised: set[tuple[object, ...]] = set()
        self._hopeless: set[tuple[object, ...]] = set()

    def gives_back(self, replica: Replica) -> None:
        """A replica is about to end, and its node is one of ours."""
        key, job_id = replica.placement.node_key, replica.yields_to
        self._soon.add(key)
        if job_id is not None:
            kept = self._kept.setdefault(job_id, {})
            kept[key] = kept.get(key, _NOTHING) + replica.placement.taken

    def passed(self, job_id: str) -> None:
        """Keep nothing more for this job."""
        self._kept.pop(job_id, None)

    def make_way(self, job: Job, request: Request, *, at: str | None) -> str | None:
        """Where one more replica of the job will have room, after others gave way if need be: at the node `at` if that has some; None for nowhere."""
        needed = request.needed
        if self._shares.over_quota(job, needed.gpus):
            return None
        below = self._shares.missing_below_limit(job, needed.gpus)
        key = at or self._promised(job, request)
        if key is not None and below <= 0:
            return key
        if key is None and request.key in self._hopeless:
            return None
        found = self._victims(job, request, key, below)
        if found is None:
            if below <= 0:
                self._hopeless.add(request.key)
            return None
        key, victims = found
        for victim in victims:
            there = victim.replica.placement.node_key == key
            self._take_away(victim, yields_to=job.job_id if there else None)
        return key

    def keep(self, job: Job, request: Request, key: str, *, free: bool) -> None:
        """Keep room at a node for one more replica of the job; what is `free` there as well where it waits for its project's share alone."""
        nodes, needed = self._nodes, request.needed
        nodes.change(key, free=nodes.free[key] - needed if free else None, coming=nodes.coming[key] - needed)
        self._shares.keep(job, needed.gpus)
        # The next replica of the job takes what drains elsewhere for it first, as it did when that began to drain.
        self._kept.get(job.job_id, {}).pop(key, None)

    def _promised(self, job: Job, request: Request) -> str | None:
        """A node that will have room without anybody giving way."""
        if not self._soon or request.key in self._unpromised:
            return None
        nodes, needed = self._nodes, request.needed
        ranked = sorted((rank, key) for key in self._soon if (rank := nodes.rank(request, key)) is not None)
        own = self._kept.get(job.job_id, {})
        coming = [key for _, key in ranked if nodes.coming[key].holds(needed)]
        for key in coming:
            if key in own:
                return key
        for key in coming:
            for_others = (
                kept.get(key, _NOTHING) for other, kept in self._kept.items() if other != job.job_id
            )
            if (nodes.coming[key] - _total(for_others)).holds(needed):
                return key
        if not coming:
            self._unpromised.add(request.key)
            return None
        return coming[0]

    def _victims(
        self, job: Job, request: Request, at: str | None, below: int
    ) -> tuple[str, tuple[Victim, ...]] | None:
        """Where the replica will find room, and who gives way for it: first what the project's limit asks for, then the node."""
        offered = self._offers(job.spec.priority)
        for_limit = self._for_limit(job, offered, below)
        if for_limit is None:
            return None
        freed: dict[str, Resources] = {}
        for victim in for_limit:
            key = victim.replica.placement.node_key
            freed[key] = freed.get(key, _NOTHING) + victim.taken
        if at is not None:
            return at, for_limit
        best: tuple[tuple[object, ...], str, tuple[Victim, ...]] | None = None
        for key, there in offered.items():
            rank = self._nodes.rank(request, key)
            if rank is None:
                continue
            rest = [victim for victim in there if victim not in for_limit]
            found = fewest(self._nodes.coming[key] + freed.get(key, _NOTHING), request.needed, rest)
            if found is None:
                continue
            chosen = self._without_spare(job, for_limit, found, key, request, below)
            value = (*regrets(chosen), rank, key)
            if best is None or value < best[0]:
                best = (value, key, chosen)
        return None if best is None else best[1:]

    def _for_limit(
        self, job: Job, offered: Mapping[str, list[Victim]], below: int
    ) -> tuple[Victim, ...] | None:
        if below <= 0:
            return ()
        own = [
            victim
            for victim in chain.from_iterable(offered.values())
            if victim.job.spec.project == job.spec.project and victim.taken.gpus > 0
        ]
        return fewest(
            _NOTHING,
            Resources(gpus=below),
            own,
        )

    def _without_spare(
        self,
        job: Job,
        for_limit: tuple[Victim, ...],
        for_node: tuple[Victim, ...],
        key: str,
        request: Request,
        below: int,
    ) -> tuple[Victim, ...]:
        """All of them but those of the first kind that the second kind makes needless."""
        chosen = [*for_limit, *for_node]
        for victim in sorted(for_limit, key=lambda each: each.regret, reverse=True):
            rest = [each for each in chosen if each is not victim]
            own = sum(each.taken.gpus for each in rest if each.job.spec.project == job.spec.project)
            room = _total(each.taken for each in rest if each.replica.placement.node_key == key)
            if own >= below and (self._nodes.coming[key] + room).holds(request.needed):
                chosen = rest
        return tuple(chosen)

    def _offers(self, priority: int) -> dict[str, list[Victim]]:
        """What may be taken away for a job of this priority, by node."""
        if self._offered_below is None:
            for victim in self._all_victims():
                self._offered.setdefault(victim.replica.placement.node_key, []).append(victim)
        if priority != self._offered_below:
            self._offered_below = priority
            less_urgent = {
                key: [victim for victim in victims if victim.job.spec.priority < priority]
                for key, victims in self._offered.items()
            }
            self._offered = {key: victims for key, victims in less_urgent.items() if victims}
        return self._offered

    def _all_victims(self) -> Iterator[Victim]:
        nobody: frozenset[str] = frozenset()
        for job in self._jobs:
            ends = self._ending.get(job.job_id, nobody)
            active = [each for each in job.active_replicas if each.replica_id not in ends]
            for replica in expendable(job, active):
                if replica.placement.node_key in self._nodes.by_key:
                    yield Victim(job, replica)

    def _take_away(self, victim: Victim, *, yields_to: str | None) -> None:
        replica = victim.replica
        key = replica.placement.node_key
        self._offered[key].remove(victim)
        self._soon.add(key)
        self._hopeless.clear()
        self._unpromised.clear()
        self.taken += 1
        self._nodes.change(key, coming=self._nodes.coming[key] + victim.taken)
        self._shares.end(victim.job, victim.taken.gpus)
        drain = DrainReplica(victim.job.job_id, replica.replica_id, ReplicaReason.PREEMPTED, yields_to)
        before = self.given_way.get(victim.job.job_id, ())
        self.given_way[victim.job.job_id] = (*before, drain)


def _total(amounts: Iterable[Resources]) -> Resources:
    total = _NOTHING
    for amount in amounts:
        total += amount
    return total
