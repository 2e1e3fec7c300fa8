"""Who may do what. On a real server these need somebody who may make roles; who may not is told by a skip."""

import pytest

from tests.conformance.kubernetes.site import CONFIG_MAPS, VMIS, Site, config_map, vmi

RBAC = "rbac.authorization.k8s.io/v1"


async def _token(site: Site, verbs: list[str]) -> str:
    """A token of a new service account that may do this much with VMIs of the namespace."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "hostler"}}
    role = {
        "apiVersion": RBAC,
        "kind": "Role",
        "metadata": {"name": "hostler"},
        "rules": [{"apiGroups": ["kubevirt.io"], "resources": ["virtualmachineinstances"], "verbs": verbs}],
    }
    binding = {
        "apiVersion": RBAC,
        "kind": "RoleBinding",
        "metadata": {"name": "hostler"},
        "subjects": [{"kind": "ServiceAccount", "name": "hostler", "namespace": site.namespace}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "hostler"},
    }
    await site.made("v1/serviceaccounts", account)
    for kind, body in ((f"{RBAC}/roles", role), (f"{RBAC}/rolebindings", binding)):
        answer = await site.create(kind, body)
        if answer.status == 403:
            pytest.skip("this user may not make roles")
        assert answer.status == 201, answer.body
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    asked = await site.send("POST", site.path("v1/serviceaccounts", "hostler", "token"), request)
    assert asked.status == 201, asked.body
    return asked.body["status"]["token"]


async def test_a_token_may_do_what_its_role_says_and_no_more(site: Site) -> None:
    token = await _token(site, ["get", "list", "watch"])
    await site.made(VMIS, vmi("a"))

    async def listed() -> bool:
        # Roles come into force a moment after they are made.
        return (await site.send("GET", site.path(VMIS), token=token)).status == 200

    await site.until(listed)
    created = await site.send("POST", site.path(VMIS), vmi("b"), token=token)
    deleted = await site.send("DELETE", site.path(VMIS, "a"), token=token)
    elsewhere = await site.send("GET", site.path(CONFIG_MAPS), token=token)

    assert [(each.status, each.reason) for each in (created, deleted, elsewhere)] == [(403, "Forbidden")] * 3
    assert (await site.get(VMIS, "b")).status == 404


async def test_a_token_of_one_namespace_sees_no_other(site: Site) -> None:
    token = await _token(site, ["get", "list", "watch", "create"])

    refused = await site.send("GET", "/apis/kubevirt.io/v1/virtualmachineinstances", token=token)

    assert (refused.status, refused.reason) == (403, "Forbidden")


async def test_a_token_that_is_none_is_unauthorized(site: Site) -> None:
    refused = await site.send("GET", site.path(VMIS), token="made-up")

    assert (refused.status, refused.reason) == (401, "Unauthorized")


async def test_what_is_refused_has_no_effect(site: Site) -> None:
    await site.send("POST", site.path(CONFIG_MAPS), config_map("a"), token="made-up")

    assert (await site.get(CONFIG_MAPS, "a")).status == 404
