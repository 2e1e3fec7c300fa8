"""Lists: with selectors, in pages that all show one revision."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from tests.support.kubernetes.catalog import Resource
from tests.support.kubernetes.refusals import bad_request, expired, revision_too_large
from tests.support.kubernetes.selectors import matcher
from tests.support.kubernetes.store import Body, Store

_PAGES_MAX = 200


def revision_in(params: Mapping[str, str]) -> int:
    text = params.get("resourceVersion", "")
    if not text:
        return 0
    if not text.isdigit():
        raise bad_request(f"invalid resource version: {text!r}")
    return int(text)


class Lister:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: dict[str, list[Body]] = {}

    def page(self, resource: Resource, namespace: str, params: Mapping[str, str]) -> dict[str, Any]:
        asked = revision_in(params)
        if asked > self._store.revision:
            raise revision_too_large(asked, self._store.revision)
        meant = matcher(resource, params.get("labelSelector", ""), params.get("fieldSelector", ""))
        limit = int(params.get("limit") or 0)
        metadata: dict[str, Any] = {}
        if token := params.get("continue"):
            revision, start, bodies = self._resume(token)
        else:
            revision, start = self._store.revision, 0
            bodies = [each.body for each in self._store.each(resource, namespace) if meant(each.body)]
        page = bodies[start : start + limit] if limit else bodies[start:]
        metadata["resourceVersion"] = str(revision)
        left = len(bodies) - start - len(page)
        if left > 0:
            metadata["continue"] = self._token(revision, start + len(page), bodies)
            if not params.get("labelSelector") and not params.get("fieldSelector"):
                metadata["remainingItemCount"] = left
        return {
            "apiVersion": resource.api_version,
            "kind": f"{resource.kind}List",
            "metadata": metadata,
            "items": page,
        }

    def _token(self, revision: int, start: int, bodies: list[Body]) -> str:
        token = base64.urlsafe_b64encode(
            json.dumps({"rv": revision, "start": start, "of": id(bodies)}).encode()
        ).decode()
        self._snapshots[token] = bodies
        while len(self._snapshots) > _PAGES_MAX:
            del self._snapshots[next(iter(self._snapshots))]
        return token

    def _resume(self, token: str) -> tuple[int, int, list[Body]]:
        try:
            place = json.loads(base64.urlsafe_b64decode(token))
        except ValueError as error:
            raise bad_request("continue key is not valid") from error
        bodies = self._snapshots.get(token)
        if bodies is None or place["rv"] < self._store.floor:
            raise expired(
                "The provided continue parameter is too old to display a consistent list result. You must start a "
                "new list without the continue parameter."
            )
        return place["rv"], place["start"], bodies
