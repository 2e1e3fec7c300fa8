"""A watch whose store is interrupted: what it makes of a second look."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from hostler_bus.kv import MARKER_HEADER, InterruptedFollow, StoredBucket
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.port import CaughtUp, Deleted, Entry, Message, Start

Item = Message | CaughtUp | None
"""None stands for an interruption."""


class ScriptedFollow:
    def __init__(self, items: AsyncIterator[Item]) -> None:
        self._items = items

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | CaughtUp:
        item = await anext(self._items)
        if item is None:
            raise InterruptedFollow("interrupted")
        return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        pass


class ScriptedBus(MemoryBus):
    """Follows as it was told; one script goes over all the looks."""

    def __init__(self, *items: Item) -> None:
        super().__init__(MemoryServer())
        self._script = self._play(items)

    async def _play(self, items: tuple[Item, ...]) -> AsyncIterator[Item]:
        for item in items:
            yield item

    def follow_once(self, stream: str, subjects: str, *, start: Start) -> ScriptedFollow:  # type: ignore[override]  # stands in for one
        return ScriptedFollow(self._script)


def put(key: str, revision: int) -> Message:
    return Message(f"$KV.nodes.{key}", revision, b"", {}, datetime(2026, 1, 1, tzinfo=UTC))


def expired(key: str, revision: int) -> Message:
    return Message(
        f"$KV.nodes.{key}", revision, b"", {MARKER_HEADER: "MaxAge"}, datetime(2026, 1, 1, tzinfo=UTC)
    )


async def watched(*items: Item) -> list[str]:
    seen = []
    async for item in StoredBucket(ScriptedBus(*items), "nodes").watch():
        match item:
            case Entry(key=key, revision=revision):
                seen.append(f"{key}@{revision}")
            case Deleted(key=key, revision=revision):
                seen.append(f"{key} gone@{revision}")
            case CaughtUp():
                seen.append("|")
    return seen


async def test_a_second_look_gives_the_difference_only() -> None:
    looks = (put("a", 1), put("b", 2), put("c", 3), CaughtUp(), None, put("a", 1), put("c", 9), CaughtUp())
    assert await watched(*looks) == ["a@1", "b@2", "c@3", "|", "c@9", "b gone@0"]


async def test_an_interrupted_first_look_is_caught_up_once() -> None:
    assert await watched(put("a", 1), None, put("a", 1), put("b", 2), CaughtUp()) == ["a@1", "b@2", "|"]


async def test_a_trace_in_a_second_look_is_a_deletion_where_the_key_was_known() -> None:
    looks = (put("a", 1), CaughtUp(), None, expired("a", 5), expired("never", 6), CaughtUp(), put("a", 7))
    assert await watched(*looks) == ["a@1", "|", "a gone@5", "a@7"]


async def test_a_bucket_that_was_made_anew_is_taken_over_whole() -> None:
    looks = (put("a", 50), CaughtUp(), None, put("a", 1), CaughtUp())
    assert await watched(*looks) == ["a@50", "|", "a@1"]
