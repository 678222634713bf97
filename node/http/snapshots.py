"""Snapshots of this node: which there are, and the order to make one."""

from aiohttp import web

from node.http import answers, types
from node.http.answers import JSON, Answer, Api, Route
from node.snapshot_rooms import SnapshotRooms


class SnapshotRoutes:
    def __init__(self, api: Api) -> None:
        self._service = api.service

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/snapshots",
                handler=self.list,
                scope="member:read",
                summary="Snapshots of the ledger that this node has and offers to others.",
                answers=(
                    Answer(
                        status=200, say="They, oldest first.", forms={JSON: types.SnapshotList}
                    ),
                ),
            ),
            Route(
                method="POST",
                path="/v1/snapshots",
                handler=self.create,
                scope="node:operate",
                summary="Make a snapshot of the next certified block.",
                answers=(
                    Answer(status=201, say="It is there.", forms={JSON: types.SnapshotMade}),
                ),
                problems=("snapshot-unready", "not-ready"),
            ),
        ]

    @property
    def _rooms(self) -> SnapshotRooms:
        if self._service.snapshots is None:
            answers.refuse("not-ready", "the node is not running")
        return self._service.snapshots

    async def list(self, request: web.Request) -> web.Response:
        answers.query(request)
        found = self._rooms.shelf.snapshots

        def read() -> list[types.SnapshotEntry]:
            return [
                types.SnapshotEntry(height, found.bytes_of(height))
                for height in found.heights()
            ]

        return answers.answer(types.SnapshotList(await answers.off_loop(read)))

    async def create(self, request: web.Request) -> web.Response:
        answers.query(request)
        height = await self._rooms.shelf.create()
        return answers.answer(types.SnapshotMade(height), status=201)
