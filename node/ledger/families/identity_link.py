"""Family ``identity``, links: a commitment that two subjects are one person.

The ledger never learns which two: the row holds the commitment and who stands for it, the key
of one subject or both institutions.  What it commits to is in the patient's encrypted index.
Those who made a link end it; where the binding behind it has ended, its institution does.

State: ``patient-link/<link>`` -> ``LinkRow``, closed when it ends and never taken away.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import keys, people
from node.ledger.facts.people import ACTIVE
from node.ledger.facts.recovery import LinkRow, link_key
from node.ledger.facts.words import sized
from node.ledger.rules import Context, Operation, Refused, Result
from node.ledger.transaction import ORG_PATTERN

EXISTS: Final = Result(227, "identity-link-known", "That link is on the ledger already.")
UNKNOWN: Final = Result(228, "identity-link-unknown", "No such link is in force.")
UNSIGNED: Final = Result(
    229, "identity-link-unsigned", "A link takes the patient's key, or both institutions."
)
RESULTS: Final = (EXISTS, UNKNOWN, UNSIGNED)


@dataclass(frozen=True, slots=True)
class Link:
    """``link``: commitment that two subjects are one person.  Either ``subject``, one of them,
    whose key signs too, or ``other``, the second institution, which signs too."""

    link: bytes
    subject: bytes | None = None
    other: str | None = None

    def __post_init__(self) -> None:
        sized(self.link, 32, "link")
        sized(self.subject, 32, "subject")
        if (self.subject is None) == (self.other is None):
            raise ValueError("name the subject that signs or the other institution, not both")
        if self.other is not None and not ORG_PATTERN.fullmatch(self.other):
            raise ValueError("other is an institution id")


@dataclass(frozen=True, slots=True)
class Unlink:
    """End a link; those sign who made it."""

    link: bytes

    def __post_init__(self) -> None:
        sized(self.link, 32, "link")


def _stands_for(context: Context, subject: bytes | None, orgs: set[str]) -> bool:
    """Return whether the patient signed, or both institutions did.  Where the binding behind a
    link has ended nobody holds its key; then the institution of the subject decides."""
    if subject is None:
        return orgs <= keys.signing_orgs(context)
    row = people.patient(context.view.get, subject)
    if row is None:
        return False
    if row.status != ACTIVE:
        return row.org == context.org.id
    return context.signed_by(row.sign_key)


def _link(context: Context, body: Link) -> None:
    if context.view.get(link_key(body.link)) is not None:
        raise Refused(EXISTS)
    orgs = {context.org.id} | ({body.other} if body.other is not None else set())
    alone = body.subject is None and len(orgs) == 1
    if alone or not _stands_for(context, body.subject, orgs):
        raise Refused(UNSIGNED)
    row = LinkRow(context.org.id, body.other, body.subject, context.height, context.time_ms)
    context.view.save(link_key(body.link), row)


def _unlink(context: Context, body: Unlink) -> None:
    row = context.view.load(LinkRow, link_key(body.link))
    if row is None or row.until_height is not None:
        raise Refused(UNKNOWN)
    orgs = {row.org} | ({row.other} if row.other is not None else set())
    if not _stands_for(context, row.subject, orgs):
        raise Refused(UNSIGNED)
    ended = replace(row, until_height=context.height, until_ms=context.time_ms)
    context.view.save(link_key(body.link), ended)


_ANY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation(
        "identity.patient.link",
        Link,
        _link,
        _ANY,
        "Commit to two subjects being one person.",
    ),
    Operation("identity.patient.unlink", Unlink, _unlink, _ANY, "End a link."),
)
