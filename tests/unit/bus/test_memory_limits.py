import pytest

from hostler_bus.errors import StreamFull
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.topology import DUPLICATE_WINDOW_SECONDS, StreamSpec, Topology, WhenFull
from tests.support.manual_clock import ManualClock


def bus_with(clock: ManualClock, spec: StreamSpec) -> MemoryBus:
    return MemoryBus(MemoryServer(clock, Topology((spec,), ())))


async def stored(bus: MemoryBus) -> list[bytes]:
    return [message.data async for message in bus.history("S", "s.>")]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(StreamSpec("S", ("s.>",), messages_max=1), id="messages"),
        pytest.param(StreamSpec("S", ("s.>",), bytes_max=5), id="bytes"),
    ],
)
async def test_a_full_stream_refuses_and_keeps_what_it_has(
    manual_clock: ManualClock, spec: StreamSpec
) -> None:
    bus = bus_with(manual_clock, spec)
    await bus.append("s.a", b"one", msg_id="1")
    with pytest.raises(StreamFull):
        await bus.append("s.b", b"two", msg_id="2")
    await bus.publish("s.b", b"three")
    assert await stored(bus) == [b"one"]


async def test_a_full_stream_that_drops_the_old_does_so(manual_clock: ManualClock) -> None:
    bus = bus_with(manual_clock, StreamSpec("S", ("s.>",), when_full=WhenFull.DROP_OLD, messages_max=2))
    for number in range(4):
        await bus.publish("s.a", str(number).encode())
    assert await stored(bus) == [b"2", b"3"]


async def test_messages_of_a_stream_with_an_age_go(manual_clock: ManualClock) -> None:
    bus = bus_with(manual_clock, StreamSpec("S", ("s.>",), age_seconds_max=60))
    await bus.publish("s.a", b"old")
    await manual_clock.advance(30)
    await bus.publish("s.a", b"young")
    await manual_clock.advance(30)
    assert await stored(bus) == [b"young"]


async def test_a_message_id_is_forgotten_after_the_window(manual_clock: ManualClock) -> None:
    bus = bus_with(manual_clock, StreamSpec("S", ("s.>",)))
    await bus.append("s.a", b"1", msg_id="same")
    await manual_clock.advance(DUPLICATE_WINDOW_SECONDS - 1)
    assert (await bus.append("s.a", b"2", msg_id="same")).duplicate
    await manual_clock.advance(1)
    assert not (await bus.append("s.a", b"3", msg_id="same")).duplicate
    assert await stored(bus) == [b"1", b"3"]
