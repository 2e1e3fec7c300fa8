"""Changes in the text of a JSON object that was read, which is not written anew.

Pure; called by `bodies` and `resume`. A change puts bytes in one place, so spellings, order and unknown members travel untouched.
"""

from collections.abc import Collection, Sequence
from typing import Final

from hostler_router.members import Members

Edit = tuple[int, int, bytes]
"""Begin and end of what goes, and what comes instead."""

SMALL_BYTES: Final = 4096
"""Copying a text of this size once more costs less than views of it."""


def span(members: Members, name: str) -> tuple[int, int]:
    """Where the value of `name`, which must be there, begins and ends."""
    return spans(members, (name,))[name]


def spans(members: Members, names: Collection[str]) -> dict[str, tuple[int, int]]:
    """The same of those of `names` that are there, in order."""
    if members.begins is not None:
        return {
            name: (members.begins[name], members.begins[name] + len(value))
            for name, value in members.values.items()
            if name in names
        }
    found: dict[str, tuple[int, int]] = {}
    # That no name has an escape or takes more bytes than characters was seen by the length of the text.
    at, named, apart = 1, 3 + members.gap, 1 + members.gap  # its quotes and colon; the comma
    for name, value in members.values.items():
        at += len(name) + named
        end = at + len(value)
        if name in names:
            found[name] = at, end
        at = end + apart
    return found


def replaced(members: Members, text: bytes, name: str, instead: bytes) -> bytes:
    """`text`, which has these members, with `instead` as the value of `name`, which must be there."""
    if members.form is not None and len(text) < SMALL_BYTES:
        return members.form % tuple({**members.values, name: instead}.values())
    return spliced(text, ((*span(members, name), instead),))


def spliced(text: bytes, edits: Sequence[Edit]) -> bytes:
    """`text` with edits, which must not overlap, in order."""
    if len(text) < SMALL_BYTES:
        for begin, end, instead in reversed(edits):
            text = text[:begin] + instead + text[end:]
        return text
    view = memoryview(text)
    pieces: list[bytes | memoryview] = []
    at = 0
    for begin, end, instead in edits:
        pieces += (view[at:begin], instead)
        at = end
    pieces.append(view[at:])
    return b"".join(pieces)


def insertion(text: bytes, members: Members, added: bytes) -> Edit:
    """The edit that adds `added`, a member as it is written, at the end of the object."""
    at = text.rindex(b"}")
    return at, at, b"," + added if members.values else added
