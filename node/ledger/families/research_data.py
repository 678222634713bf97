"""Family ``research``, data: what was published from whom, what it was used for, at what cost.

A version says which membership it was made from, and the ledger refuses one that does not know
of the latest leave.  Every release and every use costs epsilon of the study's one budget, which
never grows back.  Refuses: sources that nobody anchored, versions out of order, uses beyond
budget, purpose or end.  Cannot refuse: a manifest that does not hold what it says; that is what
``manifest``, ``head`` and the anchored sources let an auditor find out.
State and invariants: ``node.ledger.facts.research``.
"""

from dataclasses import replace
from typing import Final

from node.ledger.facts import deeds, keys, numbered
from node.ledger.facts.records import batch_key
from node.ledger.facts.research import (
    NO_HEAD,
    NOT_SPONSOR,
    ChangeRow,
    DatasetRow,
    Publication,
    StudyRow,
    UseRow,
    VersionRow,
    changes_key,
    dataset_key,
    known_study,
    publications_key,
    running,
    study_key,
    uses_key,
    versions_key,
)
from node.ledger.facts.research_bodies import Publish, RecallDataset, Use
from node.ledger.rules import Context, Operation, Refused, Result

DATASET_ELSEWHERE: Final = Result(
    471, "research-dataset-elsewhere", "That dataset belongs to another study."
)
VERSION_ORDER: Final = Result(
    472, "research-version-order", "The next version has the next number."
)
SOURCE_UNANCHORED: Final = Result(
    473, "research-source-unanchored", "A source batch is not anchored."
)
MEMBERS_STALE: Final = Result(
    474, "research-members-stale", "Somebody left whom that version would still include."
)
MEMBERS_DIFFER: Final = Result(
    475, "research-members-differ", "Count or commitment is not that of the study's members."
)
BUDGET_SPENT: Final = Result(
    476, "research-budget-spent", "The study's privacy budget does not allow that."
)
VERSION_UNKNOWN: Final = Result(477, "research-version-unknown", "No such dataset version.")
VERSION_RECALLED: Final = Result(478, "research-version-recalled", "That version is recalled.")
VERSION_SUPERSEDED: Final = Result(
    479, "research-version-superseded", "A later version took that one's place."
)
PURPOSE: Final = Result(
    480, "research-purpose-unapproved", "The study was not approved for that purpose."
)
CUSTODIAN_UNSIGNED: Final = Result(
    481, "research-custodian-unsigned", "Who published the dataset has not signed."
)
RESULTS: Final = (
    DATASET_ELSEWHERE,
    VERSION_ORDER,
    SOURCE_UNANCHORED,
    MEMBERS_STALE,
    MEMBERS_DIFFER,
    BUDGET_SPENT,
    VERSION_UNKNOWN,
    VERSION_RECALLED,
    VERSION_SUPERSEDED,
    PURPOSE,
    CUSTODIAN_UNSIGNED,
)


def _spend(context: Context, study: StudyRow, epsilon_micro: int) -> StudyRow:
    """Take epsilon from the study's budget; return the study after it."""
    spent = study.spent_micro + epsilon_micro
    if spent > study.budget_micro:
        raise Refused(BUDGET_SPENT)
    after = replace(study, spent_micro=spent)
    context.view.save(study_key(study.study), after)
    return after


def _publish(context: Context, body: Publish) -> None:
    view = context.view
    study = running(context, body.study)
    if study.org != context.org.id:
        raise Refused(NOT_SPONSOR)
    dataset = view.load(DatasetRow, dataset_key(body.dataset))
    if dataset is None:
        dataset = DatasetRow(body.study, context.org.id, 0)
    if dataset.study != body.study:
        raise Refused(DATASET_ELSEWHERE)
    if body.version != dataset.versions + 1:
        raise Refused(VERSION_ORDER)
    if any(view.get(batch_key(root)) is None for root in body.sources):
        raise Refused(SOURCE_UNANCHORED)
    _check_members(context, study, body)
    _spend(context, study, body.epsilon_micro)
    version = VersionRow(
        manifest=body.manifest,
        method=body.method,
        k=body.k,
        epsilon_micro=body.epsilon_micro,
        sources=body.sources,
        upto=body.upto,
        members=body.members,
        head=body.head,
        height=context.height,
        time_ms=context.time_ms,
        recalled_reason=None,
        recalled_height=None,
        recalled_ms=None,
    )
    view.save(dataset_key(body.dataset), replace(dataset, versions=body.version))
    numbered.append(view, versions_key(body.dataset), version)
    published = Publication(body.dataset, body.version, body.upto)
    numbered.append(view, publications_key(body.study), published)


def _check_members(context: Context, study: StudyRow, body: Publish) -> None:
    if body.upto < study.last_leave:
        raise Refused(MEMBERS_STALE)
    if body.upto > study.changes:
        raise Refused(MEMBERS_DIFFER)
    members, head = 0, NO_HEAD
    if body.upto:
        change = numbered.row(
            context.view.get, changes_key(body.study), ChangeRow, body.upto - 1
        )
        members, head = change.members, change.head
    if (body.members, body.head) != (members, head):
        raise Refused(MEMBERS_DIFFER)


def _version(context: Context, dataset: bytes, number: int) -> tuple[DatasetRow, VersionRow]:
    row = context.view.load(DatasetRow, dataset_key(dataset))
    if row is None or not 1 <= number <= row.versions:
        raise Refused(VERSION_UNKNOWN)
    version = numbered.row(context.view.get, versions_key(dataset), VersionRow, number - 1)
    if version.recalled_ms is not None:
        raise Refused(VERSION_RECALLED)
    return row, version


def _use(context: Context, body: Use) -> None:
    dataset, version = _version(context, body.dataset, body.version)
    study = running(context, dataset.study)
    if body.version != dataset.versions:
        raise Refused(VERSION_SUPERSEDED)
    if body.purpose not in study.purposes:
        raise Refused(PURPOSE)
    if dataset.org not in keys.signing_orgs(context):
        raise Refused(CUSTODIAN_UNSIGNED)
    after = _spend(context, study, body.epsilon_micro)
    used = UseRow(
        dataset=body.dataset,
        version=body.version,
        upto=version.upto,
        org=context.org.id,
        purpose=body.purpose,
        query=body.query,
        result=body.result,
        epsilon_micro=body.epsilon_micro,
        spent_micro=after.spent_micro,
        txid=context.txid,
        height=context.height,
        time_ms=context.time_ms,
    )
    numbered.append(context.view, uses_key(dataset.study), used)
    slots = version.members
    deeds.done(context, "research.use", dataset.study, with_org=study.org, slots=slots)


def _recall(context: Context, body: RecallDataset) -> None:
    dataset, version = _version(context, body.dataset, body.version)
    study = known_study(context, dataset.study)
    if context.org.id not in (dataset.org, study.ethics):
        raise Refused(NOT_SPONSOR)
    recalled = replace(
        version,
        recalled_reason=body.reason,
        recalled_height=context.height,
        recalled_ms=context.time_ms,
    )
    key = numbered.row_key(versions_key(body.dataset), body.version - 1)
    context.view.save(key, recalled)


_RESEARCH: Final = frozenset({"research"})
_STOPS: Final = frozenset({"ethics", "research"})
OPERATIONS: Final = (
    Operation(
        "research.dataset.publish", Publish, _publish, _RESEARCH, "Publish a dataset's version."
    ),
    Operation("research.use", Use, _use, _RESEARCH, "Put a use of a dataset on record."),
    Operation(
        "research.dataset.recall", RecallDataset, _recall, _STOPS, "Take a version back."
    ),
)
