"""Which node of the fake cluster a VMI goes to: what kube-scheduler would decide, as far as Hostler's manifests ask for it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_UNITS = {
    "": 1,
    "m": 0.001,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_QUANTITY = re.compile(r"^(\d+(?:\.\d+)?)([a-zA-Z]*)$")

Body = Mapping[str, Any]
Demand = dict[str, float]
"""Amounts by resource name: `cpu`, `memory` in bytes, devices."""


def quantity(text: Any) -> float:
    found = _QUANTITY.match(str(text))
    if not found or found[2] not in _UNITS:
        raise ValueError(f"no quantity: {text!r}")
    return float(found[1]) * _UNITS[found[2]]


def demand_of(vmi: Body) -> Demand:
    """What a VMI takes of its node."""
    domain = vmi["spec"].get("domain") or {}
    requests = (domain.get("resources") or {}).get("requests") or {}
    cpu = domain.get("cpu") or {}
    guest = (domain.get("memory") or {}).get("guest")
    demand: Demand = {
        "cpu": float(cpu.get("cores") or 1) * (cpu.get("sockets") or 1) * (cpu.get("threads") or 1)
        if cpu
        else quantity(requests.get("cpu", 1)),
        "memory": quantity(guest or requests.get("memory", "64Mi")),
    }
    devices = domain.get("devices") or {}
    for each in (*(devices.get("gpus") or ()), *(devices.get("hostDevices") or ())):
        if name := each.get("deviceName"):
            demand[name] = demand.get(name, 0) + 1
    return demand


def place(vmi: Body, nodes: Sequence[Body], taken: Mapping[str, Iterable[Demand]]) -> str | None:
    """The name of the preferred node that has room, or None. Among equals the first by name wins."""
    demand = demand_of(vmi)
    fitting = [
        node
        for node in nodes
        if _is_up(node)
        and _is_meant(vmi, node)
        and _has_room(node, demand, taken.get(node["metadata"]["name"], ()))
    ]
    best = min(fitting, key=lambda node: (-_liking(vmi, node), node["metadata"]["name"]), default=None)
    return best["metadata"]["name"] if best else None


def _is_up(node: Body) -> bool:
    conditions = {each["type"]: each["status"] for each in (node.get("status") or {}).get("conditions") or ()}
    return conditions.get("Ready") == "True" and not (node.get("spec") or {}).get("unschedulable")


def _is_meant(vmi: Body, node: Body) -> bool:
    labels = node["metadata"].get("labels") or {}
    selector = vmi["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    affinity = ((vmi["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    return affinity is None or any(_meets(term, node) for term in affinity.get("nodeSelectorTerms") or ())


def _liking(vmi: Body, node: Body) -> int:
    preferred = ((vmi["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "preferredDuringSchedulingIgnoredDuringExecution"
    ) or ()
    return sum(each["weight"] for each in preferred if _meets(each["preference"], node))


def _meets(term: Body, node: Body) -> bool:
    labels = node["metadata"].get("labels") or {}
    fields = {"metadata.name": node["metadata"]["name"]}
    return all(_holds(each, labels) for each in term.get("matchExpressions") or ()) and all(
        _holds(each, fields) for each in term.get("matchFields") or ()
    )


def _holds(expression: Body, values: Mapping[str, str]) -> bool:
    value, wanted = values.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"the fake knows no operator {expression['operator']!r}")


def _has_room(node: Body, demand: Demand, taken: Iterable[Demand]) -> bool:
    left = {name: quantity(amount) for name, amount in node["status"]["allocatable"].items()}
    for each in taken:
        for name, amount in each.items():
            left[name] = left.get(name, 0) - amount
    return all(left.get(name, 0) >= amount for name, amount in demand.items())
