"""Operations put on the pure rules as typed bodies: what a story is for people, for properties.

The kind of a body is found in the registry; several bodies make one transaction.
"""

from consensus import wire
from node.ledger import registry, transaction
from node.ledger.crypto import Signer
from node.ledger.transaction import Op, Payload
from tests.support.story import Rules, founded, person

_KINDS = {operation.body: kind for kind, operation in registry.OPERATIONS.items()}


class Acting(Rules):
    """A network on the pure rules; ``members`` as a story founds it."""

    def __init__(self, members: str) -> None:
        super().__init__()
        self.found(founded(members.split()))

    def do(self, org: str, *bodies: object, by: tuple[Signer, ...] = ()) -> str:
        """Put one transaction on the ledger in a block of its own; return its code."""
        return self.block([self.signed(org, *bodies, by=by)])[0]

    def signed(
        self, org: str, *bodies: object, by: tuple[Signer, ...] = ()
    ) -> transaction.Transaction:
        ops = tuple(Op(_KINDS[type(body)], wire.to_value(body)) for body in bodies)
        nonce = next(self._leaf).to_bytes(8, "big")
        payload = Payload(self.network, org, self.height + 1000, nonce, ops)
        return transaction.parse(transaction.sign(payload, person(f"{org}/identity"), *by))

    def say(self, name: str, **params: object) -> object:
        """Return the answer to a question as it is typed."""
        question = registry.QUESTIONS[name]
        return question.ask(self, question.params(**params))


def codes_told(text: str) -> set[str]:
    """Return the result codes that a story prints."""
    known = {result.code for result in registry.RESULTS.values()}
    return known.intersection(text.splitlines())
