"""Label and field selectors, as lists and watches take them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.kubernetes.catalog import Resource
from tests.support.kubernetes.refusals import bad_request

Matcher = Callable[[Mapping[str, Any]], bool]
_IN = re.compile(r"^(?P<key>[^\s!=]+)\s+(?P<verb>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=]+)\s*(?P<verb>==|=|!=)\s*(?P<value>\S*)$")
_PRESENT = re.compile(r"^(?P<no>!?)\s*(?P<key>[^\s!=,()]+)$")
_SPLIT = re.compile(r",(?![^(]*\))")


def matcher(resource: Resource, label_selector: str, field_selector: str) -> Matcher:
    """Whether an object is meant by both selectors."""
    tests = [_label_test(each.strip()) for each in _SPLIT.split(label_selector) if each.strip()]
    tests += [_field_test(resource, each.strip()) for each in field_selector.split(",") if each.strip()]
    return lambda body: all(test(body) for test in tests)


def _labels(body: Mapping[str, Any]) -> Mapping[str, str]:
    labels = body["metadata"].get("labels")
    return labels or {}


def _label_test(term: str) -> Matcher:
    if found := _IN.match(term):
        key, values = found["key"], {each.strip() for each in found["values"].split(",")}
        if found["verb"] == "in":
            return lambda body: _labels(body).get(key) in values
        return lambda body: _labels(body).get(key) not in values
    if found := _EQUAL.match(term):
        key, value = found["key"], found["value"]
        if found["verb"] == "!=":
            return lambda body: _labels(body).get(key) != value
        return lambda body: _labels(body).get(key) == value
    if found := _PRESENT.match(term):
        key, wanted = found["key"], not found["no"]
        return lambda body: (key in _labels(body)) is wanted
    raise bad_request(f"unable to parse requirement: {term!r}")


def _field_test(resource: Resource, term: str) -> Matcher:
    found = _EQUAL.match(term)
    if not found:
        raise bad_request(f"invalid selector: {term!r}; can't understand {term!r}")
    field, value, wanted = found["key"], found["value"], found["verb"] != "!="
    path = _field_path(resource, field)

    def test(body: Mapping[str, Any]) -> bool:
        here: Any = body
        for name in path:
            here = here.get(name, {}) if isinstance(here, Mapping) else {}
        return (("" if here == {} else str(here)) == value) is wanted

    return test


def _field_path(resource: Resource, field: str) -> tuple[str, ...]:
    """Custom resources can be selected by name and namespace only; a few built-in kinds by a little more."""
    more = {
        "pods": {"spec.nodeName", "status.phase", "spec.schedulerName"},
        "events": {"involvedObject.name", "involvedObject.uid", "involvedObject.kind", "reason", "type"},
        "secrets": {"type"},
        "namespaces": {"status.phase"},
    }.get(resource.plural, set())
    if field not in {"metadata.name", "metadata.namespace"} | more:
        raise bad_request(f"field label not supported: {field}")
    return tuple(field.split("."))
