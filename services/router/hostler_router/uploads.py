"""A request for inference that is a form with a file in it.

All of it is taken in before a replica is picked: a client that uploads slowly holds no replica, the field `model` may come behind
the file, and another replica can be sent the same when one fails. It lies in memory as long as it is small, and in a temporary file
without a name from then on, so the router's memory does not grow with what is uploaded.
"""

from dataclasses import replace
from tempfile import SpooledTemporaryFile

from hostler_router.bodies import Asked, read_form
from hostler_router.exchange import Exchange
from hostler_router.forms import FormBody, FormReader
from hostler_router.inference import InferenceRequest
from hostler_router.openai_errors import Refused
from hostler_router.parts import RouterParts
from hostler_router.wire.heads import Head
from hostler_router.wire.reply import Reply


class UploadRequest(InferenceRequest):
    """A request with a file."""

    def __init__(
        self, parts: RouterParts, head: Head, reply: Reply, exchange: Exchange, *, may_stream: bool
    ) -> None:
        self._file: SpooledTemporaryFile[bytes] | None = None
        super().__init__(parts, head, reply, exchange, may_stream=may_stream)
        try:
            self._reader = FormReader(head.headers.get(b"content-type", b"").decode("latin-1"))
        except Refused:
            parts.wheel.disarm(self)  # it is not to be heard of again
            raise
        self._file = SpooledTemporaryFile(max_size=parts.settings.upload_memory_bytes)  # noqa: SIM115  # closed at the end
        self._kept = 0

    @property
    def _body_bytes_max(self) -> int:
        return self._parts.settings.upload_bytes_max

    @property
    def _body_timeout_seconds(self) -> float:
        return self._parts.settings.upload_timeout_seconds

    def _keep(self, data: bytes) -> None:
        if self._file is None:
            return
        # A piece goes to the kernel's memory, quicker than a thread would be asked to do it.
        self._kept += self._file.write(self._reader.feed(data))

    def _read(self) -> Asked:
        if self._file is None:
            raise RuntimeError("the request is over")
        reader = self._reader
        reader.close()
        body = FormBody(self._file, self._kept, reader.content_type, reader.model_at or (0, 0))
        meant = self._wishes.model
        if meant is None or reader.model_at is None:
            return read_form(reader.values, body)
        return read_form({**reader.values, b"model": meant.encode()}, replace(body, model=meant))

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
