"""Who may do what in deploy/kubernetes: roles, and who reaches whom."""

from typing import Any

import pytest

from hostler_provisioner.kubevirt import resources
from hostler_provisioner.kubevirt.guests import nim, parakeet, vllm
from hostler_provisioner.kubevirt.machine import Network
from hostler_provisioner.kubevirt.resources import Resource
from tests.support.manifests import (
    chosen_by,
    everything,
    folder,
    of_kind,
    one,
    pods,
)
from tests.unit.deploy.test_manifests import MACHINES, with_pods


@with_pods
def test_no_rule_has_a_wildcard(name: str):
    for role in of_kind(everything(name), "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert not any("*" in word for key in ("apiGroups", "resources", "verbs") for word in rule[key])
            assert "escalate" not in rule["verbs"]
            assert "bind" not in rule["verbs"]
            assert "impersonate" not in rule["verbs"]


@with_pods
def test_nobody_can_list_secrets(name: str):
    for role in of_kind(everything(name), "Role", "ClusterRole"):
        for rule in role["rules"]:
            if "secrets" in rule["resources"]:
                assert not {"list", "watch", "deletecollection"} & set(rule["verbs"])
                assert (role["kind"], role["metadata"]["namespace"]) == ("Role", MACHINES)


@with_pods
def test_beyond_the_namespace_of_machines_nothing_is_changed(name: str):
    found = everything(name)
    assert {each["metadata"]["namespace"] for each in of_kind(found, "Role")} == {MACHINES}
    for role in of_kind(found, "ClusterRole"):
        assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
        assert {each for rule in role["rules"] for each in rule["resources"]} == {"nodes", "pods"}


@with_pods
def test_the_provisioner_may_do_all_that_its_backend_does(name: str):
    found = everything(name)
    role = one(found, "Role", "hostler-provisioner")
    (inventory,) = of_kind(found, "ClusterRole")
    kinds = [each for each in vars(resources).values() if isinstance(each, Resource)]
    made = {*resources.OF_A_JOB, resources.SECRETS}
    wanted = {
        **{each: {"get", "create", "patch", "delete"} for each in made},
        resources.PODS: {"get", "list"},
        resources.NODES: {"list", "watch"},
    }
    for each in (*resources.WATCHED, *resources.OF_A_JOB):
        wanted[each] = wanted[each] | {"list", "watch"}
    assert set(wanted) == set(kinds)
    for resource, verbs in wanted.items():
        rules = (role if resource.namespaced else inventory)["rules"]
        assert verbs <= {
            verb
            for rule in rules
            if resource.group in rule["apiGroups"] and resource.plural in rule["resources"]
            for verb in rule["verbs"]
        }, resource.plural


def test_the_policies_of_replicas_let_our_pods_in():
    """The provisioner writes them; it knows the pods of routers and provisioners by labels that they have here."""
    found = folder("base")
    for peer in Network().callers:
        component = peer.pod_labels["app.kubernetes.io/component"]
        labels = dict(pods(found))[f"hostler-{component}"]["metadata"]["labels"]
        assert chosen_by({"matchLabels": peer.pod_labels}, labels)
        assert peer.namespace_labels == {"kubernetes.io/metadata.name": "hostler"}


@with_pods
def test_only_the_provisioner_is_bound_to_a_role(name: str):
    found = everything(name)
    for binding in of_kind(found, "RoleBinding", "ClusterRoleBinding"):
        assert [(each["name"], each["namespace"]) for each in binding["subjects"]] == [
            ("hostler-provisioner", "hostler")
        ]
        assert one(found, binding["roleRef"]["kind"], binding["roleRef"]["name"])


@with_pods
@pytest.mark.parametrize("namespace", ["hostler", MACHINES])
def test_what_is_not_allowed_is_denied(name: str, namespace: str):
    deny = [
        each
        for each in of_kind(everything(name), "NetworkPolicy")
        if each["metadata"]["namespace"] == namespace and each["spec"]["podSelector"] == {}
    ]
    assert len(deny) == 1
    assert "ingress" not in deny[0]["spec"]
    wanted = ["Ingress", "Egress"] if namespace == "hostler" else ["Ingress"]
    assert deny[0]["spec"]["policyTypes"] == wanted


ALLOWED = {
    ("api", "nats"),
    ("scheduler", "nats"),
    ("provisioner", "nats"),
    ("router", "nats"),
    ("autoscaler", "nats"),
    ("nats", "nats"),
    ("api", "valkey"),
    ("router", "valkey"),
    ("api", "router"),
}


def test_parts_reach_each_other_only_where_they_have_to():
    """In the base: an edge counts when the one's egress and the other's ingress both allow it."""
    found = folder("base")
    labels = {name.removeprefix("hostler-"): pod["metadata"]["labels"] for name, pod in pods(found)}
    policies = [
        each["spec"] for each in of_kind(found, "NetworkPolicy") if each["metadata"]["namespace"] == "hostler"
    ]

    def reaches(source: str, target: str) -> bool:
        out = _peers(policies, labels[source], "egress", "to")
        into = _peers(policies, labels[target], "ingress", "from")
        return _any_takes(out, labels[target]) and _any_takes(into, labels[source])

    edges = {(a, b) for a in labels for b in labels if reaches(a, b)}
    # Each side alone as well: what one lets through must not hang on the other's being closed.
    assert {
        (a, b)
        for a in labels
        for b in labels
        if _any_takes(_peers(policies, labels[a], "egress", "to"), labels[b])
    } == ALLOWED
    closed = {"nats", "valkey"}
    assert {
        (a, b)
        for a in labels
        for b in closed
        if _any_takes(_peers(policies, labels[b], "ingress", "from"), labels[a])
    } == {(a, b) for a, b in ALLOWED if b in closed}
    # Anybody who is let into the cluster may reach the public ports, but only the command line's pod may go out to one.
    assert edges == ALLOWED


def test_only_router_and_provisioner_go_to_machines():
    found = folder("base")
    going = {
        each["metadata"]["name"]
        for each in of_kind(found, "NetworkPolicy")
        for rule in each["spec"].get("egress", ())
        for peer in rule.get("to", ())
        if MACHINES in str(peer.get("namespaceSelector"))
    }
    assert going == {"hostler-router", "hostler-provisioner"}


def test_every_port_of_a_runtime_is_open_to_the_router():
    (policy,) = (
        each["spec"]
        for each in of_kind(folder("base"), "NetworkPolicy")
        if each["metadata"]["name"] == "hostler-router"
    )
    open_ports = {
        port["port"] for rule in policy["egress"] if MACHINES in str(rule["to"]) for port in rule["ports"]
    }
    assert open_ports == {vllm.PORT, parakeet.PORT, nim.PORT}


def _peers(policies: list[Any], labels: dict[str, str], direction: str, key: str) -> list[Any]:
    chosen = [each for each in policies if chosen_by(each["podSelector"], labels)]
    return [peer for each in chosen for rule in each.get(direction, ()) for peer in rule.get(key, [None])]


def _any_takes(peers: list[Any], labels: dict[str, str]) -> bool:
    return any(_takes(peer, labels) for peer in peers)


def _takes(peer: Any, labels: dict[str, str]) -> bool:
    if peer is None:  # a rule without peers is for everybody
        return True
    return (
        "namespaceSelector" not in peer and "podSelector" in peer and chosen_by(peer["podSelector"], labels)
    )
