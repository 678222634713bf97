"""Questions about the members' network: eras, seats, quorum, features.  All provable: eras and
features are numbered from nought in state, observers stand in one row."""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.eras import Era, era_from, era_of, observers_from
from node.ledger.facts import features, governance, membership
from node.ledger.facts.features import FeatureRow
from node.ledger.facts.membership import LEARNER, NONE, VOTER, Quorum
from node.ledger.facts.numbered import span
from node.ledger.facts.words import org_id


@dataclass(frozen=True, slots=True)
class ErasParams:
    """``start``: the first epoch, from 0; ``limit``: eras on a page."""

    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class EraShown:
    """Blocks from ``from_height`` to ``to_height`` (null: it goes on) were ordered by
    ``voters`` under ``engine``."""

    epoch: int
    engine: str
    from_height: int
    to_height: int | None
    voters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Eras:
    eras: tuple[EraShown, ...]
    next: int | None


def _shown(asked: Facts, era: Era) -> EraShown:
    following = era_of(asked.get, era.epoch + 1)
    ends = None if following is None else following.from_height - 1
    voters = tuple(item.id for item in era.members)
    return EraShown(era.epoch, era.engine, era.from_height, ends, voters)


def _eras(asked: Facts, params: ErasParams) -> Eras:
    numbers, following = span(era_from(asked.get).epoch + 1, params.start, params.limit)
    found = [era_of(asked.get, number) for number in numbers]
    return Eras(tuple(_shown(asked, era) for era in found if era is not None), following)


@dataclass(frozen=True, slots=True)
class AtHeight:
    """``at_height``: who orders that block; left out: the next one."""

    at_height: int | None = None


@dataclass(frozen=True, slots=True)
class EraAnswer:
    """``era`` is null for heights below 1; one beyond the ledger's has the last era known."""

    height: int
    era: EraShown | None


def _era(asked: Facts, params: AtHeight) -> EraAnswer:
    height = asked.height + 1 if params.at_height is None else params.at_height
    found = membership.era_at(asked.get, height)
    return EraAnswer(height, None if found is None else _shown(asked, found))


@dataclass(frozen=True, slots=True)
class Everything:
    pass


@dataclass(frozen=True, slots=True)
class Observer:
    """``learner``: it will vote once it has caught up."""

    org: str
    learner: bool
    since_height: int


@dataclass(frozen=True, slots=True)
class ObserversAnswer:
    observers: tuple[Observer, ...]


def _observers(asked: Facts, _params: Everything) -> ObserversAnswer:
    found = []
    for org in observers_from(asked.get):
        item = governance.known_institution(asked.get, org)
        assert item is not None, "every observer is an institution"
        seat = membership.seat(asked.get, item)
        found.append(Observer(org, seat.standing == LEARNER, seat.since_height))
    return ObserversAnswer(tuple(found))


@dataclass(frozen=True, slots=True)
class OrgParams:
    """``org``: the institution's id."""

    org: str

    def __post_init__(self) -> None:
        org_id(self.org, "org")


@dataclass(frozen=True, slots=True)
class Standing:
    """``standing``: voter, learner, observer or none, decided in block ``since_height`` by
    ``proposal`` (null: a founder, or its own act).  ``orders``: its node votes on blocks;
    ``may_vote``: the institution votes on proposals, which a suspended one may not.
    ``features``: what its node's software knows, by its own word."""

    known: bool
    org: str
    standing: str = NONE
    since_height: int = 0
    proposal: bytes | None = None
    suspended: bool = False
    orders: bool = False
    may_vote: bool = False
    consensus_key: bytes | None = None
    cosigner_key: bytes | None = None
    features: tuple[str, ...] = ()


def _standing(asked: Facts, params: OrgParams) -> Standing:
    item = governance.known_institution(asked.get, params.org)
    if item is None:
        return Standing(known=False, org=params.org)
    seat = membership.seat(asked.get, item)
    suspended = governance.suspended(asked.get, params.org) is not None
    orders = seat.standing == VOTER
    return Standing(
        known=True,
        org=params.org,
        standing=seat.standing,
        since_height=seat.since_height,
        proposal=seat.proposal,
        suspended=suspended,
        orders=orders,
        may_vote=orders and not suspended,
        consensus_key=item.consensus_key,
        cosigner_key=item.cosigner_key,
        features=features.supports(asked.get, params.org),
    )


@dataclass(frozen=True, slots=True)
class FeatureShown:
    """``active``: in force for the block after the one that the answer speaks of."""

    feature: FeatureRow
    active: bool


@dataclass(frozen=True, slots=True)
class Support:
    org: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Features:
    """What was decided; and which features each voter's software knows, by its own word."""

    features: tuple[FeatureShown, ...]
    voters: tuple[Support, ...]


def _features(asked: Facts, _params: Everything) -> Features:
    rows = features.all_features(asked.get)
    voters = governance.voter_ids(asked.get)
    return Features(
        tuple(FeatureShown(row, row.from_height <= asked.height + 1) for row in rows),
        tuple(Support(org, features.supports(asked.get, org)) for org in voters),
    )


@dataclass(frozen=True, slots=True)
class QuorumParams:
    """``proposal``: show also what follows from it; left out: only what is."""

    proposal: bytes | None = None


@dataclass(frozen=True, slots=True)
class QuorumAnswer:
    """``after`` is null unless a known proposal was named.  Of a proposal to admit a voter it
    is what holds once that one has caught up."""

    before: Quorum
    after: Quorum | None


def _quorum(asked: Facts, params: QuorumParams) -> QuorumAnswer:
    era = era_from(asked.get)
    before = membership.quorum_of(era.engine, len(era.members))
    row = None
    if params.proposal is not None:
        row = governance.proposal(asked.get, params.proposal)
    voters = [item.id for item in era.members]
    after = None if row is None else membership.quorum_after(era.engine, voters, row.body)
    return QuorumAnswer(before, after)


QUESTIONS: Final = (
    Question("network.eras", ErasParams, Eras, _eras, "Who ordered which blocks?"),
    Question("network.era", AtHeight, EraAnswer, _era, "Who orders a block?"),
    Question(
        "network.observers", Everything, ObserversAnswer, _observers, "Who follows, not voting?"
    ),
    Question(
        "network.features", Everything, Features, _features, "Which features are in force?"
    ),
    Question(
        "network.quorum", QuorumParams, QuorumAnswer, _quorum, "How many must agree on a block?"
    ),
    Question(
        "membership.standing", OrgParams, Standing, _standing, "Which seat has an institution?"
    ),
)
