"""Reading Kubernetes objects, which come as JSON of any shape: what is missing or of another type reads as empty. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

JsonObject: TypeAlias = Mapping[str, object]

_EMPTY: JsonObject = {}


def at(value: object, *path: str) -> object:
    """What lies under `path`; None where there is nothing."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def text(value: object, *path: str) -> str:
    """The text under `path`; empty where there is none."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def mapping(value: object, *path: str) -> JsonObject:
    """The object under `path`; empty where there is none."""
    found = at(value, *path)
    return found if isinstance(found, Mapping) else _EMPTY


def items(value: object, *path: str) -> tuple[JsonObject, ...]:
    """The objects of the list under `path`; anything else in it is passed over."""
    found = at(value, *path)
    if not isinstance(found, list):
        return ()
    return tuple(each for each in found if isinstance(each, Mapping))


def texts(value: object, *path: str) -> dict[str, str]:
    """The text entries of the object under `path`, such as labels."""
    return {key: each for key, each in mapping(value, *path).items() if isinstance(each, str)}


def moment(value: object, *path: str) -> datetime | None:
    """The time under `path`, in the form that Kubernetes writes."""
    found = text(value, *path)
    try:
        return datetime.fromisoformat(found) if found else None
    except ValueError:
        return None


def name_of(value: JsonObject) -> str:
    """An object's name."""
    return text(value, "metadata", "name")


def uid_of(value: JsonObject) -> str:
    """An object's UID."""
    return text(value, "metadata", "uid")


def revision_of(value: JsonObject) -> int:
    """An object's or a list's resource version; 0 where it is none that can be compared."""
    found = text(value, "metadata", "resourceVersion")
    return int(found) if found.isdecimal() else 0
