"""Routes for who keeps a node running: drain, certificates, versions.

Owns: the words of these answers.  Everything they say is read from ``service.life``.
"""

import time
from datetime import UTC, datetime
from importlib.metadata import version

from aiohttp import web

from node.errors import ChartsealError
from node.http import answers, life_types
from node.http.answers import JSON, Answer, Api, Route
from node.life import Life
from node.net.versions import OURS
from storage.schema import SCHEMA_VERSION


class LifeRoutes:
    def __init__(self, api: Api) -> None:
        self._service = api.service

    def routes(self) -> list[Route]:
        drained = (Answer(status=200, say="Its phase.", forms={JSON: life_types.DrainStatus}),)
        certificates = (Answer(status=200, say="Them.", forms={JSON: life_types.Certificates}),)
        versions = (Answer(status=200, say="Them.", forms={JSON: life_types.Versions}),)
        return [
            self._route("POST", "/v1/node:drain", self.drain, "Take no new work.", drained),
            self._route("POST", "/v1/node:undrain", self.undrain, "Take work again.", drained),
            self._route(
                "GET", "/v1/certificates", self.certificates, "When they end.", certificates
            ),
            self._route(
                "POST",
                "/v1/certificates:reload",
                self.reload,
                "Read the files again; the old ones stay in force when that fails.",
                certificates,
                problems=("certificate-refused",),
            ),
            self._route(
                "GET", "/v1/versions", self.versions, "What members run and speak.", versions
            ),
        ]

    def _route(
        self,
        method: str,
        path: str,
        handler: answers.Handler,
        summary: str,
        given: tuple[Answer, ...],
        problems: tuple[str, ...] = (),
    ) -> Route:
        return Route(
            method=method,
            path=path,
            handler=handler,
            scope="node:operate" if method == "POST" else "member:read",
            summary=summary,
            answers=given,
            problems=problems,
        )

    @property
    def _life(self) -> Life:
        if self._service.life is None:
            raise ChartsealError("not-ready", "this node is still being opened")
        return self._service.life

    async def drain(self, request: web.Request) -> web.Response:
        answers.query(request)
        self._life.drain.begin()
        return answers.answer(self._phase())

    async def undrain(self, request: web.Request) -> web.Response:
        answers.query(request)
        self._life.drain.undo()
        return answers.answer(self._phase())

    def _phase(self) -> life_types.DrainStatus:
        drain = self._life.drain
        return life_types.DrainStatus(drain.phase.value, drain.left)

    async def certificates(self, request: web.Request) -> web.Response:
        answers.query(request)
        return answers.answer(self._certificates())

    async def reload(self, request: web.Request) -> web.Response:
        answers.query(request)
        self._life.reload()
        return answers.answer(self._certificates())

    def _certificates(self) -> life_types.Certificates:
        now_s = time.time()
        return life_types.Certificates(
            [
                life_types.Certificate(
                    name=item.name,
                    subject=item.subject,
                    file=item.file,
                    not_after=datetime.fromtimestamp(item.not_after_s, UTC).isoformat(),
                    days_left=int(item.left_s(now_s) // 86_400),
                )
                for item in self._life.certificates.expiries
            ]
        )

    async def versions(self, request: web.Request) -> web.Response:
        answers.query(request)
        spoken = self._life.versions()
        return answers.answer(
            life_types.Versions(
                software=version("chartseal"),
                wire_low=OURS.low,
                wire_high=OURS.high,
                store=SCHEMA_VERSION,
                members=[
                    life_types.MemberVersion(member, wire, software)
                    for member, (wire, software) in sorted(spoken.items())
                ],
            )
        )


def life_of(life: Life | None) -> life_types.LifeStatus | None:
    """Return the part of a node's status that life knows."""
    if life is None:
        return None
    clock, disk = life.clock, life.disk
    ends = [item.not_after_s - time.time() for item in life.certificates.expiries]
    return life_types.LifeStatus(
        phase=life.drain.phase.value,
        disk_low=disk.low(),
        disk_free_bytes=disk.free_bytes,
        disk_reserve_bytes=disk.reserve_bytes,
        clock_others_ahead_ms=None if clock.skew_ms is None else round(clock.skew_ms),
        clock_wrong=clock.wrong,
        certificate_days_left=int(min(ends) // 86_400) if ends else None,
    )
