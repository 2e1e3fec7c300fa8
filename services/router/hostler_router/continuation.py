"""The request by which another replica goes on with an answer, out of the first request and the text so far.

Pure; called by `resume`, only after a replica has failed. Runtimes go on with a chat whose last message is the assistant's own
when they are told that it is not over; a completion goes on from a longer prompt. Everything else in the request stays as it came.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from hostler_router.json_changes import Edit, insertion, span, spliced
from hostler_router.json_reading import read_members
from hostler_router.members import Members


@dataclass(frozen=True, slots=True)
class Continuing:
    """What a runtime can go on with.

    Attributes:
        chat: Whether it takes `continue_final_message`.
        completion: Whether a completion of prompt and text so far is the rest of that of the prompt.
        completion_tokens: Longest completion where the request has no `max_tokens`; None for one that has no such limit.
    """

    chat: bool
    completion: bool
    completion_tokens: int | None = None


RUNTIMES: Final[Mapping[str, Continuing]] = {
    "vllm": Continuing(chat=True, completion=True, completion_tokens=16),
    "llamacpp": Continuing(chat=True, completion=True),
    "simulated": Continuing(chat=True, completion=True),
}
"""The runtimes that are known to go on. Of a server that is not ours it is not known what it makes of such a request."""

_MOST: Final = ("max_tokens", "max_completion_tokens", "n_predict")
_LEAST: Final = ("min_tokens",)
_GO_ON: Final = b'"continue_final_message":true,"add_generation_prompt":false'
_NUMBER: Final = msgspec.json.Decoder(int)
_MESSAGES: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Message(msgspec.Struct):
    role: str


_MESSAGE: Final = msgspec.json.Decoder(_Message)


def continued(body: bytes, said: str, tokens: int, how: Continuing) -> bytes | None:
    """The request for the rest; None where there can't be one.

    Args:
        body: The first request, which is of a class that can be resumed.
        said: The text so far, not empty.
        tokens: How many tokens it has.
        how: What the next replica's runtime can.
    """
    members = read_members(body)
    is_chat = "messages" in members.values
    if not (how.chat if is_chat else how.completion):
        return None
    longer = _longer_chat(members, said) if is_chat else _longer_prompt(members, said)
    limits = _limits(members, tokens)
    if longer is None or limits is None:
        return None
    added = [_GO_ON] if is_chat else []
    default = how.completion_tokens
    if not is_chat and default is not None and "max_tokens" not in members.values:
        if tokens >= default:
            return None
        added.append(b'"max_tokens":%d' % (default - tokens))
    edits = sorted([longer, *limits])
    if added:
        edits.append(insertion(body, members, b",".join(added)))
    return spliced(body, edits)


def _longer_chat(members: Members, said: str) -> Edit | None:
    try:
        messages = _MESSAGES.decode(members.values["messages"])
        if not messages or _MESSAGE.decode(messages[-1]).role == "assistant":
            return None  # a turn of the assistant that the client wrote; another one after it would be a new turn
    except msgspec.ValidationError:
        return None
    at = span(members, "messages")[1] - 1
    return at, at, b',{"role":"assistant","content":' + msgspec.json.encode(said) + b"}"


def _longer_prompt(members: Members, said: str) -> Edit:
    at = span(members, "prompt")[1] - 1
    return at, at, msgspec.json.encode(said)[1:-1]


def _limits(members: Members, tokens: int) -> list[Edit] | None:
    """The limits, less what was said; None where nothing is left."""
    edits: list[Edit] = []
    for name in (*_MOST, *_LEAST):
        limit = _positive(members.values.get(name))
        if limit is None:
            continue
        left = limit - tokens
        if left <= 0 and name in _MOST:
            return None
        edits.append((*span(members, name), b"%d" % max(left, 0)))
    return edits


def _positive(value: msgspec.Raw | None) -> int | None:
    """A limit; None for null and for those numbers by which runtimes mean that there is none."""
    if value is None:
        return None
    try:
        number = _NUMBER.decode(value)
    except msgspec.ValidationError:
        return None
    return number if number > 0 else None
