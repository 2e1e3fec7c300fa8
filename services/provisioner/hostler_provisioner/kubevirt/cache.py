"""What is known of the cluster's objects of one kind: a list, kept up to date by what a watch tells and by our own writes.

Pure but for being kept: `watches.py` feeds it, the backend reads it. A write's answer may arrive before the watch tells of it, so
that the next look sees its own work, or long after, when the object may be gone again: the resource version decides.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from hostler_provisioner.kubevirt.reading import JsonObject, name_of, revision_of, text


class Cache:
    """The objects of one kind by name.

    Attributes:
        version: Resource version to watch on from; empty before the first list, and again when it turned out too old.
        listed: Whether there was a list yet.
    """

    def __init__(self) -> None:
        self._objects: dict[str, JsonObject] = {}
        self._revision = 0
        self.objects: Mapping[str, JsonObject] = MappingProxyType(self._objects)
        self.version = ""
        self.listed = False

    def replace(self, found: Iterable[JsonObject], version: str) -> bool:
        """Take in a whole list; gives whether anything is another than before.

        What was written while the list was made is newer than the list, and stays.
        """
        revision = int(version) if version.isdecimal() else 0
        kept = {name: each for name, each in self._objects.items() if revision_of(each) > revision > 0}
        fresh = {name_of(each): each for each in found} | kept
        changed = not self.listed or _versions(fresh) != _versions(self._objects)
        self._objects.clear()
        self._objects.update(fresh)
        self.version, self._revision, self.listed = version, revision, True
        return changed

    def take(self, event: JsonObject) -> bool:
        """Take in an event of the watch; gives whether an object changed."""
        found = event.get("object")
        if not isinstance(found, Mapping):
            return False
        self.version = text(found, "metadata", "resourceVersion") or self.version
        self._revision = max(self._revision, revision_of(found))
        name = name_of(found)
        match event.get("type"):
            case "ADDED" | "MODIFIED":
                known = self._objects.get(name)
                if known is not None and revision_of(known) > revision_of(found) > 0:
                    return False
                self._objects[name] = found
                return True
            case "DELETED":
                known = self._objects.get(name)
                if known is not None and revision_of(known) > revision_of(found) > 0:
                    return False
                return self._objects.pop(name, None) is not None
            case _:
                return False

    def written(self, found: JsonObject) -> None:
        """Take in the answer to a write of ours, unless the watch is past it."""
        if revision_of(found) > self._revision:
            self._objects[name_of(found)] = found

    def expired(self) -> None:
        """The version can't be watched from any more: list again."""
        self.version = ""


def _versions(objects: Mapping[str, JsonObject]) -> dict[str, int]:
    return {name: revision_of(each) for name, each in objects.items()}
