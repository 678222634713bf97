"""More mistakes of Byzantine protocols: what a restart remembers, when patience ends, and what
is believed before it is proven.  The list of all of them is in ``pbft``.
"""

import dataclasses
from typing import Any

from consensus.codec import Malformed
from tests.mutants.planting import Planting

# --- what a restart remembers ---------------------------------------------------------------


def _blind_guard() -> Planting:
    """The sign guard would notice by itself: here it looks away."""
    from consensus.guard import SignGuard

    return (SignGuard, "admit", lambda *_: ())


def _lose_record(*names: str) -> list[Planting]:
    from consensus.pbft.records import Keys
    from consensus.types import Put

    def lose(*_: Any, **__: Any) -> Put:
        return Put(b"lost", b"")

    return [*((Keys, name, lose) for name in names), _blind_guard()]


def prepared_certificate_not_written() -> list[Planting]:
    """What was committed to is forgotten: the next view change does not show it."""
    return _lose_record("prepared")


def view_change_not_written() -> list[Planting]:
    """The view change leaves before it, and the view that it left, are on disk.

    After a restart the member votes in a view that it told the others it had left, for a block
    that its view change does not show.
    """
    from consensus.pbft.records import Keys
    from consensus.types import Put

    honest = Keys.view

    def view(keys: Any, at: int, *, active: bool) -> Put:
        return honest(keys, at, active=active) if active else Put(b"lost", b"")

    return [*_lose_record("view_change"), (Keys, "view", view)]


def view_not_written() -> list[Planting]:
    """A restart begins in view 0 again, and votes there again."""
    return _lose_record("view")


def signs_anew_after_a_restart() -> list[Planting]:
    """What was accepted is on disk, yet a restart does not look: it takes the next proposal
    for the same place, or as primary makes another."""
    from consensus.pbft import restart

    honest = restart._fill_slots

    def fill_slots(state: Any, found: Any) -> None:
        honest(state, dataclasses.replace(found, accepted={}))

    return [(restart, "_fill_slots", fill_slots), _blind_guard()]


# --- time and patience ----------------------------------------------------------------------


def back_off_without_a_cap() -> list[Planting]:
    """Patience doubles with every failed view, for ever: after ten of them the members wait
    for minutes although the network has long been well."""
    from consensus.pbft import timers, view_change

    def backoff_ms(base_ms: int, failed: int) -> int:
        return base_ms << failed

    return [(timers, "backoff_ms", backoff_ms), (view_change, "backoff_ms", backoff_ms)]


def impatient_from_the_start() -> list[Planting]:
    """The new-view timer starts with the own view change, not once a quorum is there.

    A member that is alone for a while steps through views alone, and the more members do so,
    the less often a quorum of them is in one view.
    """
    from consensus.pbft import view_change
    from consensus.pbft.config import backoff_ms

    def restart_patience(state: Any) -> None:
        if not state.active and state.new_view_due_ms is None:
            failed = max(state.failed_views - 1, 0)
            wait = backoff_ms(state.config.view_change_ms, failed)
            state.new_view_due_ms = state.now_ms + wait

    return [(view_change, "_restart_patience", restart_patience)]


def time_rule_on_old_blocks() -> list[Planting]:
    """A block that is proposed again must be timely again.

    The rule itself is the one of proposer-based timestamps: neither from the future nor long
    past.  On fresh proposals it costs nothing; on a block carried over it means that once its
    time has passed no view can open any more.  The engine's dialect says which proposals are
    fresh; the rule is applied by the daemon's intake, of which the simulator has its own copy,
    so the second half is planted there.
    """
    from consensus.pbft.dialect import PbftDialect
    from consensus.pbft.messages import NewView, PrePrepare

    def is_fresh(_: Any, message: Any) -> bool:
        return isinstance(message, PrePrepare | NewView)

    return [(PbftDialect, "is_fresh", is_fresh), _not_long_past()]


def _not_long_past() -> Planting:
    from tests.sim import ledger
    from tests.sim.node import SimNode

    honest = SimNode.bodies_complete

    def bodies_complete(node: Any, sender: str, message: Any) -> None:
        dialect, wall_ms = node.world.dialect, node.wall_ms()
        if dialect.is_fresh(message) and sender != node.id:
            times = [ledger.header_time_ms(each) for each in dialect.proposals(message)]
            if any(wall_ms - at > 2 * ledger.CLOCK_DRIFT_MS_MAX for at in times):
                return
        honest(node, sender, message)

    return (SimNode, "bodies_complete", bodies_complete)


# --- what is believed, and when -------------------------------------------------------------


def proposal_of_a_later_view_accepted() -> list[Planting]:
    """A proposal of a later view moves a member there, with no NewView to show for it.

    Whatever the views in between prepared is not carried over by whoever follows it.
    """
    from consensus.pbft import engine, normal, view_change

    honest = normal.on_pre_prepare

    def on_pre_prepare(state: Any, message: Any) -> None:
        if message.view > state.view:
            view_change.enter(state, message.view, active=True)
            state.view_entry_ms = state.now_ms
            state.out.promise(state.keys.view(message.view, active=True))
        honest(state, message)

    return [(engine.normal, "on_pre_prepare", on_pre_prepare)]


def votes_counted_before_they_are_verified() -> list[Planting]:
    """A vote has its effects first; its signature matters only in the certificates made of it.

    Anybody can vote in anybody's name.  The daemon and the simulator each have their own few
    lines that verify before they step; which signatures these lines verify is the dialect's
    word, which both obey, and the mistake is planted there.
    """
    from consensus.pbft.dialect import PbftDialect
    from consensus.pbft.messages import Commit, Prepare, Suspect

    honest = PbftDialect.checks

    def checks(dialect: Any, message: Any, **more: Any) -> Any:
        found = honest(dialect, message, **more)
        return () if isinstance(message, Prepare | Commit | Suspect) else found

    return [(PbftDialect, "checks", checks)]


def certificate_of_any_epoch() -> list[Planting]:
    """A certificate is checked against the committee of today, whatever epoch it is of.

    What an earlier committee said about its views is then taken for a word about ours: one
    member alone makes everybody leave a view that works.
    """
    from consensus import certs
    from consensus.types import Check

    def checks(certificate: Any, signed: bytes, committee: Any) -> tuple[Check, ...]:
        positions = certs.signer_positions(certificate.signers, committee)
        if len(positions) != len(certificate.signatures):
            raise Malformed("signers")
        return tuple(
            Check(committee.members[position].key, signed, signature)
            for position, signature in zip(positions, certificate.signatures, strict=True)
        )

    return [(certs, "_checks", checks)]


def delivered_again_after_a_sync() -> list[Planting]:
    """A block that became final by votes while it was being fetched is delivered once more.

    Between the engine's decision and the ledger's write the fetched copy still fits.
    """
    from consensus.effects import Decided
    from consensus.pbft.engine import PbftEngine

    honest = PbftEngine.synced

    def synced(engine: Any, proposal: Any, certificate: bytes) -> bool:
        state = engine._state
        if (proposal.height, proposal.digest) != (state.delivered, state.tip):
            return honest(engine, proposal, certificate)
        state.out.deliver.append(Decided(proposal, certificate, proposal.height))
        return True

    return [(PbftEngine, "synced", synced)]
