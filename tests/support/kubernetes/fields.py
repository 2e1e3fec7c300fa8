"""Who manages which field: what server-side apply goes by.

Ownership is kept per leaf. Lists are leaves, set as a whole, but for finalizers and owner references, whose entries are leaves.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]
Leaves = dict[Path, Any]
_METADATA = ("labels", "annotations")


@dataclass(frozen=True, slots=True, order=True)
class Manager:
    """Somebody who writes, and in which way: an apply and an update of one name are two managers."""

    name: str
    operation: str
    subresource: str = ""


Managers = dict[Manager, frozenset[Path]]


def leaves(body: Mapping[str, Any]) -> Leaves:
    """All fields that can be managed, with their values."""
    found: Leaves = {}
    metadata = body.get("metadata", {})
    for name in _METADATA:
        _walk(metadata.get(name) or None, ("metadata", name), found)
    for each in metadata.get("finalizers") or ():
        found["metadata", "finalizers", f'v:"{each}"'] = each
    for each in metadata.get("ownerReferences") or ():
        found["metadata", "ownerReferences", f"k:{json.dumps({'uid': each.get('uid')})}"] = each
    for name, value in body.items():
        if name not in ("apiVersion", "kind", "metadata"):
            _walk(value, (name,), found)
    return found


def _walk(value: Any, path: Path, found: Leaves) -> None:
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            _walk(each, (*path, name), found)
    elif value is not None:
        found[path] = value


def with_leaves(body: Mapping[str, Any], put: Leaves, remove: Iterable[Path]) -> dict[str, Any]:
    """The object with these fields set and those gone; parents that end up empty go as well."""
    result = copy.deepcopy(dict(body))
    for path in sorted(remove, reverse=True):
        if path[-1][:2] in ("v:", "k:"):
            _drop_entry(result, path)
        else:
            _drop(result, path)
    for path, value in put.items():
        if path[-1][:2] in ("v:", "k:"):
            _put_entry(result, path, value)
            continue
        here = result
        for part in path[:-1]:
            if not isinstance(here.get(part), dict):
                here[part] = {}
            here = here[part]
        here[path[-1]] = copy.deepcopy(value)
    return result


def _entry_key(path: Path, value: Any) -> str:
    return f'v:"{value}"' if path[-1].startswith("v:") else f"k:{json.dumps({'uid': value.get('uid')})}"


def _drop_entry(body: dict[str, Any], path: Path) -> None:
    entries = body["metadata"].get(path[1]) or []
    kept = [each for each in entries if _entry_key(path, each) != path[-1]]
    body["metadata"][path[1]] = kept
    if not kept:
        del body["metadata"][path[1]]


def _put_entry(body: dict[str, Any], path: Path, value: Any) -> None:
    entries = list(body["metadata"].get(path[1]) or [])
    keys = [_entry_key(path, each) for each in entries]
    if path[-1] in keys:
        entries[keys.index(path[-1])] = copy.deepcopy(value)
    else:
        entries.append(copy.deepcopy(value))
    body["metadata"][path[1]] = entries


def _drop(here: dict[str, Any], path: Path) -> None:
    if path[0] not in here:
        return
    if len(path) == 1:
        del here[path[0]]
    elif isinstance(here[path[0]], dict):
        _drop(here[path[0]], path[1:])
        if not here[path[0]] and path[0] != "metadata":
            del here[path[0]]


def after_update(
    managers: Managers, before: Mapping[str, Any] | None, after: Mapping[str, Any], who: Manager
) -> Managers:
    """An update takes the fields that it changes from all others."""
    old, new = leaves(before) if before else {}, leaves(after)
    changed = frozenset(path for path, value in new.items() if path not in old or old[path] != value)
    gone = frozenset(old) - frozenset(new)
    kept = {manager: paths - changed - gone for manager, paths in managers.items()}
    kept[who] = kept.get(who, frozenset()) | changed
    return {manager: paths for manager, paths in kept.items() if paths}


def conflicts(
    managers: Managers, current: Mapping[str, Any], wanted: Leaves, who: Manager
) -> list[tuple[Manager, Path]]:
    """Fields that an apply would change under other managers' hands."""
    now = leaves(current)
    return [
        (manager, path)
        for manager, paths in sorted(managers.items())
        if manager != who
        for path in sorted(paths & wanted.keys())
        if _differs(now, path, wanted[path])
    ]


def after_apply(
    managers: Managers, current: Mapping[str, Any], wanted: Leaves, who: Manager
) -> tuple[dict[str, Any], Managers]:
    """The object, and who manages it, once a manager's wish is in force."""
    now = leaves(current)
    others: frozenset[Path] = frozenset().union(*(paths for each, paths in managers.items() if each != who))
    gone = managers.get(who, frozenset()) - wanted.keys() - others
    changed = frozenset(path for path, value in wanted.items() if _differs(now, path, value))
    body = with_leaves(current, {path: wanted[path] for path in wanted if path in changed}, gone)
    kept = {each: paths - changed for each, paths in managers.items() if each != who}
    kept[who] = frozenset(wanted)
    return body, {each: paths for each, paths in kept.items() if paths}


def _differs(now: Leaves, path: Path, value: Any) -> bool:
    """Whether a wish would change a field. An empty object is content with whatever others put into it."""
    if value == {} and any(each[: len(path)] == path for each in now):
        return False
    return now.get(path) != value


def rendered(managers: Managers, api_version: str, at: str) -> list[dict[str, Any]]:
    """The `managedFields` that a client sees."""
    shown = []
    for manager, paths in sorted(managers.items()):
        fields: dict[str, Any] = {}
        for path in sorted(paths):
            here = fields
            for part in path:
                here = here.setdefault(part if part[:2] in ("v:", "k:") else f"f:{part}", {})
        shown.append(
            {
                "manager": manager.name,
                "operation": manager.operation,
                "apiVersion": api_version,
                "time": at,
                "fieldsType": "FieldsV1",
                "fieldsV1": fields,
                **({"subresource": manager.subresource} if manager.subresource else {}),
            }
        )
    return shown


def dotted(path: Path) -> str:
    return "".join(f"[{part[2:]}]" if part[:2] in ("v:", "k:") else f".{part}" for part in path)
