"""Backups, archive and pruning asked for over HTTP, and receipts of pruned transactions.

The acts need ``node:operate`` and write only where the node's own settings say.
"""

from typing import Annotated, TypeVar

from aiohttp import web
from msgspec import Meta, Struct

from node.http import answers, strict_json, types
from node.http.answers import JSON, OCTETS, TEXT, Answer, Api, Route
from node.ledger import receipt as receipts
from node.ledger import transaction
from node.upkeep import Upkeep

T = TypeVar("T")
Positive = Annotated[int, Meta(ge=1)]


class BackupMade(Struct):
    """A backup that was added; ``written_bytes``: what was not there before."""

    name: str
    height: types.U64
    bytes: types.U64
    written_bytes: types.U64
    rows: types.U64
    path: str


class BackupRow(Struct):
    """A backup in ``backup.path``; ``problem`` instead of figures when it is unreadable."""

    name: str
    height: types.U64 | None
    time_ms: types.U64 | None
    bytes: types.U64 | None
    problem: str | None


class BackupList(Struct):
    """Oldest first."""

    backups: list[BackupRow]


class ArchiveRequest(types.Request):
    """``up_to``: the highest height to archive; default the newest certified one."""

    up_to: Positive | None = None


class Archived(Struct):
    """``first`` is above ``height`` when there was nothing to add."""

    first: types.U64
    height: types.U64
    log_size: types.U64


class PruneRequest(types.Request):
    """``force`` gives up the question whether a copy holds what goes; ``dry`` only looks."""

    before: Positive
    force: bool = False
    dry: bool = True


class PrunedBlocks(Struct):
    """``lowest``: the lowest height whose body stays; null when no whole file could go."""

    lowest: types.U64 | None
    segments: types.U64
    bytes: types.U64
    dry: bool


class UpkeepRoutes:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._service = api.service

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/backups",
                handler=self.backup,
                scope="node:operate",
                summary="Add a backup to backup.path.",
                answers=(Answer(status=201, say="Made.", forms={JSON: BackupMade}),),
                problems=("not-set-up", "data-dir-locked", "backup-invalid"),
            ),
            Route(
                method="GET",
                path="/v1/backups",
                handler=self.backups,
                scope="node:operate",
                summary="The backups in backup.path.",
                answers=(Answer(status=200, say="Them.", forms={JSON: BackupList}),),
                problems=("not-set-up",),
            ),
            Route(
                method="POST",
                path="/v1/archive",
                handler=self.archive,
                scope="node:operate",
                summary="Extend the archive in archive.path to the newest certified height.",
                answers=(Answer(status=200, say="How far it goes.", forms={JSON: Archived}),),
                body={JSON: ArchiveRequest},
                problems=("not-set-up", "archive-invalid", "pruned", "not-found"),
            ),
            Route(
                method="POST",
                path="/v1/blocks:prune",
                handler=self.prune,
                scope="node:operate",
                summary="Drop bodies of old blocks that a verified copy holds.",
                answers=(Answer(status=200, say="What went.", forms={JSON: PrunedBlocks}),),
                body={JSON: PruneRequest},
                problems=("not-covered",),
            ),
            Route(
                method="POST",
                path="/v1/receipts:complete",
                handler=self.complete,
                scope="tx:read",
                summary="The receipt of a transaction whose bytes the caller brings.",
                answers=(
                    Answer(
                        status=200,
                        say="C2SP tlog-proof text, or JSON.",
                        forms={TEXT: None, JSON: None},
                    ),
                ),
                body={OCTETS: None},
                problems=("receipt-pending", "not-found", "transaction-malformed"),
            ),
        ]

    def _upkeep(self) -> Upkeep:
        if self._service.upkeep is None:
            answers.refuse("not-ready")
        return self._service.upkeep

    async def backup(self, request: web.Request) -> web.Response:
        answers.query(request)
        made = await self._upkeep().backup()
        shown = BackupMade(
            made.manifest.name,
            made.manifest.height,
            made.manifest.bytes_total,
            made.written_bytes,
            made.manifest.rows,
            str(made.path),
        )
        return answers.answer(shown, status=201)

    async def backups(self, request: web.Request) -> web.Response:
        answers.query(request)
        good, bad = await self._upkeep().backups()
        rows = [
            BackupRow(
                item.manifest.name,
                item.manifest.height,
                item.manifest.created_ms,
                item.manifest.bytes_total,
                None,
            )
            for item in good
        ]
        rows += [BackupRow(item.where, None, None, None, item.what) for item in bad]
        return answers.answer(BackupList(rows))

    async def archive(self, request: web.Request) -> web.Response:
        given = await self._given(request, ArchiveRequest)
        done = await self._upkeep().archive(given.up_to)
        return answers.answer(Archived(done.first, done.height, done.log_size))

    async def prune(self, request: web.Request) -> web.Response:
        given = await self._given(request, PruneRequest)
        done = await self._upkeep().prune(given.before, force=given.force, dry=given.dry)
        if done is None:
            return answers.answer(PrunedBlocks(None, 0, 0, given.dry))
        shown = PrunedBlocks(done.floor.lowest, len(done.segments), done.bytes, given.dry)
        return answers.answer(shown)

    async def _given(self, request: web.Request, kind: type[T]) -> T:
        answers.query(request)
        answers.media_type(request, JSON)
        body = await answers.bounded_body(request, self._api.limits)
        return strict_json.typed(kind, strict_json.read(body))

    async def complete(self, request: web.Request) -> web.Response:
        answers.query(request)
        answers.media_type(request, OCTETS)
        media = answers.accepted(request, TEXT, JSON)
        raw = await answers.bounded_body(request, self._api.limits)
        tx = transaction.parse(raw)

        def read() -> receipts.Receipt | None:
            return self._service.queries.receipt(tx.txid, given=tx)

        found = await answers.off_loop(read)
        if found is None:
            answers.refuse("not-found", "no such transaction on this ledger")
        if media == JSON:
            return web.Response(body=receipts.to_json(found).encode(), content_type=JSON)
        return answers.text(receipts.to_text(found))
