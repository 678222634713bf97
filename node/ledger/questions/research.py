"""What patients and boards ask about research: where my data went, what is left of a budget.

All provable: a study's log of changes, publications and uses are complete lists.  Questions
about one patient walk the study's lists and leave out what does not concern the patient, so a
page may show fewer rows than its limit and still have a next one.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import PAGE_MAX, Facts, Question
from node.ledger.facts import numbered
from node.ledger.facts.records import BatchRow, batch_key
from node.ledger.facts.research import (
    ChangeRow,
    DatasetRow,
    Publication,
    StayRow,
    StudyName,
    UseRow,
    VersionRow,
    changes_key,
    dataset_key,
    includes,
    publications_key,
    stays,
    studies_key,
    study_row,
    uses_key,
    versions_key,
)
from node.ledger.state import load_from


@dataclass(frozen=True, slots=True)
class AboutSubject:
    subject: bytes
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AboutPart:
    """One patient in one study."""

    subject: bytes
    study: bytes
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AboutUses:
    """A study's uses; of one patient's data only, if ``subject`` is given."""

    study: bytes
    subject: bytes | None = None
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AboutStudy:
    study: bytes
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class OneStudy:
    study: bytes


@dataclass(frozen=True, slots=True)
class OneVersion:
    dataset: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Joined:
    """A study that a patient is or was in; totals are those of the study's lists."""

    study: bytes
    org: str
    ethics: str
    purposes: tuple[str, ...]
    until_ms: int
    over: bool
    member: bool
    stays: tuple[StayRow, ...]
    publications_total: int
    uses_total: int


@dataclass(frozen=True, slots=True)
class Mine:
    total: int
    studies: tuple[Joined, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class IncludedIn:
    """A dataset version that the patient is in."""

    dataset: bytes
    version: int
    latest: bool
    method: str
    k: int
    epsilon_micro: int
    members: int
    recalled: bool
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Included:
    versions: tuple[IncludedIn, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Uses:
    uses: tuple[UseRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Budget:
    """A study's privacy budget, epsilon in millionths."""

    known: bool
    org: str | None = None
    ethics: str | None = None
    purposes: tuple[str, ...] = ()
    until_ms: int | None = None
    over: bool = False
    budget_micro: int = 0
    spent_micro: int = 0
    left_micro: int = 0
    members: int = 0
    changes: int = 0
    head: bytes | None = None
    publications_total: int = 0
    uses_total: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    root: bytes
    org: str
    count: int
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a version was made of.  ``outdated``: somebody left who is still in it."""

    known: bool
    study: bytes | None = None
    org: str | None = None
    latest: bool = False
    outdated: bool = False
    version: VersionRow | None = None
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Members:
    """The log of who joined and left; walking it gives every count and commitment."""

    known: bool
    total: int
    changes: tuple[ChangeRow, ...]
    next: int | None


def _mine(facts: Facts, about: AboutSubject) -> Mine:
    base = studies_key(about.subject)
    names, after = numbered.page(
        facts.get, base, StudyName, start=about.start, limit=about.limit
    )
    joined = tuple(_joined(facts, name.study, about.subject) for name in names)
    return Mine(numbered.length(facts.get, base), joined, after)


def _joined(facts: Facts, study: bytes, subject: bytes) -> Joined:
    row = study_row(facts.get, study)
    assert row is not None, "a study that somebody joined has its row"
    found = stays(facts.get, study, subject)
    return Joined(
        study=study,
        org=row.org,
        ethics=row.ethics,
        purposes=row.purposes,
        until_ms=row.until_ms,
        over=row.is_over(facts.time_ms),
        member=found[-1].left is None,
        stays=found,
        publications_total=numbered.length(facts.get, publications_key(study)),
        uses_total=numbered.length(facts.get, uses_key(study)),
    )


def _included(facts: Facts, about: AboutPart) -> Included:
    found = stays(facts.get, about.study, about.subject)
    rows, after = numbered.page(
        facts.get,
        publications_key(about.study),
        Publication,
        start=about.start,
        limit=min(about.limit, PAGE_MAX),
    )
    mine = tuple(_included_in(facts, row) for row in rows if includes(found, row.upto))
    return Included(mine, after)


def _included_in(facts: Facts, row: Publication) -> IncludedIn:
    dataset, version = _version(facts, row.dataset, row.version)
    assert dataset is not None, "a publication has its dataset"
    assert version is not None, "a publication has its version"
    return IncludedIn(
        dataset=row.dataset,
        version=row.version,
        latest=row.version == dataset.versions,
        method=version.method,
        k=version.k,
        epsilon_micro=version.epsilon_micro,
        members=version.members,
        recalled=version.recalled_ms is not None,
        height=version.height,
        time_ms=version.time_ms,
    )


def _version(
    facts: Facts, dataset: bytes, number: int
) -> tuple[DatasetRow | None, VersionRow | None]:
    row = load_from(facts.get, DatasetRow, dataset_key(dataset))
    if row is None or not 1 <= number <= row.versions:
        return row, None
    return row, numbered.row(facts.get, versions_key(dataset), VersionRow, number - 1)


def _uses(facts: Facts, about: AboutUses) -> Uses:
    rows, after = numbered.page(
        facts.get, uses_key(about.study), UseRow, start=about.start, limit=about.limit
    )
    if about.subject is not None:
        found = stays(facts.get, about.study, about.subject)
        rows = tuple(row for row in rows if includes(found, row.upto))
    return Uses(rows, after)


def _budget(facts: Facts, about: OneStudy) -> Budget:
    row = study_row(facts.get, about.study)
    if row is None:
        return Budget(known=False)
    return Budget(
        known=True,
        org=row.org,
        ethics=row.ethics,
        purposes=row.purposes,
        until_ms=row.until_ms,
        over=row.is_over(facts.time_ms),
        budget_micro=row.budget_micro,
        spent_micro=row.spent_micro,
        left_micro=row.budget_micro - row.spent_micro,
        members=row.members,
        changes=row.changes,
        head=row.head,
        publications_total=numbered.length(facts.get, publications_key(about.study)),
        uses_total=numbered.length(facts.get, uses_key(about.study)),
    )


def _provenance(facts: Facts, about: OneVersion) -> Provenance:
    dataset, version = _version(facts, about.dataset, about.version)
    if dataset is None or version is None:
        return Provenance(known=False)
    study = study_row(facts.get, dataset.study)
    return Provenance(
        known=True,
        study=dataset.study,
        org=dataset.org,
        latest=about.version == dataset.versions,
        outdated=study is not None and study.last_leave > version.upto,
        version=version,
        sources=tuple(_source(facts, root) for root in version.sources),
    )


def _source(facts: Facts, root: bytes) -> Source:
    row = load_from(facts.get, BatchRow, batch_key(root))
    assert row is not None, "sources were anchored when the version was published"
    return Source(root, row.org, row.count, row.height, row.time_ms)


def _members(facts: Facts, about: AboutStudy) -> Members:
    base = changes_key(about.study)
    rows, after = numbered.page(
        facts.get, base, ChangeRow, start=about.start, limit=about.limit
    )
    known = study_row(facts.get, about.study) is not None
    return Members(known, numbered.length(facts.get, base), rows, after)


QUESTIONS: Final = (
    Question(
        "research.mine", AboutSubject, Mine, _mine, "Which studies is or was this patient in?"
    ),
    Question(
        "research.included",
        AboutPart,
        Included,
        _included,
        "Which dataset versions of a study include this patient?",
    ),
    Question("research.uses", AboutUses, Uses, _uses, "Who used the data, and what for?"),
    Question("research.budget", OneStudy, Budget, _budget, "What is left of a privacy budget?"),
    Question(
        "research.provenance",
        OneVersion,
        Provenance,
        _provenance,
        "What was this dataset version made of?",
    ),
    Question(
        "research.members", AboutStudy, Members, _members, "Who joined and left this study?"
    ),
)
