"""The members of a JSON object, as `json_reading` found them in its text.

Structs of msgspec, so they stand apart from what can be compiled (pyproject.toml says which modules are).
"""

import msgspec


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
