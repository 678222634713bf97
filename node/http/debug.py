"""What the process is doing: its tasks, its threads' stacks, its memory.  Ops port only.

Owns: reading them, within bounds.  Refuses: values; a stack here is files, lines and names of
functions, never variables, because those may hold what a record says.
"""

import asyncio
import gc
import sys
import threading
import traceback
from collections import Counter
from dataclasses import asdict
from types import FrameType
from typing import Any, Final

from aiohttp import web

from node.http.answers import JSON, Answer, Api, Route, answer, query
from node.why import machine

TASKS_MAX: Final = 2_000
FRAMES_MAX: Final = 64
TYPES_MAX: Final = 40


class DebugRoutes:
    def __init__(self, api: Api) -> None:
        self._service = api.service

    def routes(self) -> list[Route]:
        return [
            _route("/debug/tasks", self.tasks, "The tasks of the event loop."),
            _route("/debug/stacks", self.stacks, "Where each thread is."),
            _route("/debug/observation", self.observation, "What causes are derived from."),
            _route("/debug/memory", self.memory, "Memory, and what fills it by type."),
        ]

    async def tasks(self, request: web.Request) -> web.Response:
        query(request)
        return answer(tasks())

    async def stacks(self, request: web.Request) -> web.Response:
        query(request)
        return answer(stacks())

    async def observation(self, request: web.Request) -> web.Response:
        query(request)
        seen = self._service.observe()
        return answer({} if seen is None else asdict(seen))

    async def memory(self, request: web.Request) -> web.Response:
        query(request)
        # Counting objects holds the interpreter anyway, on whatever thread it runs.
        return answer(memory())


def _route(path: str, handler: Any, summary: str) -> Route:
    answers = (Answer(status=200, say="It.", forms={JSON: None}),)
    return Route(
        method="GET", path=path, handler=handler, scope=None, summary=summary, answers=answers
    )


def tasks() -> list[dict[str, Any]]:
    """Return name and place of every task."""
    found = []
    for task in list(asyncio.all_tasks())[:TASKS_MAX]:
        frames = task.get_stack(limit=4)
        found.append({"name": task.get_name(), "at": [_place(frame) for frame in frames]})
    return sorted(found, key=lambda row: str(row["name"]))


def stacks() -> list[dict[str, Any]]:
    """Return the stack of every thread, the innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        {"thread": names.get(ident, str(ident)), "at": _stack(frame)}
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - its documented use
    ]


def memory() -> dict[str, Any]:
    """Return resident bytes, what is left, and the commonest types of tracked objects."""
    resident, left = machine.memory()
    counts = Counter(type(item).__qualname__ for item in gc.get_objects())
    return {
        "resident_bytes": resident,
        "left_bytes": left,
        "collections": gc.get_count(),
        "objects": dict(counts.most_common(TYPES_MAX)),
    }


def _stack(frame: FrameType) -> list[str]:
    lines = traceback.extract_stack(frame, limit=FRAMES_MAX)
    return [f"{_short(line.filename)}:{line.lineno} {line.name}" for line in lines]


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{_short(code.co_filename)}:{frame.f_lineno} {code.co_qualname}"


def _short(filename: str) -> str:
    return "/".join(filename.split("/")[-3:])
