"""Questions over HTTP: one route for each question of the ledger's registry.

Owns: turning a query string into a question's parameters, and the answer into JSON.  An answer
says of which height it speaks; with ``proof=true`` it comes with every row of state that it
rests on, and can be checked without any node (``chartseal proof verify``).
"""

import dataclasses
import typing
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from consensus import wire
from consensus.codec import Malformed
from node.answering import Answering
from node.errors import ChartsealError
from node.http import answers
from node.http.answers import JSON, Answer, Api, Parameter, Route, whole_number
from node.ledger import answers as proven
from node.ledger.asking import Question, inner_kind, read_params
from node.ledger.registry import QUESTIONS

HEIGHT: Final = "height"
PROOF: Final = "proof"
_PROBLEMS: Final = (
    "height-unavailable",
    "answer-too-large",
    "answer-pending",
    "answer-not-provable",
)
_HEIGHT_MAX: Final = answers.NUMBER_MAX


@dataclasses.dataclass(frozen=True, slots=True)
class AnswerForm:
    """The shape of a question's answer, for readers of the description."""

    question: Question

    @property
    def __name__(self) -> str:
        return self.question.answer.__name__


class QuestionRoutes:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._answering = Answering(api.service.store, api.service.book)

    def routes(self) -> list[Route]:
        return [self._route(question) for question in QUESTIONS.values()]

    def _route(self, question: Question) -> Route:
        extra = [
            whole_number(HEIGHT, "as of this height, if it is kept; default the newest", low=1)
        ]
        if question.provable:
            say = "true: with the rows of state behind the answer and their proofs"
            extra.append(Parameter(PROOF, say, {"type": "string", "enum": ["true", "false"]}))
        return Route(
            method="GET",
            path=f"/v1/ask/{question.name}",
            handler=self._handler(question),
            scope="ledger:ask",
            ledger_state=True,
            summary=question.say,
            answers=(
                Answer(status=200, say="The answer.", forms={JSON: AnswerForm(question)}),
            ),
            parameters=(*_parameters(question), *extra),
            problems=_PROBLEMS,
        )

    def _handler(self, question: Question) -> Callable[[web.Request], Awaitable[web.Response]]:
        names = [field.name for field in dataclasses.fields(question.params)]
        known = [*names, HEIGHT, *([PROOF] if question.provable else [])]

        async def handle(request: web.Request) -> web.Response:
            given = await answers.state_query(request, self._api.service, *known)
            params = self._params(question, {n: given[n] for n in names if n in given})
            height = given.get(HEIGHT)
            at = None
            if height is not None:
                at = answers.whole(height, HEIGHT, default=0, low=1, high=_HEIGHT_MAX)
            proof = given.get(PROOF, "false")
            if proof not in ("true", "false"):
                answers.refuse("bad-request", "proof is true or false")
            answer = self._proven if proof == "true" else self._plain
            return await answer(question, params, at)

        return handle

    def _params(self, question: Question, given: dict[str, str]) -> Any:
        try:
            return read_params(question.params, given)
        except Malformed as error:
            raise ChartsealError("bad-request", str(error)) from error

    async def _plain(self, question: Question, params: Any, at: int | None) -> web.Response:
        found = await answers.off_loop(
            lambda: self._answering.ask(question.name, params, height=at)
        )
        return answers.answer(
            {
                "question": question.name,
                "height": found.height,
                "time_ms": found.time_ms,
                "answer": wire.to_plain(found.answer),
            }
        )

    async def _proven(self, question: Question, params: Any, at: int | None) -> web.Response:
        def prove() -> bytes:
            return proven.to_json(
                self._answering.prove(question.name, params, height=at)
            ).encode()

        return web.Response(body=await answers.off_loop(prove), content_type=JSON)


def _parameters(question: Question) -> list[Parameter]:
    hints = typing.get_type_hints(question.params)
    found = []
    for field in dataclasses.fields(question.params):
        needed = field.default is dataclasses.MISSING
        say, schema = _described(hints[field.name])
        found.append(Parameter(field.name, f"{say}; required" if needed else say, schema))
    return found


def _described(kind: Any) -> tuple[str, dict[str, Any]]:
    kind = inner_kind(kind)
    if typing.get_origin(kind) is tuple:
        return f"{_described(typing.get_args(kind)[0])[0]}, several with commas", {
            "type": "string"
        }
    if kind is bytes:
        return "bytes as hexadecimal", {"type": "string", "pattern": "^(?:[0-9a-fA-F]{2})*$"}
    if kind is int:
        return "a whole number", {"type": "integer", "minimum": 0}
    if kind is bool:
        return "true or false", {"type": "string", "enum": ["true", "false"]}
    return "a word", {"type": "string"}
