"""Forms with a file that are sent on while they arrive: what the replica has of them by then, and every way in which that goes wrong."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httptools
import pytest

from hostler_domain.external import ExternalServers
from tests.integration.router.harness import ALICE_KEY, Harness, eventually, running_router
from tests.integration.router.raw_replica import document
from tests.integration.router.test_uploads import ANSWER, PATH

PIECE = bytes(range(256)) * 256
"""As much as a form must have before it is sent on."""
OK = document(json.dumps(ANSWER).encode())
BUSY = document(b'{"error": "busy"}', b"503 Service Unavailable")
REFUSED = document(b'{"error": {"message": "Too long.", "code": "too_long"}}', b"422 Unprocessable Entity")
END = b"\r\n--x--\r\n"
SEEN_SECONDS = 1.0
"""Within which a replica must learn that its request is over."""


def field(name: str, value: str) -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


MODEL = field("model", "chat")
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


class Ear:
    """A replica that counts, and acts in the middle of a request.

    Attributes:
        arrived: Bytes of bodies so far.
        kept: The body of the latest request, as long as `keeps`.
        bodies: Of those that were whole.
        gone: Connections that ended.
        opened: Those that were made.
        acts_after: After how many bytes of a body, and all of it otherwise, it acts.
        act: What it sends then; empty for hanging up.
        reads: Whether it reads at all.
    """

    def __init__(self) -> None:
        self.url = ""
        self.arrived = 0
        self.keeps = True
        self.kept = b""
        self.heads: list[dict[bytes, bytes]] = []
        self.bodies: list[bytes] = []
        self.whole = 0
        self.opened = self.gone = 0
        self.gone_at = 0.0
        self.acts_after: int | None = None
        self.act = OK
        self.reads = asyncio.Event()
        self.reads.set()


class _Hearing(asyncio.Protocol):
    def __init__(self, ear: Ear) -> None:
        self._ear = ear
        self._parser = httptools.HttpRequestParser(self)
        self._size = 0
        self._reading: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ear.opened += 1
        if not self._ear.reads.is_set():
            transport.pause_reading()
            self._reading = asyncio.create_task(self._read_later())

    async def _read_later(self) -> None:
        await self._ear.reads.wait()
        self._transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._ear.gone += 1
        self._ear.gone_at = time.monotonic()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._size = 0
        self._ear.kept = b""
        self._ear.heads.append({})

    def on_header(self, name: bytes, value: bytes) -> None:
        self._ear.heads[-1][name.lower()] = value

    def on_body(self, data: bytes) -> None:
        ear = self._ear
        before, self._size = self._size, self._size + len(data)
        ear.arrived += len(data)
        if ear.keeps:
            ear.kept += data
        if ear.acts_after is not None and before < ear.acts_after <= self._size:
            self._act()

    def on_message_complete(self) -> None:
        self._ear.whole += 1
        self._ear.bodies.append(self._ear.kept)
        if self._ear.acts_after is None:
            self._act()

    def _act(self) -> None:
        if self._ear.act:
            self._transport.write(self._ear.act)
        else:
            self._transport.abort()


@asynccontextmanager
async def listening_ear() -> AsyncIterator[Ear]:
    ear = Ear()
    server = await asyncio.get_running_loop().create_server(lambda: _Hearing(ear), "127.0.0.1", 0)
    ear.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield ear
    server.close()
    await server.wait_closed()


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    async with listening_ear() as made:
        yield made


class Uploader:
    """A client that sends its form as slowly as a test wants it."""

    def __init__(self, router: Harness) -> None:
        self._router = router

    async def begin(self, *headers: str) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._router.router.port)
        lines = (
            f"POST {PATH} HTTP/1.1",
            "host: x",
            f"authorization: Bearer {ALICE_KEY}",
            "content-type: multipart/form-data; boundary=x",
            "transfer-encoding: chunked",
            *headers,
        )
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await self._writer.drain()

    def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")

    def leave(self) -> None:
        self._writer.transport.abort()

    async def answer(self) -> tuple[int, dict[str, object]]:
        async with asyncio.timeout(20):
            head = await self._reader.readuntil(b"\r\n\r\n")
            status = int(head.split()[1])
            (length,) = (line[15:] for line in head.split(b"\r\n") if line.startswith(b"content-length"))
            found: dict[str, object] = json.loads(await self._reader.readexactly(int(length)))
        return status, found

    async def code(self) -> tuple[int, object]:
        status, found = await self.answer()
        error = found["error"]
        assert isinstance(error, dict)
        return status, error["code"]


@pytest.fixture
async def upload(router: Harness) -> AsyncIterator[Uploader]:
    made = Uploader(router)
    await made.begin()
    yield made
    made.leave()


def heard(content: bytes, model: str = "chat") -> bytes:
    """What a replica gets of a form with this file."""
    head = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    return field("model", model).replace(b"Content-D", b"content-d") + head + content + END


async def test_a_replica_hears_the_beginning_before_the_client_has_sent_the_end(
    router: Harness, ear: Ear, upload: Uploader
) -> None:
    job = await router.add_job(ear.url)
    await upload.send(MODEL, FILE, PIECE)
    assert ear.opened == 0  # what is this short costs no replica anything until it is whole
    await upload.send(PIECE)
    await eventually(lambda: ear.kept.count(PIECE) == 2)
    assert await router.in_flight_on(f"{job}-r1") == 1
    assert ear.bodies == []

    await upload.send(PIECE)
    await eventually(lambda: ear.kept.count(PIECE) == 3)
    await upload.send(END)
    upload.end()
    assert await upload.answer() == (200, ANSWER)
    assert ear.bodies == [heard(3 * PIECE)]
    assert ear.heads[0][b"transfer-encoding"] == b"chunked"
    assert b"content-length" not in ear.heads[0]
    assert await router.in_flight_on(f"{job}-r1") == 0


async def test_the_head_of_a_request_may_name_the_model_ahead_of_the_form(router: Harness, ear: Ear) -> None:
    job = await router.add_job(ear.url)
    upload = Uploader(router)
    await upload.begin(f"x-deployment-id: {job}")
    await upload.send(FILE, PIECE, PIECE)
    await eventually(lambda: ear.kept.count(PIECE) == 2)
    await upload.send(b"\r\n", MODEL, b"--x--\r\n")  # what the form says of it counts no more
    upload.end()
    assert await upload.answer() == (200, ANSWER)
    assert ear.bodies == [heard(2 * PIECE, job)]

    again = Uploader(router)
    await again.begin(f"x-deployment-id: {job}")
    await again.send(FILE, PIECE, END)
    again.end()
    assert await again.answer() == (200, ANSWER)
    assert ear.bodies[1:] == [heard(PIECE, job)]
    upload.leave()
    again.leave()


async def test_a_file_before_its_model_waits_for_the_model(
    router: Harness, ear: Ear, upload: Uploader
) -> None:
    external = ExternalServers((ear.url,), served_model="theirs")
    await router.add_job(
        ear.url, runtime="external", hardware_profile="external", maximum=1, external=external
    )
    await upload.send(FILE, *[PIECE] * 20)
    assert ear.opened == 0
    more = field("prompt", "hi")
    await upload.send(b"\r\n", MODEL, more[:10])  # where a field ends shows only by what follows
    await eventually(lambda: ear.kept.count(PIECE) == 20)
    assert ear.bodies == []
    await upload.send(more[10:], b"--x--\r\n")
    upload.end()
    assert await upload.answer() == (200, ANSWER)
    more = b"\r\n" + more.replace(b"Content-D", b"content-d") + b"--x--\r\n"
    assert ear.bodies == [heard(20 * PIECE, "theirs").removesuffix(END) + more]


@pytest.mark.parametrize("act", [b"", BUSY], ids=["hangs up", "says that it is busy"])
async def test_another_replica_gets_all_of_it_when_one_fails_in_the_middle(
    router: Harness, ear: Ear, upload: Uploader, act: bytes
) -> None:
    async with listening_ear() as other:
        ears = (ear, other)
        for each in ears:
            each.acts_after, each.act = 3 * len(PIECE), act
        await router.add_job(ear.url, other.url)
        await upload.send(MODEL, FILE, PIECE, PIECE)
        await eventually(lambda: any(each.arrived for each in ears))
        good = other if ear.arrived else ear
        good.acts_after, good.act = None, OK
        await upload.send(PIECE, PIECE)
        await eventually(lambda: good.kept.count(PIECE) == 4)
        await upload.send(PIECE, END)
        upload.end()

        assert await upload.answer() == (200, ANSWER)
        assert good.bodies == [heard(5 * PIECE)]
        assert router.request_lines()[0]["tries"] == 2


async def test_a_replica_that_will_not_have_it_is_heard_before_the_end(
    router: Harness, ear: Ear, upload: Uploader
) -> None:
    job = await router.add_job(ear.url)
    ear.acts_after, ear.act = 2 * len(PIECE), REFUSED
    await upload.send(MODEL, FILE, PIECE, PIECE)
    assert await upload.code() == (422, "too_long")
    # The connection has a request on it that never ends.
    await eventually(lambda: ear.gone == 1, seconds=SEEN_SECONDS)
    assert await router.in_flight_on(f"{job}-r1") == 0

    # The client's own is as good as before, once its form is at its end.
    ear.acts_after, ear.act = None, OK
    await upload.send(PIECE, END)
    upload.end()
    again = Uploader(router)
    await again.begin()
    await again.send(MODEL, FILE, PIECE, PIECE, END)
    again.end()
    assert await again.answer() == (200, ANSWER)
    assert (ear.whole, ear.opened) == (1, 2)
    again.leave()


async def test_a_connection_is_not_used_again_when_its_request_was_answered_too_early(
    router: Harness, ear: Ear, upload: Uploader
) -> None:
    await router.add_job(ear.url)
    ear.acts_after = 2 * len(PIECE)
    await upload.send(MODEL, FILE, PIECE, PIECE)
    assert await upload.answer() == (200, ANSWER)
    await eventually(lambda: ear.gone == 1, seconds=SEEN_SECONDS)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param((b"\r\n--x\r\nno header\r\n\r\n",), (400, "invalid_form"), id="malformed"),
        pytest.param((b"\r\n", MODEL), (400, "invalid_form"), id="two models"),
        pytest.param((PIECE,) * 8, (413, "request_too_large"), id="too large"),
        pytest.param((), (408, "request_body_timeout"), id="stalls"),
    ],
)
async def test_what_turns_out_wrong_in_the_middle_ends_the_replica_s_work(
    ear: Ear, sent: tuple[bytes, ...], expected: tuple[int, str]
) -> None:
    async with running_router(upload_bytes_max=8 * len(PIECE), upload_stall_seconds=0.5) as router:
        job = await router.add_job(ear.url)
        upload = Uploader(router)
        await upload.begin()
        await upload.send(MODEL, FILE, PIECE, PIECE)
        await eventually(lambda: ear.kept.count(PIECE) == 2)
        await upload.send(*sent)

        assert await upload.code() == expected
        await eventually(lambda: ear.gone == 1, seconds=SEEN_SECONDS)
        assert ear.bodies == []
        assert await router.in_flight_on(f"{job}-r1") == 0
        await eventually(lambda: len(router.request_lines()) == 1)
        assert router.request_lines()[0]["outcome"] == "refused"
        upload.leave()


async def test_a_form_without_its_end_is_refused_though_a_replica_has_the_most_of_it(
    router: Harness, ear: Ear, upload: Uploader
) -> None:
    await router.add_job(ear.url)
    await upload.send(MODEL, FILE, PIECE, PIECE)
    await eventually(lambda: ear.opened == 1)
    upload.end()
    assert await upload.code() == (400, "invalid_form")
    await eventually(lambda: ear.gone == 1, seconds=SEEN_SECONDS)
    assert ear.bodies == []


@pytest.mark.parametrize("reads", [True, False], ids=["that reads", "that reads nothing"])
async def test_a_client_that_leaves_in_the_middle_is_noticed_by_a_replica(
    router: Harness, ear: Ear, upload: Uploader, reads: bool
) -> None:
    job = await router.add_job(ear.url)
    if not reads:
        ear.reads.clear()
    await upload.send(MODEL, FILE, *[PIECE] * 100)
    await eventually(lambda: ear.opened == 1)
    left = time.monotonic()
    upload.leave()
    await eventually(lambda: len(router.request_lines()) == 1)
    assert await router.in_flight_on(f"{job}-r1") == 0
    ear.reads.set()
    await eventually(lambda: ear.gone == 1)
    assert ear.gone_at - left < SEEN_SECONDS
    assert router.request_lines()[0]["outcome"] == "client_gone"
    assert ear.bodies == []


async def test_the_time_for_the_work_begins_when_the_form_is_there(
    router: Harness, ear: Ear, upload: Uploader
) -> None:
    job = await router.add_job(ear.url)
    entry = router.router._table.get(job)
    assert entry is not None
    object.__setattr__(entry, "request_timeout_seconds", 0.3)  # the record holds whole seconds
    await upload.send(MODEL, FILE, PIECE, PIECE)
    await eventually(lambda: ear.opened == 1)
    await asyncio.sleep(0.5)
    ear.acts_after = 10**9  # it says nothing
    await upload.send(PIECE)
    await eventually(lambda: ear.kept.count(PIECE) == 3)
    await upload.send(END)
    upload.end()
    await eventually(lambda: ear.whole == 1)
    assert await upload.code() == (504, "request_timeout")


async def test_many_large_uploads_to_a_replica_that_reads_none_of_them_take_little_memory() -> None:
    uploads, pieces = 8, 400  # 25 MiB each
    async with listening_ear() as ear, running_router(upload_memory_bytes=len(PIECE)) as router:
        await router.add_job(ear.url)
        ear.keeps = False
        ear.reads.clear()
        clients = [Uploader(router) for _ in range(uploads)]
        tracemalloc.start()
        try:
            for client in clients:
                await client.begin()
                await client.send(MODEL, FILE, *[PIECE] * pieces, END)
                client.end()
            ear.reads.set()
            for client in clients:
                assert await client.answer() == (200, ANSWER)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert ear.arrived == uploads * len(heard(pieces * PIECE))
        for client in clients:
            client.leave()
    assert peak < uploads * 2**20 * 2
