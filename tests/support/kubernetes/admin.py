"""The door for judges and for whoever breaks things on purpose: `/_fake/`, which no real server has.

| request                            | what it does                                                             |
| ---------------------------------- | ------------------------------------------------------------------------ |
| GET journal?since=N                | the log from its N-th entry on                                           |
| GET state                          | revision, and how many objects of each kind there are                    |
| POST, GET faults; DELETE faults/N  | ask for a fault, see how often each was met, end one or (`all`) every one |
| POST tokens                        | a token for the user named in the body                                   |
| POST forget                        | compact the history up to now, so that older revisions are gone          |
| POST gone/{status or event}        | how a watch from too old a revision is refused                           |
"""

from dataclasses import asdict
from typing import TYPE_CHECKING

from aiohttp import web

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
    app.router.add_post("/_fake/gone/{how}", door.gone)


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

    async def gone(self, request: web.Request) -> web.Response:
        self._cluster.api.gone_as_status = request.match_info["how"] == "status"
        return web.json_response({})
