"""How lists are asked for: filters such as `type==Inference`, free words, order and pages. Pure.

The client sends its filters as one list with commas; a value with a comma in it can't be told from two of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from hostler_domain.errors import FieldError, InvalidFields

_FORM = re.compile(r"([A-Za-z0-9]+)(==|!=|<=|>=|=@|!@|=\^|=\$)(.+)", re.DOTALL)
ItemT = TypeVar("ItemT")
Value = str | float | datetime | None


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition."""

    field: str
    operator: str
    value: str


def parsed_filters(given: Sequence[str], known: Sequence[str]) -> tuple[Filter, ...]:
    """The conditions in a query.

    Raises:
        InvalidFields: one is none, or is about a field that there is not.
    """
    found: list[Filter] = []
    errors: list[FieldError] = []
    for text in (part for each in given for part in each.split(",") if part):
        form = _FORM.fullmatch(text)
        if form is None:
            errors.append(
                FieldError(
                    "filterBy", f"{text[:80]!r} is not a field, one of == != <= >= =@ !@ =^ =$, and a value"
                )
            )
        elif form.group(1) not in known:
            errors.append(
                FieldError(
                    "filterBy", f"{form.group(1)[:63]!r} can't be filtered by; there are {', '.join(known)}"
                )
            )
        else:
            found.append(Filter(*form.groups()))
    if errors:
        raise InvalidFields(*errors)
    return tuple(found)


def matches(item: Mapping[str, Value], filters: Sequence[Filter], search: str | None) -> bool:
    """Whether an item meets every condition and has the free words in one of its texts."""
    if not all(_meets(item.get(each.field), each) for each in filters):
        return False
    if not search:
        return True
    # Nobody looks for a part of an id, but two letters are in many.
    return any(
        isinstance(each, str) and not name.endswith("Id") and search.lower() in each.lower()
        for name, each in item.items()
    )


def ordered(items: Sequence[ItemT], key: Callable[[ItemT], Value], *, descending: bool) -> tuple[ItemT, ...]:
    """In the order of a value; items without one come last either way."""
    having = [(value, item) for item in items if (value := key(item)) is not None]
    without = [item for item in items if key(item) is None]
    having.sort(key=lambda pair: _rank(pair[0]), reverse=descending)
    return (*(item for _, item in having), *without)


def page(items: Sequence[ItemT], offset: int, limit: int) -> tuple[tuple[ItemT, ...], int | None]:
    """One page and the offset of the next one; None behind the last."""
    end = offset + limit
    return tuple(items[offset:end]), end if end < len(items) else None


def _rank(value: str | float | datetime) -> tuple[int, float, str]:
    if isinstance(value, str):
        return (1, 0.0, value.lower())
    return (0, value.timestamp() if isinstance(value, datetime) else float(value), "")


def _meets(value: Value, condition: Filter) -> bool:
    """Whether a value meets a condition; one that is not there only differs from what is asked for."""
    operator, wanted = condition.operator, condition.value
    if value is None:
        return operator in ("!=", "!@")
    if isinstance(value, str) or operator in ("=@", "!@", "=^", "=$"):
        return _text_meets(str(value).lower(), operator, wanted.lower())
    number = _comparable(value, wanted)
    if number is None:
        return operator == "!="
    present = value.timestamp() if isinstance(value, datetime) else float(value)
    return {
        "==": present == number,
        "!=": present != number,
        "<=": present <= number,
        ">=": present >= number,
    }[operator]


def _text_meets(text: str, operator: str, wanted: str) -> bool:
    return {
        "==": text == wanted,
        "!=": text != wanted,
        "<=": text <= wanted,
        ">=": text >= wanted,
        "=@": wanted in text,
        "!@": wanted not in text,
        "=^": text.startswith(wanted),
        "=$": text.endswith(wanted),
    }[operator]


def _comparable(value: float | datetime, wanted: str) -> float | None:
    try:
        if not isinstance(value, datetime):
            return float(wanted)
        moment = datetime.fromisoformat(wanted)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
