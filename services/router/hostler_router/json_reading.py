"""JSON objects read without decoding them whole.

Pure; called by `bodies` and `resume`. One pass of msgspec checks all of the text and finds the members; their values stay as they
are written, as views of it. `json_changes` changes it.

An object that names a member twice is refused: who reads the first and who reads the last would not read the same request. msgspec
keeps the last of them, so twins are found by measure: what it gave must add up to the whole text.
"""

import re
from typing import Final

import msgspec
import pydantic_core

from hostler_router.json_changes import SMALL_BYTES
from hostler_router.members import Form, Members
from hostler_router.openai_errors import Refused, invalid

DEPTH_MAX: Final = 200
"""How deep objects and lists may nest. It is jiter's limit, too; msgspec's depends on the interpreter."""

_NAME_SHOWN_MAX: Final = 64
_FORMS_MAX: Final = 512
_FORM_NAMES_MAX: Final = 32
_FORM_LENGTH_MAX: Final = 512
"""So that what callers make up fills no memory: forms of more, or longer, names are not kept."""
_OPENING: Final = (b"[", b"{")
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_TEXT: Final = msgspec.json.Decoder(str)
# A member up to its value. Possessive, so that no text makes the search go back; used only where there is space between members.
_NAME: Final = re.compile(rb'[ \t\n\r]*+[{,][ \t\n\r]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\n\r]*+:[ \t\n\r]*+')
_END: Final = re.compile(rb"[ \t\n\r]*+\}")
_forms: Final[dict[tuple[str, ...], Form]] = {}
_NOT_JSON: Final = invalid("The request body is not valid JSON.", code="invalid_json")
_NO_OBJECT: Final = invalid("The request body must be a JSON object.", code="invalid_type")
_TOO_DEEP: Final = invalid(f"The request body nests deeper than {DEPTH_MAX} levels.", code="invalid_json")


def read_body(body: bytes) -> Members:
    """The members of a request's body.

    Raises:
        Refused: it is not a JSON object in UTF-8, nests too deep or names a member twice.
    """
    try:
        # msgspec does not look at the encoding of what it does not decode; everything else of JSON's grammar it does check.
        if not body.isascii():
            body.decode()
        members = read_members(body)
    except msgspec.ValidationError:
        raise Refused(_NO_OBJECT if _is_json(body) else _NOT_JSON) from None
    except (ValueError, RecursionError):
        raise Refused(_NOT_JSON) from None
    if _is_too_deep(body):
        raise Refused(_TOO_DEEP)
    return members


def read_members(text: bytes) -> Members:
    """The members of an object whose encoding is known to be UTF-8.

    Raises:
        msgspec.DecodeError: it is no JSON.
        msgspec.ValidationError: it is no object.
        Refused: it names a member twice.
    """
    values = _MEMBERS.decode(text)
    names = tuple(values)
    form = _forms.get(names) or _form_of(names)
    # A member that was dropped for its twin, a space or an escape in a name makes the text longer than that, and nothing makes it shorter.
    more = len(text) - form.size - sum(map(len, values.values()))
    if not more:
        return Members(values, form.dense)
    if more == form.spaces and (
        text == form.spaced % tuple(values.values()) if len(text) < SMALL_BYTES else _is_spaced(text, values)
    ):
        return Members(values, form.spaced, 1)
    return Members(values, None, 0, _walk(text, values))


def _form_of(names: tuple[str, ...]) -> Form:
    """How an object with these members is written; kept for the next one, as most clients send the same ones each time."""
    count, length = len(names), sum(map(len, names))
    keys = [b'"%b"' % name.encode("utf-8", "replace").replace(b"%", b"%%") for name in names]
    form = Form(
        # Two braces, and for each member two quotes, colon and comma, but for the last.
        size=1 + 4 * count + length if count else 2,
        spaces=2 * count - 1,
        dense=b"{%b}" % b",".join([key + b":%b" for key in keys]),
        spaced=b"{%b}" % b", ".join([key + b": %b" for key in keys]),
    )
    if count <= _FORM_NAMES_MAX and length <= _FORM_LENGTH_MAX:
        if len(_forms) >= _FORMS_MAX:
            _forms.clear()
        _forms[names] = form
    return form


def _is_spaced(text: bytes, values: dict[str, msgspec.Raw]) -> bool:
    """Whether it is these members and nothing else, spaced as Python's json does it; copies nothing of a long text.

    It looks for the same as `_walk`, with less freedom, in a fraction of the time.
    """
    at, opening = 0, b'{"%b": '
    for name, value in values.items():
        opened = opening % name.encode()
        begin = at + len(opened)
        if not text.startswith(opened, at) or not text.startswith(value, begin):
            return False
        at, opening = begin + len(value), b', "%b": '
    return text[at:] == b"}"


def _walk(text: bytes, values: dict[str, msgspec.Raw]) -> dict[str, int]:
    """Where the values begin.

    A value that was kept is found at its name again, unless that name came twice; as no JSON value begins with another one but a
    number, which the next match then stumbles over, the walk is at the beginning of a member or has found a twin at every step.
    """
    begins: dict[str, int] = {}
    at = 0
    name = ""
    while found := _NAME.match(text, at):
        name, begin = _TEXT.decode(found[1]), found.end()
        if name in begins or not text.startswith(values[name], begin):
            raise _twice(name)
        begins[name] = begin
        at = begin + len(values[name])
    if len(begins) != len(values) or (values and not _END.match(text, at)):
        raise _twice(name)
    return begins


def _twice(name: str) -> Refused:
    shown = name if len(name) <= _NAME_SHOWN_MAX else name[:_NAME_SHOWN_MAX] + "..."
    message = f"The request body names {shown!r} more than once."
    return Refused(invalid(message, code="duplicate_parameter", param=shown))


def _is_json(text: bytes) -> bool:
    try:
        _ANY.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _is_too_deep(text: bytes) -> bool:
    """Whether it nests deeper than the limit.

    As a rule a request does not have that many objects and lists at all, and to look for them costs next to nothing: to find a few
    takes a fraction of the time that counting them does, a tenth in a long text. The others are decoded by the parser that has the limit.
    """
    left = DEPTH_MAX
    for sign in _OPENING:
        at = text.find(sign)
        while at >= 0:
            left -= 1
            if left < 0:
                return _is_refused_by_depth(text)
            at = text.find(sign, at + 1)
    return False


def _is_refused_by_depth(text: bytes) -> bool:
    try:
        pydantic_core.from_json(text, cache_strings="none")
    except ValueError:
        return True
    return False
