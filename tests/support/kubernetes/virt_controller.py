"""A fake KubeVirt: VMIs walk from Pending to Running on a node with room, and are shut down before they go.

Each VMI has a task for its life and, once it is to be deleted, one for its end. `break_vmi` and `break_node` are what tests do to them.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tests.support.kubernetes.admission import VMI_FINALIZER
from tests.support.kubernetes.catalog import NODES, PODS, SECRETS, VMIS
from tests.support.kubernetes.placing import Demand, demand_of, place
from tests.support.kubernetes.refusals import Refusal
from tests.support.kubernetes.storage import Storage
from tests.support.kubernetes.store import Body, Change, Stored, timestamp
from tests.support.kubernetes.verbs import DeleteOptions, Options

if TYPE_CHECKING:
    from tests.support.kubernetes.cluster import FakeCluster

_KUBEVIRT = Options(manager="virt-controller", by_kubevirt=True)
VMI_BREAKS = frozenset(
    {"vanish", "stick", "unstick", "fail", "succeed", "unknown", "evict", "not_ready", "ready"}
)
NODE_BREAKS = frozenset({"lose", "return"})


@dataclass(frozen=True, slots=True)
class Machine:
    """A VMI that has a node, as its guest knows it."""

    namespace: str
    name: str
    uid: str
    ip: str
    vmi: Body
    user_data: str


class Guests(Protocol):
    """What runs inside the VMIs."""

    async def start(self, machine: Machine) -> None:
        """Boot; returns when the guest's kernel would run."""

    async def ready(self, machine: Machine) -> None:
        """Returns once the readiness probe holds."""

    async def stop(self, uid: str, *, grace_seconds: float) -> None:
        """Shut down, by force after the grace period."""

    def freeze(self, uid: str, *, frozen: bool) -> None:
        """Let it stand still, as behind a network that is gone."""


class NoGuests:
    """VMIs in which nothing runs; they are ready at once."""

    async def start(self, machine: Machine) -> None:
        """Nothing to boot."""

    async def ready(self, machine: Machine) -> None:
        """Nothing to wait for."""

    async def stop(self, uid: str, *, grace_seconds: float) -> None:
        """Nothing to stop."""

    def freeze(self, uid: str, *, frozen: bool) -> None:
        """Nothing to freeze."""


class VirtController:
    def __init__(
        self,
        cluster: "FakeCluster",
        guests: Guests,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._cluster = cluster
        self._store = cluster.store
        self._guests = guests
        self._spawn = spawn
        self.storage = Storage(cluster, spawn)
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._ends: set[str] = set()
        self._taken: dict[str, tuple[str, Demand]] = {}
        self._stuck: set[str] = set()
        self._lost: set[str] = set()
        self._addresses = 0

    def notice(self, change: Change) -> None:
        """Called after every change of the store."""
        self.storage.notice(change)
        if change.resource is not VMIS:
            return
        metadata = change.after["metadata"]
        uid = metadata["uid"]
        if change.kind == "ADDED":
            self._lives[uid] = self._spawn(self._life(change.namespace, metadata["name"], uid))
        elif change.kind == "DELETED":
            self._spawn(self._clear(change.namespace, uid, grace_seconds=0.0))
        elif "deletionTimestamp" in metadata and uid not in self._ends:
            self._ends.add(uid)
            self._spawn(self._end(change.namespace, metadata["name"], uid))

    async def _life(self, namespace: str, name: str, uid: str) -> None:
        timings = self._cluster.config.timings
        self._tell(namespace, name, uid, phase="Pending")
        await asyncio.sleep(timings.pending_seconds)
        vmi = self._store.get(VMIS, namespace, name).body
        while not all(self._mountable(namespace, each) for each in vmi["spec"].get("volumes") or ()):
            await self._store.changed()
        self._tell(namespace, name, uid, phase="Scheduling")
        node = await self._place(namespace, name, uid)
        self._add_pod(namespace, vmi, node)
        await asyncio.sleep(timings.scheduling_seconds)
        self._tell(namespace, name, uid, phase="Scheduled", nodeName=node)
        await asyncio.sleep(timings.scheduled_seconds)
        machine = Machine(namespace, name, uid, self._new_address(), vmi, self._user_data(namespace, vmi))
        await self._guests.start(machine)
        networks = (vmi["spec"].get("domain") or {}).get("devices", {}).get("interfaces") or [
            {"name": "default"}
        ]
        interface = {
            "name": networks[0]["name"],
            "ipAddress": machine.ip,
            "ipAddresses": [machine.ip],
            "mac": "02:00:00:00:00:01",
            "infoSource": "domain",
        }
        self._tell(namespace, name, uid, phase="Running", interfaces=[interface])
        self._tell_condition(namespace, name, uid, "LiveMigratable", "False", "HostDeviceNotLiveMigratable")
        await asyncio.sleep(timings.agent_seconds)
        self._tell_condition(namespace, name, uid, "AgentConnected", "True")
        await self._guests.ready(machine)
        self._tell_condition(namespace, name, uid, "Ready", "True")

    def _mountable(self, namespace: str, volume: Body) -> bool:
        reference = (volume.get("cloudInitNoCloud") or {}).get("secretRef")
        if reference and self._store.find(SECRETS, namespace, reference["name"]) is None:
            return False
        return self.storage.ready(namespace, volume)

    def _user_data(self, namespace: str, vmi: Body) -> str:
        """What cloud-init of the guest would read, still as it lies in the secret: base64."""
        for volume in vmi["spec"].get("volumes") or ():
            source = volume.get("cloudInitNoCloud") or {}
            if reference := source.get("secretRef"):
                secret = self._store.get(SECRETS, namespace, reference["name"])
                data = secret.body.get("data") or {}
                return data.get("userdata") or data.get("userData") or ""
            if "userDataBase64" in source:
                return source["userDataBase64"]
        return ""

    async def _place(self, namespace: str, name: str, uid: str) -> str:
        while True:
            vmi = self._store.get(VMIS, namespace, name)
            nodes = [each.body for each in self._store.each(NODES)]
            taken: dict[str, list[Demand]] = {}
            for node_name, demand in self._taken.values():
                taken.setdefault(node_name, []).append(demand)
            node = place(vmi.body, nodes, taken)
            if node is not None:
                self._tell_condition(namespace, name, uid, "PodScheduled", "True")
                self._taken[uid] = (node, demand_of(vmi.body))
                return node
            self._tell_condition(namespace, name, uid, "PodScheduled", "False", "Unschedulable")
            await self._store.changed()

    def _add_pod(self, namespace: str, vmi: Body, node: str) -> None:
        metadata = vmi["metadata"]
        demand = demand_of(vmi)
        limits = {key: str(int(amount)) for key, amount in demand.items() if key not in ("cpu", "memory")}
        requests = {"cpu": f"{demand['cpu']:g}", "memory": f"{int(demand['memory'])}"}
        self._cluster.add(
            PODS,
            {
                "metadata": {
                    "name": _pod_name(metadata),
                    "labels": {
                        **(metadata.get("labels") or {}),
                        "kubevirt.io": "virt-launcher",
                        "kubevirt.io/created-by": metadata["uid"],
                        "vm.kubevirt.io/name": metadata["name"],
                    },
                    "ownerReferences": [
                        {
                            "apiVersion": VMIS.api_version,
                            "kind": VMIS.kind,
                            "name": metadata["name"],
                            "uid": metadata["uid"],
                            "controller": True,
                            "blockOwnerDeletion": True,
                        }
                    ],
                },
                "spec": {
                    "nodeName": node,
                    "containers": [
                        {
                            "name": "compute",
                            "resources": {"requests": {**requests, **limits}, "limits": limits},
                        },
                        {"name": "guest-console-log"},
                    ],
                },
            },
            namespace,
        )
        self._cluster.set_status(PODS, namespace, _pod_name(metadata), {"phase": "Running"})

    def _new_address(self) -> str:
        """Each VMI has an address of its own on this machine's loopback, in a network that no other cluster here uses."""
        self._addresses += 1
        port = self._cluster.port
        return f"127.{port >> 8 & 255}.{port & 255}.{self._addresses % 254 + 1}"

    async def _end(self, namespace: str, name: str, uid: str) -> None:
        timings = self._cluster.config.timings
        stored = self._store.with_uid(uid)
        if stored is None:
            return
        if life := self._lives.get(uid):
            life.cancel()
        while name in self._stuck or self._is_lost(uid):
            await self._store.changed()
        grace = float(stored.body["spec"].get("terminationGracePeriodSeconds") or 30)
        if uid in self._taken:
            await asyncio.sleep(min(grace, timings.shutdown_seconds))
            await self._guests.stop(uid, grace_seconds=grace)
        present = self._store.with_uid(uid)
        if present is None:
            return
        was = (present.body.get("status") or {}).get("phase")
        self._tell(namespace, name, uid, phase="Succeeded" if was == "Running" else "Failed")
        await asyncio.sleep(timings.finalize_seconds)
        while name in self._stuck:
            await self._store.changed()
        self._delete_pod(namespace, name, uid)
        self._taken.pop(uid, None)
        if self._store.with_uid(uid) is not None:
            self._cluster.verbs.update(VMIS, namespace, name, _released, _KUBEVIRT)

    def _is_lost(self, uid: str) -> bool:
        return uid in self._taken and self._taken[uid][0] in self._lost

    async def _clear(self, namespace: str, uid: str, *, grace_seconds: float) -> None:
        """Whatever is left of a VMI that is gone."""
        if life := self._lives.pop(uid, None):
            life.cancel()
        await self._guests.stop(uid, grace_seconds=grace_seconds)
        self._taken.pop(uid, None)
        self._ends.discard(uid)

    def _delete_pod(self, namespace: str, name: str, uid: str) -> None:
        pod = self._store.find(PODS, namespace, _pod_name({"name": name, "uid": uid}))
        if pod is not None and "deletionTimestamp" not in pod.body["metadata"]:
            self._cluster.verbs.delete(PODS, namespace, pod.body["metadata"]["name"], DeleteOptions())

    def break_vmi(self, namespace: str, name: str, how: str) -> None:
        """Do one of `VMI_BREAKS` to a VMI, now. To stick is told of a name, before or after the deletion is asked for."""
        if how in ("stick", "unstick"):
            (self._stuck.add if how == "stick" else self._stuck.discard)(name)
            if how == "unstick":
                self._store.wake()
            return
        stored = self._store.get(VMIS, namespace, name)
        uid = stored.uid
        match how:
            case "vanish":
                self._delete_pod(namespace, name, uid)
                self._store.remove(stored)
            case "fail" | "succeed":
                if life := self._lives.get(uid):
                    life.cancel()
                self._spawn(self._guests.stop(uid, grace_seconds=0.0))
                self._tell(namespace, name, uid, phase="Failed" if how == "fail" else "Succeeded")
                self._tell_condition(namespace, name, uid, "Ready", "False", "PodTerminating")
            case "unknown":
                self._tell(namespace, name, uid, phase="Unknown")
                self._tell_condition(namespace, name, uid, "Ready", "Unknown")
            case "evict":
                status = stored.body.get("status") or {}
                self._tell(namespace, name, uid, evacuationNodeName=status.get("nodeName", ""))
                self._tell_condition(namespace, name, uid, "EvictionRequested", "True")
            case "not_ready" | "ready":
                self._tell_condition(namespace, name, uid, "Ready", "True" if how == "ready" else "False")
            case _:
                raise ValueError(f"nobody can {how!r} a VMI")

    def break_node(self, name: str, how: str) -> None:
        """Lose a node, so that nobody knows what its VMIs do, or let it come back with them as they were."""
        if how not in NODE_BREAKS:
            raise ValueError(f"nobody can {how!r} a node")
        lost = how == "lose"
        (self._lost.add if lost else self._lost.discard)(name)
        ready = {"type": "Ready", "status": "Unknown" if lost else "True"}
        ready["reason"] = "NodeStatusUnknown" if lost else "KubeletReady"
        self._cluster.set_status(NODES, "", name, {"conditions": [ready]})
        for uid, (node, _) in list(self._taken.items()):
            if node == name:
                self._guests.freeze(uid, frozen=lost)
                self._spawn(self._lose(uid, lost=lost))

    async def _lose(self, uid: str, *, lost: bool) -> None:
        await asyncio.sleep(self._cluster.config.timings.lost_seconds if lost else 0)
        stored = self._store.with_uid(uid)
        if stored is None or self._is_lost(uid) is not lost or "deletionTimestamp" in stored.body["metadata"]:
            return
        metadata, phase = stored.body["metadata"], (stored.body.get("status") or {}).get("phase")
        where = (metadata["namespace"], metadata["name"], uid)
        if lost and phase == "Running":
            self._tell(*where, phase="Unknown")
            self._tell_condition(*where, "Ready", "Unknown", "NodeNotReady")
        elif not lost and phase == "Unknown":
            self._tell(*where, phase="Running")
            self._tell_condition(*where, "Ready", "True")

    def _tell(self, namespace: str, name: str, uid: str, **status: Any) -> None:
        stored = self._of(namespace, name, uid)
        if stored is None:
            return
        now = stored.body.get("status") or {}
        if "phase" in status and status["phase"] != now.get("phase"):
            moments = now.get("phaseTransitionTimestamps") or []
            moment = {"phase": status["phase"], "phaseTransitionTimestamp": timestamp()}
            status["phaseTransitionTimestamps"] = [*moments, moment]
        self._cluster.set_status(VMIS, namespace, name, status)

    def _tell_condition(
        self, namespace: str, name: str, uid: str, kind: str, holds: str, reason: str = ""
    ) -> None:
        stored = self._of(namespace, name, uid)
        if stored is None:
            return
        conditions = (stored.body.get("status") or {}).get("conditions") or []
        told = {"type": kind, "status": holds, "lastTransitionTime": timestamp()}
        if reason:
            told["reason"] = reason
        present = next((each for each in conditions if each["type"] == kind), None)
        if present and present["status"] == holds and present.get("reason", "") == reason:
            return
        others = [each for each in conditions if each["type"] != kind]
        self._cluster.set_status(VMIS, namespace, name, {"conditions": [*others, told]})

    def _of(self, namespace: str, name: str, uid: str) -> Stored | None:
        stored = self._store.find(VMIS, namespace, name)
        return stored if stored is not None and stored.uid == uid else None


def _pod_name(metadata: Body) -> str:
    return f"virt-launcher-{metadata['name'][:40].rstrip('-.')}-{metadata['uid'][:5]}"


def _released(body: dict[str, Any]) -> dict[str, Any]:
    metadata = body["metadata"]
    kept = [each for each in metadata.get("finalizers", ()) if each != VMI_FINALIZER]
    return {**body, "metadata": {**metadata, "finalizers": kept}}


def is_absence(error: BaseException | None) -> bool:
    """Whether a task ended because its object went away under it, which is nobody's fault."""
    return isinstance(error, Refusal) and error.status == 404
