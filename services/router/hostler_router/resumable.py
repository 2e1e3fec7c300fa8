"""Which requests another replica may go on with, in the middle of their answer.

Pure; asked by `bodies` once per streamed request. The class is narrow on purpose: plain text, one answer, nothing that an answer
has to keep to as a whole (a tool's arguments, a grammar, log probabilities). `resume` does what this allows.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

_PROMPTS: Final = {"/v1/chat/completions": ("messages", b"["), "/v1/completions": ("prompt", b'"')}
"""By route: the member that an answer goes on from, and how one begins that it can be put into."""

_IN_THE_WAY: Final = frozenset(
    {
        # Answers that aren't text, or not text alone.
        "audio",
        "functions",
        "function_call",
        "modalities",
        "tool_choice",
        "tools",
        # Text with a form: half of it tells the next replica nothing of where in the form it is.
        "grammar",
        "guided_choice",
        "guided_decoding_backend",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "guided_whitespace_pattern",
        "json_schema",
        "response_format",
        "structured_outputs",
        # What comes beside each token, or of more than one answer.
        "best_of",
        "logprobs",
        "n_probs",
        "prompt_logprobs",
        "return_token_ids",
        "return_tokens_as_token_ids",
        "top_logprobs",
        "use_beam_search",
        # A prompt that is used in another way already.
        "add_generation_prompt",
        "continue_final_message",
        "echo",
        "previous_response_id",
        "suffix",
    }
)
_HARMLESS: Final = frozenset(
    {b"null", b"false", b"[]", b'{"type":"text"}', b'{"type": "text"}', b'["text"]', b'"none"'}
)
"""What asks for none of it: stock clients send such values for what nobody asked for."""


def is_resumable(route: str, values: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the class of the request, which must be one for a stream of one answer, allows it.

    Args:
        route: Its path.
        values: The members of its body, as they are written.
    """
    prompt = _PROMPTS.get(route)
    if prompt is None:
        return False
    name, begin = prompt
    if name not in values or bytes(memoryview(values[name])[:1]) != begin:
        return False
    return _IN_THE_WAY.isdisjoint(values) or all(
        bytes(values[each]) in _HARMLESS for each in _IN_THE_WAY.intersection(values)
    )
