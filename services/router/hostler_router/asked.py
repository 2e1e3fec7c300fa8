"""What is known of a request for inference once its body was read.

Pure; made by `bodies`. A struct of msgspec, so it stands apart from what can be compiled (pyproject.toml says which modules are).
"""

import msgspec

from hostler_router.members import Members
from hostler_router.upload_spool import FormBody


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
