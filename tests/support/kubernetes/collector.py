"""The garbage collector of the fake cluster, and the end of namespaces.

It goes by UIDs: what names only owners that are not there any more is deleted, and what waits in the foreground for its dependents is
let go when the last of them is gone. It looks again after every change, a moment later.
"""

from tests.support.kubernetes.catalog import NAMESPACES
from tests.support.kubernetes.refusals import Refusal
from tests.support.kubernetes.store import Body, Store, Stored
from tests.support.kubernetes.verbs import DeleteOptions, Options, Verbs

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_SYSTEM = Options(manager="kube-controller-manager", by_kubevirt=True)


class Collector:
    def __init__(self, store: Store, verbs: Verbs) -> None:
        self._store = store
        self._verbs = verbs

    def settle(self) -> None:
        """Go round until there is nothing left to do."""
        while self._sweep():
            pass

    def _sweep(self) -> bool:
        before = self._store.revision
        for each in self._store.all():
            # What was done for one object may have changed the next.
            if (stored := self._store.with_uid(each.uid)) is not None:
                self._look_at(stored)
        return self._store.revision != before

    def _look_at(self, stored: Stored) -> None:
        metadata = stored.body["metadata"]
        owners = metadata.get("ownerReferences") or ()
        if owners and "deletionTimestamp" not in metadata:
            present = [found for each in owners if (found := self._owner(stored, each["uid"])) is not None]
            if not present or all(_waits(each) for each in present):
                self._delete(stored)
        finalizers = metadata.get("finalizers") or ()
        if "deletionTimestamp" not in metadata:
            return
        if stored.resource is NAMESPACES:
            self._empty(stored)
        elif ORPHAN in finalizers:
            for each in self._dependents(stored):
                self._disown(each, stored.uid)
            self._release(stored, ORPHAN)
        elif FOREGROUND in finalizers and not any(
            _blocks(each, stored.uid) for each in self._dependents(stored)
        ):
            self._release(stored, FOREGROUND)

    def _owner(self, stored: Stored, uid: str) -> Stored | None:
        owner = self._store.with_uid(uid)
        if owner is None or not owner.resource.namespaced:
            return owner
        same = owner.body["metadata"]["namespace"] == stored.body["metadata"].get("namespace")
        return owner if same else None

    def _dependents(self, owner: Stored) -> list[Stored]:
        return [
            each
            for each in self._store.all()
            if any(ref["uid"] == owner.uid for ref in each.body["metadata"].get("ownerReferences") or ())
        ]

    def _empty(self, namespace: Stored) -> None:
        name = namespace.body["metadata"]["name"]
        inside = [each for each in self._store.all() if each.body["metadata"].get("namespace") == name]
        for each in inside:
            if "deletionTimestamp" not in each.body["metadata"]:
                self._delete(each)
        if not inside:
            self._release(namespace, "kubernetes")

    def _delete(self, stored: Stored) -> None:
        policy = (
            "Foreground"
            if any(_blocks(each, stored.uid) for each in self._dependents(stored))
            else "Background"
        )
        metadata = stored.body["metadata"]
        try:
            self._verbs.delete(
                stored.resource,
                metadata.get("namespace", ""),
                metadata["name"],
                DeleteOptions(uid=stored.uid, policy=policy),
            )
        except Refusal as refusal:
            # Deleted by somebody else, or replaced by a namesake, in the same sweep.
            if refusal.status not in (404, 409):
                raise

    def _release(self, stored: Stored, finalizer: str) -> None:
        self._change(
            stored,
            lambda metadata: {
                **metadata,
                "finalizers": [each for each in metadata.get("finalizers", ()) if each != finalizer],
            },
        )

    def _disown(self, stored: Stored, uid: str) -> None:
        self._change(
            stored,
            lambda metadata: {
                **metadata,
                "ownerReferences": [
                    each for each in metadata.get("ownerReferences", ()) if each["uid"] != uid
                ],
            },
        )

    def _change(self, stored: Stored, change) -> None:
        metadata = stored.body["metadata"]

        def changed(body: Body) -> Body:
            return {**body, "metadata": change(body["metadata"])}

        self._verbs.update(stored.resource, metadata.get("namespace", ""), metadata["name"], changed, _SYSTEM)


def _waits(owner: Stored) -> bool:
    """Whether an owner is being deleted in the foreground, which takes its dependents first."""
    metadata = owner.body["metadata"]
    return "deletionTimestamp" in metadata and FOREGROUND in (metadata.get("finalizers") or ())


def _blocks(dependent: Stored, uid: str) -> bool:
    return any(
        ref["uid"] == uid and ref.get("blockOwnerDeletion")
        for ref in dependent.body["metadata"].get("ownerReferences") or ()
    )
