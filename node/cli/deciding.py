"""A decision of the members as one command: what it changes, consent, proposal, outcome.

Every such command does the same: it looks whether things are as wanted already (then it says
so and ends with 0, as often as it is run), whether the same is proposed already (then it votes
for that), shows the plan with the quorum before and after, wants ``--yes`` or the name typed,
and sends proposal and own vote as one transaction.

Owns: these steps, their options, the row that is shown.  Refuses: to send without consent.
What the ledger's rules refuse comes back with the rules' own code.
"""

import functools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import nacl.utils

from node.cli.invitation import Consented
from node.cli.output import Session
from node.cli.person import prepared, send_cosigned, sign_with
from node.cli.remote import Remote, refused
from node.cli.situation import Decision, Situation, ask, changes, plan
from node.errors import ChartsealError
from node.ledger.facts.governance import EXECUTED, OPEN

F = TypeVar("F", bound=Callable[..., Any])
_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_PAUSE_S: Final = 1.0
_PAGE: Final = 500
_SHOWN: Final = ("engine", "voters", "quorum", "may_stop", "may_lie")
# What a refusal of an execution says when it only came too early.
_EARLY: Final = frozenset({"governance-waiting", "governance-threshold-missing"})


@dataclass(frozen=True, slots=True)
class Choices:
    """The options that every command about a decision has."""

    yes: bool = False
    dry_run: bool = False
    no_vote: bool = False
    wait: bool = False
    wait_timeout: float = 60.0
    curl: bool = False


def choices_options(function: F) -> F:
    """Give a command the options of ``Choices``; it gets them as ``choices``."""

    @functools.wraps(function)
    def gathered(*arguments: Any, **options: Any) -> Any:
        own = {name: options.pop(name) for name in Choices.__dataclass_fields__}
        return function(*arguments, choices=Choices(**own), **options)

    decorated: Any = gathered
    for decorate in reversed(_OPTIONS):
        decorated = decorate(decorated)
    return decorated  # type: ignore[no-any-return]


_OPTIONS: Final = (
    click.option("--yes", is_flag=True, help="Do it; without this it shows the plan."),
    click.option("--dry-run", is_flag=True, help="Show the plan, send nothing, exit 0."),
    click.option("--no-vote", is_flag=True, help="Propose without voting yes."),
    click.option("--wait", is_flag=True, help="Follow it until it is executed."),
    click.option(
        "--wait-timeout",
        type=click.FloatRange(0.1, 604_800),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="Patience with the ledger, and with the other voters under --wait.",
    ),
    click.option("--curl", is_flag=True, help="Print the request as a curl command."),
)


# --- the steps ------------------------------------------------------------------------------


def decide(
    session: Session,
    decision: Decision,
    choices: Choices,
    *,
    cosign: tuple[Path, ...] = (),
    prepare: tuple[str, ...] = (),
    consented: Consented | None = None,
) -> None:
    """Propose ``decision``, or vote for it where it is proposed already; show the outcome.

    ``consented``: the proposal as somebody signed it in advance; the vote follows it.
    """
    remote = Remote(session, curl=choices.curl)
    handle = nacl.utils.random(32).hex()
    body = {"proposal": handle, decision.action: decision.value}
    ops = [{"kind": "governance.propose", "body": body}]
    if choices.curl:
        remote.operate([*ops, _vote(handle)], key=handle)  # prints, and leaves
    now = Situation.read(remote)
    row, known = plan(now, decision), now.same(decision)
    show_plan(session, row, decision, now, known)
    if choices.dry_run:
        session.show(row)
        return
    if known is not None:
        _join(remote, session, now, known, row, choices)
        return
    consent(choices, decision.target)
    if consented is not None:
        _propose_consented(remote, session, now, consented, row, choices)
        return
    if now.may_vote and not choices.no_vote:
        ops.append(_vote(handle))
    if prepare:
        session.show(prepared(remote, ops, list(prepare)))
        return
    sent = sign_with(remote, ops, list(cosign)) if cosign else remote.operate(ops, key=handle)
    _finish(remote, session, sent, {**row, "proposal": handle}, choices)


def _propose_consented(
    remote: Remote,
    session: Session,
    now: Situation,
    consented: Consented,
    row: dict[str, Any],
    choices: Choices,
) -> None:
    """Countersign what the newcomer signed; a crash before the vote: run it again, it votes."""
    handle, given = consented.proposal.hex(), consented.consent
    signed = [(consented.signer.hex(), given.signature.hex())]
    sent = send_cosigned(remote, given.payload.hex(), signed)
    if now.may_vote and not choices.no_vote:
        final = remote.follow(sent["tx_id"], timeout_s=choices.wait_timeout)
        if (error := refused(final)) is not None:
            raise error
        sent = remote.operate([_vote(handle)], key=nacl.utils.random(16).hex())
    _finish(remote, session, sent, {**row, "proposal": handle}, choices)


def show_plan(
    session: Session,
    row: dict[str, Any],
    decision: Decision,
    now: Situation,
    known: dict[str, Any] | None,
) -> None:
    """Tell people what would happen."""
    session.talk("Plan:")
    session.talk(f"  - {decision.say}")
    for line in changes(row):
        session.talk(f"  - {line}")
    for warning in decision.warnings:
        session.talk(f"  ! {warning}")
    brings = "you bring 1" if now.may_vote else "you do not vote"
    session.talk(f"  - needs {row['needs']} of {len(now.voters)} voters; {brings}")
    if known is not None:
        session.talk(f"  - proposed already: {known['proposal']}")


def _vote(handle: str) -> dict[str, Any]:
    return {"kind": "governance.vote", "body": {"proposal": handle, "yes": True}}


def consent(choices: Choices, target: str) -> None:
    """Return when it may be sent; raises ``ChartsealError`` (confirmation-needed)."""
    if choices.yes:
        return
    if not sys.stdin.isatty():
        raise ChartsealError("confirmation-needed", "nothing was sent")
    typed = click.prompt(f"Type {target} to go on", err=True)
    if typed != target:
        raise ChartsealError("confirmation-needed", "that is not its name; nothing was sent")


def already(session: Session, say: str, row: dict[str, Any]) -> None:
    """Say that nothing is to be done."""
    session.talk(f"already: {say}")
    session.show({**row, "state": "already"})


def _join(
    remote: Remote,
    session: Session,
    now: Situation,
    known: dict[str, Any],
    row: dict[str, Any],
    choices: Choices,
) -> None:
    """Vote for what is proposed already, unless that was done."""
    row = {**row, "proposal": known["proposal"]}
    if now.node in known["waiting_for"] and not choices.no_vote:
        consent(choices, row["target"])
        sent = remote.operate([_vote(known["proposal"])], key=nacl.utils.random(16).hex())
        _finish(remote, session, sent, row, choices)
        return
    if choices.wait:
        consent(choices, row["target"])
        session.show({**row, "state": wait_for(remote, session, known["proposal"], choices)})
        return
    already(session, f"proposed as {known['proposal']}, {known['missing']} votes missing", row)


def _finish(
    remote: Remote,
    session: Session,
    sent: dict[str, Any],
    row: dict[str, Any],
    choices: Choices,
) -> None:
    final = remote.follow(sent["tx_id"], timeout_s=choices.wait_timeout)
    if (error := refused(final)) is not None:
        raise error
    handle = str(row["proposal"])
    state = wait_for(remote, session, handle, choices) if choices.wait else _state(
        remote, session, handle
    )  # fmt: skip
    session.show({**row, "tx_id": final["tx_id"], "state": state})


def _state(remote: Remote, session: Session, handle: str) -> str:
    """Return the status of a proposal, and tell what comes next."""
    found = ask(remote, "governance.proposal", proposal=handle)
    if found["status"] == OPEN:
        if found["missing"]:
            session.talk(f"waiting for {', '.join(found['waiting_for'])}")
        else:
            session.talk(f"decided; next: chartseal proposal execute {handle}")
    return str(found["status"])


def wait_for(remote: Remote, session: Session, handle: str, choices: Choices) -> str:
    """Return once the proposal is executed, and execute it when its time has come.

    Raises ``ChartsealError``: governance-proposal-closed when it ends otherwise, or
    timeout-outcome-unknown.
    """
    deadline = time.monotonic() + choices.wait_timeout
    said = ""
    while True:
        found = ask(remote, "governance.proposal", proposal=handle)
        if found["status"] == EXECUTED:
            return EXECUTED
        if found["status"] != OPEN:
            raise ChartsealError("governance-proposal-closed", f"it is {found['status']}")
        now = _progress(found)
        if now != said:
            session.talk(now)
            said = now
        if _due(found) and execute(remote, handle, timeout_s=choices.wait_timeout) is not None:
            return EXECUTED
        left = deadline - time.monotonic()
        if left <= 0:
            raise ChartsealError(
                "timeout-outcome-unknown",
                f"{handle} is not executed after {choices.wait_timeout:g} s",
                hint=f"chartseal proposal show {handle}",
            )
        time.sleep(min(_PAUSE_S, left))


def _progress(found: dict[str, Any]) -> str:
    if found["missing"]:
        return f"{found['missing']} votes missing; not voted: {', '.join(found['waiting_for'])}"
    return "decided; its waiting time runs"


def _due(found: dict[str, Any]) -> bool:
    """Return whether an attempt to execute is worth it: block time stands still while nothing
    happens, so the clock here counts as well."""
    start_ms = found["execute_from_ms"]
    if found["missing"] or start_ms is None:
        return False
    return bool(found["may_execute"]) or time.time_ns() // 1_000_000 >= start_ms


def execute(remote: Remote, handle: str, *, timeout_s: float) -> dict[str, Any] | None:
    """Execute a proposal; return the transaction's status, or None when it came too early."""
    op = {"kind": "governance.execute", "body": {"proposal": handle}}
    sent = remote.operate([op], key=nacl.utils.random(16).hex())
    final = remote.follow(sent["tx_id"], timeout_s=timeout_s)
    error = refused(final)
    if error is None:
        return final
    if error.code in _EARLY:
        return None
    if error.code == "governance-proposal-closed":  # somebody else was quicker
        found = ask(remote, "governance.proposal", proposal=handle)
        if found["status"] == EXECUTED:
            return final
    raise error
