"""Who may do what: tokens, and the roles of the fake cluster itself.

The administrator's token may do everything. Tokens of service accounts are made by TokenRequest, as on a real cluster, and may do
what the roles bound to them say; so the roles that Hostler ships can be tried here.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.kubernetes.catalog import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Resource,
)
from tests.support.kubernetes.refusals import forbidden, unauthorized
from tests.support.kubernetes.store import Store

ADMINISTRATOR = "kubernetes-admin"
_ANONYMOUS = "system:anonymous"


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class Access:
    def __init__(self, store: Store) -> None:
        self.admin_token = secrets.token_urlsafe(24)
        self._store = store
        self._users = {self.admin_token: ADMINISTRATOR}

    def token_for(self, user: str) -> str:
        token = secrets.token_urlsafe(24)
        self._users[token] = user
        return token

    def revoke(self, token: str) -> None:
        """From now on this token is 401."""
        self._users.pop(token, None)

    def user_of(self, authorization: str | None) -> str:
        if not authorization:
            return _ANONYMOUS
        user = self._users.get(authorization.removeprefix("Bearer "))
        if user is None:
            raise unauthorized()
        return user

    def check(self, user: str, verb: str, target: Target) -> None:
        if user == ADMINISTRATOR or any(
            _allows(rule, verb, target) for rule in self._rules(user, target.namespace)
        ):
            return
        where = f' in the namespace "{target.namespace}"' if target.namespace else " at the cluster scope"
        raise forbidden(
            target.resource,
            target.name,
            f'User "{user}" cannot {verb} resource "{target.resource.plural}" in API group '
            f'"{target.resource.group}"{where}',
        )

    def _rules(self, user: str, namespace: str) -> Iterator[Mapping[str, Any]]:
        for stored in self._store.each(CLUSTER_ROLE_BINDINGS):
            if _binds(stored.body, user, ""):
                yield from self._rules_of(stored.body["roleRef"], "")
        if namespace:
            for stored in self._store.each(ROLE_BINDINGS, namespace):
                if _binds(stored.body, user, namespace):
                    yield from self._rules_of(stored.body["roleRef"], namespace)

    def _rules_of(self, reference: Mapping[str, Any], namespace: str) -> Iterator[Mapping[str, Any]]:
        clusterwide = reference["kind"] == "ClusterRole"
        role = self._store.find(
            CLUSTER_ROLES if clusterwide else ROLES, "" if clusterwide else namespace, reference["name"]
        )
        if role is not None:
            yield from role.body.get("rules") or ()


def _binds(binding: Mapping[str, Any], user: str, namespace: str) -> bool:
    for subject in binding.get("subjects") or ():
        if subject["kind"] == "ServiceAccount":
            name = f"system:serviceaccount:{subject.get('namespace', namespace)}:{subject['name']}"
        else:
            name = subject["name"]
        if name == user:
            return True
    return False


def _allows(rule: Mapping[str, Any], verb: str, target: Target) -> bool:
    plural = target.resource.plural + (f"/{target.subresource}" if target.subresource else "")
    names = rule.get("resourceNames") or ()
    return (
        bool({verb, "*"} & set(rule.get("verbs") or ()))
        and bool({target.resource.group, "*"} & set(rule.get("apiGroups") or ()))
        and bool({plural, "*"} & set(rule.get("resources") or ()))
        and (not names or target.name in names)
    )
