"""The three kinds of patch that change an object in place. Server-side apply is in `applies`."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.kubernetes.refusals import Refusal, bad_request

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
# The lists that a strategic merge joins by a key instead of replacing them, as far as tests need it.
_KEYS = {"ownerReferences": "uid", "conditions": "type", "containers": "name", "volumes": "name"}


def merge(target: Any, patch: Any, *, strategic: bool = False, field: str = "") -> Any:
    """JSON merge patch (RFC 7386); strategic, lists with a known key are joined and finalizers added."""
    if strategic and isinstance(patch, list) and isinstance(target, list):
        if field == "finalizers":
            return [*target, *(each for each in patch if each not in target)]
        if field in _KEYS:
            key = _KEYS[field]
            joined = {each[key]: each for each in target}
            for each in patch:
                joined[each[key]] = merge(joined.get(each[key], {}), each, strategic=True)
            return list(joined.values())
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value, strategic=strategic, field=name)
    return result


def json_patch(target: Mapping[str, Any], operations: Any) -> dict[str, Any]:
    """RFC 6902. A failed test is 422, as the real server has it."""
    if not isinstance(operations, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch"
        )
    result = copy.deepcopy(dict(target))
    for each in operations:
        path = [part.replace("~1", "/").replace("~0", "~") for part in each["path"].split("/")[1:]]
        match each["op"]:
            case "add":
                _put(result, path, each["value"], insert=True)
            case "replace":
                _get(result, path)
                _put(result, path, each["value"], insert=False)
            case "remove":
                _take(result, path)
            case "test":
                if _get(result, path) != each["value"]:
                    raise Refusal(
                        422, "Invalid", f"the server rejected our request: testing path {each['path']} failed"
                    )
            case "copy" | "move" as operation:
                source = each["from"].split("/")[1:]
                value = copy.deepcopy(_get(result, source))
                if operation == "move":
                    _take(result, source)
                _put(result, path, value, insert=True)
            case other:
                raise bad_request(f"unexpected kind of operation: {other}")
    return result


def _missing(path: Sequence[str]) -> Refusal:
    return Refusal(422, "Invalid", f"the server rejected our request: path /{'/'.join(path)} does not exist")


def _get(here: Any, path: Sequence[str]) -> Any:
    for part in path:
        try:
            here = here[int(part)] if isinstance(here, list) else here[part]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _missing(path) from error
    return here


def _put(root: Any, path: Sequence[str], value: Any, *, insert: bool) -> None:
    parent, last = _get(root, path[:-1]), path[-1]
    if isinstance(parent, list):
        if last == "-":
            parent.append(value)
        elif insert:
            parent.insert(int(last), value)
        else:
            parent[int(last)] = value
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise _missing(path)


def _take(root: Any, path: Sequence[str]) -> None:
    _get(root, path)
    parent, last = _get(root, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.pop(int(last))
    else:
        del parent[last]
