"""The members of a JSON object where they stand in its text, which is changed without being written anew.

Pure; `json_reading` makes them. A change puts bytes in one place, so spellings, order and unknown members travel untouched. Structs of msgspec,
so they stand apart from what can be compiled (pyproject.toml says which modules are).
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

Edit = tuple[int, int, bytes]
"""Begin and end of what goes, and what comes instead."""

SMALL_BYTES: Final = 4096
"""Copying a text of this size once more costs less than views of it."""


class Form(msgspec.Struct, frozen=True, gc=False):
    """How an object with members of certain names, in this order, is mostly written.

    Attributes:
        size: Of everything but the values where there is no space between them; in a text with escapes in names it is too little.
        spaces: How many there are where one follows each colon and comma, as Python's json has it.
        dense: The object without spaces, with a `%b` for each value.
        spaced: The same with those.
    """

    size: int
    spaces: int
    dense: bytes
    spaced: bytes


class Members(msgspec.Struct, frozen=True, gc=False):
    """The members of an object.

    Attributes:
        values: What is written as their values, by name, in order.
        form: The object with a `%b` for each value; None where it is spaced in no way that is known.
        gap: How many spaces follow each colon and comma.
        begins: Where each value begins; None where the spaces are so even that it can be counted.
    """

    values: dict[str, msgspec.Raw]
    form: bytes | None
    gap: int = 0
    begins: dict[str, int] | None = None

    def span(self, name: str) -> tuple[int, int]:
        """Where the value of `name`, which must be there, begins and ends."""
        return self.spans((name,))[name]

    def spans(self, names: Collection[str]) -> dict[str, tuple[int, int]]:
        """The same of those of `names` that are there, in order."""
        if self.begins is not None:
            return {
                name: (self.begins[name], self.begins[name] + len(value))
                for name, value in self.values.items()
                if name in names
            }
        spans: dict[str, tuple[int, int]] = {}
        # That no name has an escape or takes more bytes than characters was seen by the length of the text.
        at, named, apart = 1, 3 + self.gap, 1 + self.gap  # its quotes and colon; the comma
        for name, value in self.values.items():
            at += len(name) + named
            end = at + len(value)
            if name in names:
                spans[name] = at, end
            at = end + apart
        return spans

    def replaced(self, text: bytes, name: str, instead: bytes) -> bytes:
        """`text`, which has these members, with `instead` as the value of `name`, which must be there."""
        if self.form is not None and len(text) < SMALL_BYTES:
            return self.form % tuple({**self.values, name: instead}.values())
        return spliced(text, ((*self.span(name), instead),))


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
