"""Questions to the ledger as this node has applied it, for the FHIR interface.

Owns the one place through which this interface asks.  Refuses: proofs; who wants one asks the
same question under ``/v1``.
"""

from typing import Any

from node.http import answers
from node.service import Service


class Ask:
    def __init__(self, service: Service) -> None:
        self._answering = service.queries.answering

    async def __call__(self, name: str, params: Any) -> Any:
        """Return the answer to a question of the registry; reads the disk on a worker."""
        answered = await answers.off_loop(self._answering.ask, name, params)
        return answered.answer
