"""Numbers and flags in the bodies of requests, as JSON means them: `true` is no number, and neither is `"5"`.

Without these pydantic would take all of them for what they resemble, and the description of the API would promise less than is taken.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field, Strict
from pydantic_core import PydanticCustomError


def _whole(value: object) -> object:
    if isinstance(value, bool | str | bytes):
        raise PydanticCustomError("whole_number", "must be an integer")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool | str | bytes):
        raise PydanticCustomError("number", "must be a number")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number; 3.0 is one, as in JSON Schema."""
Number = Annotated[float, BeforeValidator(_number)]


def _priority(value: object) -> object:
    if isinstance(value, bool | bytes) or not isinstance(value, int | float | str):
        raise PydanticCustomError("priority", "must be an integer or the name of a priority class")
    return value


Priority = Annotated[
    Annotated[int, Field()] | Annotated[str, Field(max_length=63)], BeforeValidator(_priority)
]
"""A number, or the name of a class."""
Flag = Annotated[bool, Strict()]
