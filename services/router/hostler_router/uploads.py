"""Taking a form with a file in it from a client, for the inference handler.

All of it is taken in before a replica is picked: a client that uploads slowly holds no replica, the field `model` may come behind
the file, and another replica can be sent the same when one fails. It lies in memory as long as it is small, and in a temporary file
without a name from then on, so the router's memory does not grow with what is uploaded.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile

from starlette.types import Receive

from hostler_router.bodies import Asked, read_form
from hostler_router.edge import Request, receive_body
from hostler_router.forms import FormBody, FormReader


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bounds of an upload; the settings of the same names say more."""

    upload_bytes_max: int
    upload_timeout_seconds: float
    upload_memory_bytes: int


@asynccontextmanager
async def upload(request: Request, receive: Receive, limits: UploadLimits) -> AsyncIterator[Asked]:
    """What is asked for; its body is there until the end of the block.

    Raises:
        Refused: the form is too large, too slow, compressed, no form, or names no model.
        ClientGone: it will never be whole.
    """
    reader = FormReader(request.headers.get(b"content-type", b"").decode("latin-1"))
    with SpooledTemporaryFile(max_size=limits.upload_memory_bytes) as file:
        size = 0

        def take(piece: bytes) -> None:
            nonlocal size
            # A piece goes to the kernel's memory, quicker than a thread would be asked to do it.
            size += file.write(reader.feed(piece))

        await receive_body(
            request,
            receive,
            take,
            body_bytes_max=limits.upload_bytes_max,
            body_timeout_seconds=limits.upload_timeout_seconds,
        )
        reader.close()
        body = FormBody(file, size, reader.content_type, reader.model_at or (0, 0))
        yield read_form(reader.values, body)
