"""A job's arguments as flags of a program: every name has a row with the form of its value, and one without a row is refused by name.

Pure. A value stays in the one list item of its own flag (`--name=value`), so that no value can be taken for another flag.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from hostler_domain.errors import PermanentError

Form = Callable[[str, str], list[str]]
"""From a flag's name and the value that was given to what the program is called with."""

_TRUE, _FALSE = frozenset({"true", "1", "yes", "on", ""}), frozenset({"false", "0", "no", "off"})
_WHOLE = re.compile(r"-?\d{1,12}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/,+@-]{0,499}", re.ASCII)


def flags(args: Iterable[tuple[str, str]], forms: Mapping[str, Form], runtime: str) -> list[str]:
    """What `args` ask for, in their order.

    Raises:
        PermanentError: an argument is not known, is given twice, or its value has not the right form; the message names it.
    """
    given: list[str] = []
    seen: set[str] = set()
    for written, value in args:
        name = written.replace("_", "-")
        if name not in forms:
            raise PermanentError(
                f"serving.args.{written} is not known to the runtime {runtime}, or not a job's to say"
            )
        if name in seen:
            raise PermanentError(f"serving.args.{written} is given twice, with '-' and with '_'")
        seen.add(name)
        given += forms[name](name, value)
    return given


def whole(lowest: int, highest: int) -> Form:
    """A whole number within bounds."""
    return partial(_whole, lowest, highest)


def decimal(lowest: float, highest: float) -> Form:
    """A number in plain decimal notation within bounds."""
    return partial(_decimal, lowest, highest)


def word(name: str, value: str) -> list[str]:
    """A name, a path or a list of them with commas: nothing with spaces or quotes."""
    if not _WORD.fullmatch(value):
        raise _wrong(name, "a name without spaces", value)
    return [f"--{name}={value}"]


def words(name: str, value: str) -> list[str]:
    """Several names, with commas between them; the program takes them one by one behind their flag."""
    items = value.split(",")
    if not all(_WORD.fullmatch(item) for item in items):
        raise _wrong(name, "names without spaces, with commas between them", value)
    return [f"--{name}", *items]


def text(name: str, value: str) -> list[str]:
    """Any line."""
    if "\0" in value or "\n" in value:
        raise _wrong(name, "one line", value)
    return [f"--{name}={value}"]


def switch(name: str, value: str) -> list[str]:
    """On or off."""
    if value.lower() in _TRUE:
        return [f"--{name}"]
    if value.lower() in _FALSE:
        return [f"--no-{name}"]
    raise _wrong(name, "true or false", value)


def json_object(name: str, value: str) -> list[str]:
    """An object in JSON."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise _wrong(name, "an object in JSON", value) from error
    if not isinstance(found, dict):
        raise _wrong(name, "an object in JSON", value)
    return [f"--{name}={json.dumps(found)}"]


def _whole(lowest: int, highest: int, name: str, value: str) -> list[str]:
    number = int(value) if _WHOLE.fullmatch(value) else None
    if number is None or not lowest <= number <= highest:
        raise _wrong(name, f"a whole number from {lowest} to {highest}", value)
    return [f"--{name}={number}"]


def _decimal(lowest: float, highest: float, name: str, value: str) -> list[str]:
    if not _DECIMAL.fullmatch(value) or not lowest <= float(value) <= highest:
        raise _wrong(name, f"a number from {lowest:g} to {highest:g}", value)
    return [f"--{name}={value}"]


def _wrong(name: str, right: str, value: str) -> PermanentError:
    return PermanentError(f"serving.args.{name} must be {right}, not {value[:80]!r}")
