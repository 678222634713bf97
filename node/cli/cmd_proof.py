"""`chartseal proof`: proven answers, verified with nothing but files.

No node, no network, no data directory: an answer carries all that its proof needs, the policy
says whom to trust, and this software asks the question again over the proven rows.
"""

import json
from pathlib import Path
from typing import Final

import click

from consensus import wire
from node.cli import verdict as verdicts
from node.cli.main import Group
from node.cli.output import Session, printable
from node.cli.remote import SECRET_FILE, lang_option, utc
from node.cli.trusting import MEMBERS_CHANGED, lineage_option, policy_option, read_trust
from node.errors import ChartsealError
from node.ledger import answers
from node.ledger.accounting import account_events
from node.ledger.answers import Answer, AnswerInvalid, AnswerMalformed, VerifiedAnswer
from node.ledger.checkpoint import Policy
from node.ledger.facts.accesses import LogHead
from node.ledger.lineage import Trust
from node.ledger.questions.access import Log, LogPage
from node.record_files import read_bytes

WORDS: Final = {
    "en": "Proven: at height {height} ({time}) the ledger gives exactly this answer; nothing "
    "was left out or added.",
    "zh": "已证明：在高度 {height}（{time}），账本给出的正是这个答案，没有遗漏，也没有增添。",  # noqa: RUF001
}


@click.group(cls=Group)
def proof() -> None:
    """Verify proven answers, without a node."""


def read_answer(path: Path) -> Answer:
    """Return the proven answer in a file; raises ``ChartsealError`` (proof-invalid)."""
    raw = read_bytes(path, bytes_max=answers.JSON_BYTES_MAX)
    try:
        return answers.from_json(raw.decode("utf-8"))
    except (AnswerMalformed, UnicodeDecodeError) as error:
        detail = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ChartsealError("proof-invalid", f"{path}: {detail}") from error


def prove(answer: Answer, trust: Trust) -> VerifiedAnswer:
    """Return what the answer proves; raises ``ChartsealError`` with the stable reason."""
    try:
        return answers.verify(answer, trust)
    except AnswerInvalid as error:
        unknown = error.reason is answers.Reason.QUORUM_MISSING and not answer.lineage
        raise ChartsealError(
            "verification-failed",
            str(error),
            hint=MEMBERS_CHANGED
            if unknown
            else "do not rely on this answer; get another one, and the policy from a member "
            "that you trust",
        ) from error


def explain(answer: Answer, proven: VerifiedAnswer, policy: Policy) -> list[str]:
    """Return one plain line for each check that ``answers.verify`` made."""
    return [
        *verdicts.told_of(proven, policy, answer.lineage),
        f"height: {proven.height}, sealed in that log with the root of its state",
        f"time: {utc(proven.time_ms)} (of the block, agreed by the members)",
        f"state: {proven.rows} rows lie under that root, or are proven absent",
        f"answer: asked again over those rows, {proven.question.name} gives the same",
    ]


@proof.command()
@click.argument("path", metavar="FILE", type=SECRET_FILE)
@policy_option(required=True)
@lineage_option
@lang_option
@click.pass_obj
def verify(
    session: Session, path: Path, policy_path: Path, lineage_path: Path | None, lang: str
) -> None:
    """Verify the proven answer in FILE, and say what each check found.

    Exit code 0: the answer is what the ledger gave at that height.  8: it proves nothing.
    """
    given, trust = read_answer(path), read_trust(policy_path, lineage_path)
    proven = prove(given, trust)
    policy = verdicts.vouching(given.lineage, proven, trust)
    time = utc(proven.time_ms)
    words = WORDS[lang].format(height=proven.height, time=time)
    shown = wire.to_plain(proven.answer)
    asked = wire.to_plain(given.params)
    if session.json:
        session.show(
            {
                "valid": True,
                "words": words,
                "question": proven.question.name,
                "say": proven.question.say,
                "params": asked,
                "answer": shown,
                "height": proven.height,
                "time": time,
                "time_ms": proven.time_ms,
                "rows": proven.rows,
                "checkpoint_size": proven.checkpoint_size,
                "origin": policy.origin,
                "epoch": proven.epoch,
                "quorum": policy.quorum,
                "signers": list(proven.signers),
            }
        )
        return
    for line in explain(given, proven, policy):
        click.echo(f"ok    {line}")
    click.echo(f"valid: {words}\n\n{proven.question.say}")
    for value in (asked, shown):
        for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines():
            click.echo(printable(line))


@proof.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=SECRET_FILE)
@policy_option(required=True)
@lineage_option
@click.pass_obj
def accounting(
    session: Session, paths: tuple[Path, ...], policy_path: Path, lineage_path: Path | None
) -> None:
    """Check that proven pages of one `access log` are the whole log: nobody is left out.

    Every FILE is a page that `access log --proof` wrote, all as of one height.  Exit code 8:
    a page proves nothing, or the pages together are not everything that was recorded.
    """
    trust = read_trust(policy_path, lineage_path)
    given = [read_answer(path) for path in paths]
    pages = [prove(item, trust) for item in given]
    heads = {(item.height, *_head(item)) for item in given}
    if len(heads) != 1:
        raise ChartsealError("proof-invalid", "not pages of one log as of one height")
    height, subject, head = next(iter(heads))
    events = {event.number: event for item in pages for event in item.answer.events}
    account_events(head, [events[number] for number in sorted(events)])
    session.show(
        {
            "complete": True,
            "subject": subject.hex(),
            "events": head.count,
            "height": height,
            "time": utc(pages[0].time_ms),
        }
    )


def _head(page: Answer) -> tuple[bytes, LogHead]:
    """Return whose log a page is of, and the count and chain that it tells."""
    if not isinstance(page.params, LogPage) or not isinstance(page.answer, Log):
        raise ChartsealError("proof-invalid", f"an answer to {page.question}, not access.log")
    return page.params.subject, LogHead(page.answer.count, page.answer.chain)
