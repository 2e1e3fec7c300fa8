"""What is known of a request for inference once its body was read.

Pure; made by `bodies`. A struct of msgspec, so it stands apart from what can be compiled (pyproject.toml says which modules are).
"""

from dataclasses import replace
from functools import lru_cache
from typing import Final

import msgspec

from hostler_router.members import Members, spliced
from hostler_router.upload_spool import FormBody

_PROMPTS: Final = ("messages", "prompt", "input")
"""What is asked, by whichever of these names is there."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request for inference. A struct of msgspec because one is made for every request, in a fifteenth of the time.

    Attributes:
        model: Which job, in any of the ways to name one.
        stream: Whether the answer shall come as events.
        strip_usage: The usage in the stream was asked for by the router, so the client does not get it.
        body: What the replica gets.
        members: Of `body`, if that is JSON and just as it came.
        model_at: Where the model's name stands in `body`, with its quotes, if that is JSON and was changed: `members` would keep alive what came.
        prompt_at: Likewise what is asked.
        priority: As the client put it; by vLLM's rule less is earlier.
        flex: The client lets others go first (OpenAI's `service_tier`).
        n: How many answers it wants.
        tokens_max: Longest answer, all `n` of them together; None where the client does not say.
        resumable: Another replica may go on where one broke off.
    """

    model: str
    stream: bool
    strip_usage: bool
    body: bytes | FormBody
    members: Members | None = None
    model_at: tuple[int, int] = (0, 0)
    prompt_at: tuple[int, int] = (0, 0)
    priority: int = 0
    flex: bool = False
    n: int = 1
    tokens_max: int | None = None
    resumable: bool = False

    @property
    def content_type(self) -> str:
        """Of the body."""
        return self.body.content_type if isinstance(self.body, FormBody) else "application/json"

    def prefix_of(self, chars: int) -> bytes:
        """The beginning of what is asked, as it is written: a byte for a character, more where they are not ASCII."""
        if isinstance(self.body, FormBody):
            return b""
        begin, end = self.prompt_at if self.members is None else prompt_span(self.members)
        return self.body[begin : min(begin + chars, end)]

    def body_naming(self, model: str) -> bytes | FormBody:
        """The body, asking for `model` instead."""
        if isinstance(self.body, FormBody):
            return replace(self.body, model=model)
        if self.members is not None:
            return self.members.replaced(self.body, "model", _written(model))
        return spliced(self.body, ((*self.model_at, _written(model)),))


def prompt_span(members: Members) -> tuple[int, int]:
    """Where what is asked begins and ends."""
    spans = members.spans(_PROMPTS)
    return spans.get("messages") or spans.get("prompt") or spans.get("input") or (0, 0)


@lru_cache(maxsize=256)
def _written(model: str) -> bytes:
    return msgspec.json.encode(model)
