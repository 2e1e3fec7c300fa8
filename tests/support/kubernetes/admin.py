"""The door for judges and for whoever breaks things on purpose: `/_fake/`, which no real server has.

| request                            | what it does                                                             |
| ---------------------------------- | ------------------------------------------------------------------------ |
| GET journal?since=N                | the log from its N-th entry on                                           |
| GET state                          | revision, and how many objects of each kind there are                    |
| POST, GET faults; DELETE faults/N  | ask for a fault, see how often each was met, end one or (`all`) every one |
| POST tokens                        | a token for the user named in the body                                   |
| POST forget                        | compact the history up to now, so that older revisions are gone          |
| POST watches/{cut or end}          | reset the connection of every open watch, or end each as if by its time  |
| POST gone/{status or event}        | how a watch from too old a revision is refused                           |
| POST vmis/NAMESPACE/NAME/HOW       | break a VMI (`FakeCluster.vmi`)                                          |
| POST nodes/NAME/HOW                | break a node (`FakeCluster.node`)                                        |
| POST datavolumes/NAME/HOW          | break an import (`FakeCluster.data_volume`)                              |
"""

from dataclasses import asdict
from typing import TYPE_CHECKING

from aiohttp import web

from tests.support.kubernetes.refusals import Refusal

if TYPE_CHECKING:
    from tests.support.kubernetes.cluster import FakeCluster


def add_routes(app: web.Application, cluster: "FakeCluster") -> None:
    door = _Door(cluster)
    app.router.add_get("/_fake/journal", door.journal)
    app.router.add_get("/_fake/state", door.state)
    app.router.add_get("/_fake/faults", door.show_faults)
    app.router.add_post("/_fake/faults", door.add_fault)
    app.router.add_delete("/_fake/faults/{number}", door.end_fault)
    app.router.add_post("/_fake/tokens", door.token)
    app.router.add_post("/_fake/forget", door.forget)
    app.router.add_post("/_fake/watches/{how}", door.watches)
    app.router.add_post("/_fake/gone/{how}", door.gone)
    app.router.add_post("/_fake/vmis/{namespace}/{name}/{how}", door.vmi)
    app.router.add_post("/_fake/nodes/{name}/{how}", door.node)
    app.router.add_post("/_fake/datavolumes/{name}/{how}", door.data_volume)


class _Door:
    def __init__(self, cluster: "FakeCluster") -> None:
        self._cluster = cluster

    async def journal(self, request: web.Request) -> web.Response:
        since = int(request.query.get("since", "0"))
        entries = self._cluster.journal.entries[since:]
        return web.json_response([{"entry": type(each).__name__, **asdict(each)} for each in entries])

    async def state(self, request: web.Request) -> web.Response:
        counts: dict[str, int] = {}
        for each in self._cluster.store.all():
            counts[each.resource.full_name] = counts.get(each.resource.full_name, 0) + 1
        return web.json_response({"revision": self._cluster.store.revision, "objects": counts})

    async def show_faults(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(each) for each in self._cluster.faults.present.values()])

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = self._cluster.faults.add(await request.json())
        return web.json_response({"number": fault.number}, status=201)

    async def end_fault(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        self._cluster.faults.clear(None if number == "all" else int(number))
        return web.json_response({})

    async def token(self, request: web.Request) -> web.Response:
        user = (await request.json())["user"]
        return web.json_response({"token": self._cluster.access.token_for(user)}, status=201)

    async def forget(self, request: web.Request) -> web.Response:
        self._cluster.store.forget(self._cluster.store.revision)
        return web.json_response({"revision": self._cluster.store.revision})

    async def watches(self, request: web.Request) -> web.Response:
        api = self._cluster.api
        (api.cut_watches if request.match_info["how"] == "cut" else api.end_watches)()
        return web.json_response({})

    async def gone(self, request: web.Request) -> web.Response:
        self._cluster.api.gone_as_status = request.match_info["how"] == "status"
        return web.json_response({})

    async def vmi(self, request: web.Request) -> web.Response:
        where = request.match_info
        try:
            self._cluster.vmi(where["namespace"], where["name"], where["how"])
        except Refusal as refusal:
            return web.json_response(refusal.body(), status=refusal.status)
        return web.json_response({})

    async def node(self, request: web.Request) -> web.Response:
        self._cluster.node(request.match_info["name"], request.match_info["how"])
        return web.json_response({})

    async def data_volume(self, request: web.Request) -> web.Response:
        self._cluster.data_volume(request.match_info["name"], request.match_info["how"])
        return web.json_response({})
