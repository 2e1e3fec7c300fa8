"""Valkey, or a Redis, for what may be lost: the only module that imports its client.

Every call has a deadline. One that fails, for whatever reason, raises `ValkeyUnavailable`, and what it was to do may or may not
have been done; callers go on without.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from hostler_domain.errors import PermanentError, TemporaryError
from hostler_kit.secret_key import read_private
from hostler_kit.settings import PlatformSettings

CALL_TIMEOUT_SECONDS = 2.0
Argument: TypeAlias = str | bytes | int | float


class ValkeyUnavailable(TemporaryError):
    """The store did not do it in time, or not at all."""


class Script:
    """A Lua program that Valkey runs whole, or not at all."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The name that Valkey itself gives it; nothing is secured by it.
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One run of a script."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[Argument, ...]


class Valkey:
    """A connection pool whose use is bounded in time."""

    def __init__(self, client: Redis, *, timeout_seconds: float) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[Redis]:
        """The client, for calls that together must be done before the deadline.

        Raises:
            ValkeyUnavailable: they were not.
        """
        task = asyncio.current_task()
        cancelled_before = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield self._client
        except TimeoutError:
            raise ValkeyUnavailable(f"Valkey did not answer within {self._timeout_seconds:g} s") from None
        except (RedisError, OSError) as error:
            raise ValkeyUnavailable(f"Valkey: {type(error).__name__}") from None
        finally:
            # The client may take a cancellation that comes while it reads for the end of its own timeout, and go on.
            swallowed = task is not None and task.cancelling() > cancelled_before
        if swallowed:
            raise asyncio.CancelledError

    async def run_scripts(self, calls: Sequence[ScriptCall]) -> list[object]:
        """Run scripts in one round trip, in this order, and give what each answers.

        Raises:
            ValkeyUnavailable: not all of them were run, or one failed.
        """
        async with self.calls() as client:
            answers = await _evaluate(client, calls)
            unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                # A server that was started anew has to be told them again. Those that it did not know were not run.
                for script in {calls[index].script for index in unknown}:
                    await client.script_load(script.text)
                again = await _evaluate(client, [calls[index] for index in unknown])
                for index, answer in zip(unknown, again, strict=True):
                    answers[index] = answer
            for answer in answers:
                if isinstance(answer, RedisError):
                    raise answer
        return answers

    async def load_scripts(self, scripts: Sequence[Script]) -> None:
        """Have the server know scripts before they are run, which saves their first runs two round trips.

        Raises:
            ValkeyUnavailable: it is not there.
        """
        async with self.calls() as client:
            for script in scripts:
                await client.script_load(script.text)

    async def close(self) -> None:
        """End its connections."""
        await self._client.aclose()


async def _evaluate(client: Redis, calls: Sequence[ScriptCall]) -> list[object]:
    """What each call answered, or the error that it did.

    The client's own pipelines give the same for half as much again of a router's time.
    """
    pool = client.connection_pool
    connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # the client's own lack of types
    unread = len(calls)
    answers: list[object] = []
    try:
        commands = [("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args) for call in calls]
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        while unread:
            try:
                answers.append(await connection.read_response())
            except ResponseError as error:
                answers.append(error)
            unread -= 1
    finally:
        if unread:
            # The next user of the connection would read what was meant for this one.
            await connection.disconnect(nowait=True)
        await pool.release(connection)
    return answers


def valkey_url(platform: PlatformSettings) -> SecretStr | None:
    """The address from the environment, else the one from the file that the settings name; None without either.

    Raises:
        BadSecret: the file can't be used.
    """
    if platform.valkey_url is not None or platform.valkey_url_file is None:
        return platform.valkey_url
    return SecretStr(read_private(platform.valkey_url_file, "address of Valkey"))


def open_valkey(url: SecretStr, *, timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> Valkey:
    """A pool of connections to `url`; none is made before the first call.

    Args:
        url: Such as `unix:///run/valkey.sock` or `rediss://user:password@host:6379/0`.
        timeout_seconds: For every use.

    Raises:
        PermanentError: it is no address of a Valkey.
    """
    try:
        # One try each: a caller that wants another one has better things to do meanwhile.
        client = Redis.from_url(url.get_secret_value(), retry=Retry(NoBackoff(), 0))
    except ValueError:
        raise PermanentError("HOSTLER_VALKEY_URL is no unix://, redis:// or rediss:// address") from None
    return Valkey(client, timeout_seconds=timeout_seconds)
