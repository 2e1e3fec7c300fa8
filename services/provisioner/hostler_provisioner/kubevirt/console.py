"""What a guest wrote to its serial console, which KubeVirt offers as the log of a container of the machine's pod.

Pods' logs know no byte offsets, so a place in one is the time of a line, in nanoseconds. With the machine its pod goes, so the end of
the log is kept in memory when a replica is stopped, for as many replicas as are likely to be asked for.
"""

from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final

from hostler_domain.errors import TemporaryError
from hostler_provisioner.backend import LogPart
from hostler_provisioner.kubevirt.client import Client
from hostler_provisioner.kubevirt.names import REPLICA_LABEL, cluster_selector, label_value
from hostler_provisioner.kubevirt.reading import name_of
from hostler_provisioner.kubevirt.resources import PODS

_CONTAINER: Final = "guest-console-log"
_PART_BYTES: Final = 256 * 1024
_KEPT_LINES: Final = 500
_KEPT_REPLICAS: Final = 100

_Line = tuple[int, str]


class ConsoleLogs:
    """Reads consoles."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._kept: OrderedDict[str, tuple[_Line, ...]] = OrderedDict()

    async def read(
        self, client: Client, replica_id: str, *, tail_lines: int, after: int | None
    ) -> LogPart | None:
        """The last lines, or those behind a place; None when nothing is known of the replica."""
        lines = await self._lines(client, replica_id, tail_lines=tail_lines, after=after)
        ended = lines is None
        if lines is None:
            lines = self._kept.get(replica_id)
            if lines is None:
                return None
        return part_of(lines, tail_lines=tail_lines, after=after, ended=ended)

    async def keep(self, client: Client, replica_id: str) -> None:
        """Keep the end of a console that is about to go; one that can't be read is no reason not to go on."""
        try:
            lines = await self._lines(client, replica_id, tail_lines=_KEPT_LINES, after=None)
        except TemporaryError:
            return
        if lines is not None:
            self._kept[replica_id] = lines
            self._kept.move_to_end(replica_id)
            while len(self._kept) > _KEPT_REPLICAS:
                self._kept.popitem(last=False)

    async def _lines(
        self, client: Client, replica_id: str, *, tail_lines: int, after: int | None
    ) -> tuple[_Line, ...] | None:
        # KubeVirt copies a machine's labels to its pod.
        selector = f"{cluster_selector(self._cluster)},{REPLICA_LABEL}={label_value(replica_id)}"
        pods, _ = await client.listed(PODS, selector=selector)
        if not pods:
            return None
        query = {"timestamps": "true"}
        if after is None:
            query |= {"tailLines": str(tail_lines)}
        else:
            # Whole seconds only; what is before the place is left out below.
            since = datetime.fromtimestamp(after // 1_000_000_000, UTC)
            query |= {"sinceTime": since.strftime("%Y-%m-%dT%H:%M:%SZ"), "limitBytes": str(4 * _PART_BYTES)}
        text = await client.pod_log(name_of(max(pods, key=name_of)), _CONTAINER, query)
        return () if text is None else parse_lines(text)


def parse_lines(text: str) -> tuple[_Line, ...]:
    """Lines with the time that stands before each; a line without one is passed over, as is a last one that was cut off."""
    found: list[_Line] = []
    for line in text.split("\n")[: None if text.endswith("\n") else -1]:
        stamp, _, words = line.partition(" ")
        nanoseconds = _nanoseconds(stamp)
        if nanoseconds is not None:
            # Two lines of one moment would have one place; the second would be lost.
            found.append((max(nanoseconds, found[-1][0] + 1 if found else 0), words))
    return tuple(found)


def part_of(lines: tuple[_Line, ...], *, tail_lines: int, after: int | None, ended: bool) -> LogPart:
    """A bounded part of these lines, and the place behind it."""
    wanted = lines[-tail_lines:] if after is None and tail_lines > 0 else () if after is None else lines
    if after is not None:
        wanted = tuple(each for each in lines if each[0] > after)
    size, count = 0, 0
    for _, words in wanted:
        size += len(words.encode()) + 1
        if size > _PART_BYTES and count:
            break
        count += 1
    whole = count == len(wanted)
    place = wanted[count - 1][0] if count else after if after is not None else (lines[-1][0] if lines else 0)
    text = "".join(f"{words}\n" for _, words in wanted[:count])
    return LogPart(text=text, next=place, ended=ended and whole)


def _nanoseconds(stamp: str) -> int | None:
    """Of a time as Kubernetes writes it, with up to nine digits behind the second."""
    head, _, fraction = stamp.removesuffix("Z").partition(".")
    try:
        seconds = int(datetime.fromisoformat(f"{head}+00:00").timestamp())
    except ValueError:
        return None
    if fraction and not fraction.isdecimal():
        return None
    return seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or "0")
