"""What every node has left, and where a replica fits best, without asking every node for every replica.

Nodes of which no predicate can tell one from another form a group, and those of a group that have the same left form a bucket. A
search asks each bucket once and takes its first node by key; only nodes that are special to the job (it has replicas there, or left
a disk) are looked at one by one. `room` keeps one of these per plan.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heappop, heappush

from hostler_domain.capacity import Node, Resources
from hostler_scheduler.filter import Candidate, Request, refusals
from hostler_scheduler.score import packing, score

Fit = tuple[float, str]
"""Score and node key."""


@dataclass(slots=True)
class Bucket:
    """Nodes of one group with the same left. `heap` may also name nodes that have gone to another bucket since."""

    left: Resources
    heap: list[str] = field(default_factory=list)
    count: int = 0


@dataclass(slots=True)
class Group:
    """Nodes that no predicate tells apart while they are equally full."""

    node: Node
    buckets: dict[Resources, Bucket] = field(default_factory=dict)


class Nodes:
    """The nodes while one plan is made.

    Of each it knows what is `free` now, and what is `coming`: free when the replicas that drain have ended and those that wait have
    got what is kept for them. A replica may only be placed where it fits into both.
    """

    def __init__(self, nodes: Iterable[Node], *, fresh_since: datetime) -> None:
        self.by_key: Mapping[str, Node] = {node.key: node for node in nodes}
        self._fresh_since = fresh_since
        self.free = {key: node.capacity for key, node in self.by_key.items()}
        self.coming = dict(self.free)
        self._groups: dict[object, Group] = {}
        self._group_of: dict[str, Group] = {}
        self._bucket_of: dict[str, Bucket] = {}
        self._able: dict[object, tuple[tuple[int, Group], ...]] = {}
        # Nodes that are special to the job of the search at hand are set aside until the next job searches.
        self._searching: str | None = None
        self._aside: list[tuple[Bucket, str]] = []

    def change(self, key: str, *, free: Resources | None = None, coming: Resources | None = None) -> None:
        """Take other amounts for a node."""
        if free is not None:
            self.free[key] = free
        if coming is not None:
            self.coming[key] = coming
        if self._groups:
            self._into_bucket(key)

    def left(self, key: str) -> Resources:
        """What may be given to a replica now."""
        return self.free[key].capped(self.coming[key])

    def candidate(self, key: str) -> Candidate:
        """A node as predicates see it."""
        return Candidate(self.by_key[key], self.left(key), self._fresh_since)

    def able(self, request: Request) -> tuple[tuple[int, Group], ...]:
        """Groups that would take the replica if they were empty, each with the place of its site in the job's list."""
        if not self._groups:
            self._group()
        found = self._able.get(request.key)
        if found is None:
            sites = request.spec.sites
            found = self._able[request.key] = tuple(
                (sites.index(group.node.location) if group.node.location in sites else 0, group)
                for group in self._groups.values()
                if not refusals(request, Candidate(group.node, group.node.capacity, self._fresh_since))
            )
        return found

    def rank(self, request: Request, key: str) -> int | None:
        """Place of the node's site in the job's list; None where the node would never take the replica."""
        able = self.able(request)
        own = self._group_of[key]
        return next((rank for rank, group in able if group is own), None)

    def fits(self, request: Request) -> int:
        """How many nodes can take the replica now."""
        return sum(
            bucket.count
            for _, group in self.able(request)
            for bucket in group.buckets.values()
            if bucket.left.holds(request.needed)
        )

    def best(
        self, request: Request, job_id: str, replicas: Mapping[str, int], disks: frozenset[str]
    ) -> Fit | None:
        """The best node for one more replica of a job.

        Args:
            request: What it asks for.
            job_id: Which job.
            replicas: How many active replicas the job has, by node.
            disks: Nodes that have a disk of the job.
        """
        able = self.able(request)
        if self._searching != job_id:
            self._put_back()
            self._searching = job_id
        sites = max(len(request.spec.sites), 1)
        for rank in sorted({rank for rank, _ in able}):
            groups = [group for number, group in able if number == rank]
            fits = [
                *self._alone(request, groups, rank, sites, replicas, disks),
                *self._with_disk(request, groups, rank, sites, replicas, disks),
            ] or [*self._beside(request, groups, rank, sites, replicas, disks)]
            if fits:
                return min(fits, key=lambda fit: (-fit[0], fit[1]))
        return None

    def _alone(
        self,
        request: Request,
        groups: Iterable[Group],
        rank: int,
        sites: int,
        replicas: Mapping[str, int],
        disks: frozenset[str],
    ) -> Iterator[Fit]:
        """Of every bucket the first node that is not special to the job."""
        needed = request.needed
        for group in groups:
            capacity = group.node.capacity
            for bucket in group.buckets.values():
                if bucket.left.holds(needed) and (key := self._first(bucket, replicas, disks)) is not None:
                    packed = packing(capacity, bucket.left - needed)
                    yield score(packed, site_rank=rank, sites=sites), key

    def _first(self, bucket: Bucket, replicas: Mapping[str, int], disks: frozenset[str]) -> str | None:
        heap = bucket.heap
        while heap:
            key = heap[0]
            if self._bucket_of[key] is not bucket:
                heappop(heap)
            elif replicas.get(key) or key in disks:
                self._aside.append((bucket, heappop(heap)))
            else:
                return key
        return None

    def _with_disk(
        self,
        request: Request,
        groups: list[Group],
        rank: int,
        sites: int,
        replicas: Mapping[str, int],
        disks: frozenset[str],
    ) -> Iterator[Fit]:
        """Nodes with a disk of the job and no replica of it."""
        for key in disks:
            if not replicas.get(key) and self._takes(request, groups, key):
                packed = packing(self.by_key[key].capacity, self.left(key) - request.needed)
                yield score(packed, has_disk=True, site_rank=rank, sites=sites), key

    def _beside(
        self,
        request: Request,
        groups: list[Group],
        rank: int,
        sites: int,
        replicas: Mapping[str, int],
        disks: frozenset[str],
    ) -> Iterator[Fit]:
        """Nodes with a replica of the job: asked only where no other has room, since none of them can be better."""
        for key, count in replicas.items():
            if count and key in self.by_key and self._takes(request, groups, key):
                packed = packing(self.by_key[key].capacity, self.left(key) - request.needed)
                points = score(
                    packed, same_job_replicas=count, has_disk=key in disks, site_rank=rank, sites=sites
                )
                yield points, key

    def _takes(self, request: Request, groups: list[Group], key: str) -> bool:
        own = self._group_of.get(key)
        return any(group is own for group in groups) and self.left(key).holds(request.needed)

    def _group(self) -> None:
        for key, node in self.by_key.items():
            sign = (
                node.runtimes,
                node.models,
                tuple(sorted(node.models_by_runtime.items())),
                node.gpu_model,
                node.device_name,
                node.location,
                node.capacity,
                node.reported_at >= self._fresh_since,
            )
            self._group_of[key] = self._groups.setdefault(sign, Group(node))
            self._into_bucket(key, sift=False)
        for group in self._groups.values():
            for bucket in group.buckets.values():
                heapify(bucket.heap)

    def _into_bucket(self, key: str, *, sift: bool = True) -> None:
        left, buckets = self.left(key), self._group_of[key].buckets
        before = self._bucket_of.get(key)
        if before is not None:
            if before.left == left:
                return
            before.count -= 1
            if not before.count:
                del buckets[before.left]
        bucket = buckets.setdefault(left, Bucket(left))
        bucket.count += 1
        self._bucket_of[key] = bucket
        if sift:
            heappush(bucket.heap, key)
        else:
            bucket.heap.append(key)

    def _put_back(self) -> None:
        for bucket, key in self._aside:
            if self._bucket_of[key] is bucket:
                heappush(bucket.heap, key)
        self._aside.clear()
