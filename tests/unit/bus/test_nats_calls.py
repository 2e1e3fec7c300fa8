"""A library that forgets cancellations must not keep our tasks from ending."""

import asyncio

import pytest

from hostler_bus.nats_calls import heed


async def forgetful(*, fails: bool = False) -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if fails:
            raise OSError from None
    return "answer"


@pytest.mark.parametrize("fails", [False, True], ids=["an answer instead", "an error instead"])
async def test_a_forgotten_cancellation_is_heeded(fails: bool) -> None:
    task = asyncio.create_task(heed(forgetful(fails=fails)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_timeout_of_the_caller_stays_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await heed(forgetful())


async def test_without_a_cancellation_nothing_changes() -> None:
    async def answer() -> str:
        return "answer"

    async def failure() -> str:
        raise ConnectionResetError

    assert await heed(answer()) == "answer"
    with pytest.raises(ConnectionResetError):
        await heed(failure())
