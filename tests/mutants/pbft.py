"""Twenty mistakes that Byzantine protocols shipped, and a few that nobody should.

Each stands in for one rule of ``consensus/pbft`` or of the code around it; the docstring says
what goes wrong without the rule.  ``python tests/mutants/run.py --engine pbft`` prints how many
seeds each survives.

Where the sign guard would stop the member before any harm is done, it looks away: the guard is
the second fence, and what is asked here is whether the first one is missed.
"""

import dataclasses
from typing import Any

from consensus.codec import Malformed
from tests.mutants import pbft_life
from tests.mutants.planting import Mutant, Planting

# --- who makes a quorum ---------------------------------------------------------------------


def textbook_quorum() -> list[Planting]:
    """2f + 1 whatever n is: with five members two quorums share one, who may be the liar, and
    with six they need not share anybody."""
    from consensus import types
    from consensus.quorum import byzantine_faults_max

    return [(types, "byzantine_quorum", lambda n: 2 * byzantine_faults_max(n) + 1)]


def textbook_quorum_of_five() -> list[Planting]:
    """2f + 1 where it hurts least: five members, whose quorums of three share one."""
    from consensus import quorum, types

    honest = quorum.byzantine_quorum
    return [(types, "byzantine_quorum", lambda n: 3 if n == 5 else honest(n))]


def quorum_of_one_honest() -> list[Planting]:
    """f + 1: one honest member, but not the same one twice."""
    from consensus import types
    from consensus.quorum import weak_quorum

    return [(types, "byzantine_quorum", weak_quorum)]


def primary_counted_twice() -> list[Planting]:
    """The primary's proposal counts as a prepare beside its prepare.

    So one signature too few makes a prepared certificate, and everybody takes it: an
    equivocating primary gets one for each of its two blocks.
    """
    from consensus import certs
    from consensus.pbft import normal

    honest = certs.signer_positions

    def prepare_next(state: Any) -> bool:
        if not state.active:
            return False
        tip = state.tip
        for height in range(state.next, state.next + normal.WINDOW_MAX):
            proposal = state.accepted_at(height)
            if proposal is None or proposal.parent != tip:
                return False
            tip = proposal.digest
            slot = state.slots[height]
            if slot.prepared is not None and slot.prepared.view == state.view:
                continue
            signatures = state.votes.agreeing("prepare", height, slot.content)
            counted = len(signatures) + (state.primary_at(height) in signatures)
            if counted < state.config.quorum:
                return False
            committee = state.config.committee
            signers, signed = _some(signatures, committee)
            slot.prepared = normal.PreparedCert(
                state.epoch, state.view, proposal, signers, signed
            )
            state.out.promise(state.keys.prepared(slot.prepared))
            normal.commit_again(state, slot)
            return True
        return False

    def signer_positions(signers: bytes, committee: Any) -> tuple[int, ...]:
        bits = int.from_bytes(signers, "little")
        if bits.bit_count() != committee.byzantine_quorum - 1:
            return honest(signers, committee)
        if len(signers) != (len(committee.members) + 7) // 8 or bits >> len(committee.members):
            raise Malformed("signers")
        return tuple(at for at in range(len(committee.members)) if bits >> at & 1)

    return [
        (normal, "_prepare_next", prepare_next),
        (certs, "signer_positions", signer_positions),
    ]


def _some(signatures: dict[str, bytes], committee: Any) -> tuple[bytes, tuple[bytes, ...]]:
    """``certs.bundle`` without the assertion that there is a quorum."""
    placed = sorted((committee.index(node), signed) for node, signed in signatures.items())
    chosen = placed[: committee.byzantine_quorum]
    bits = sum(1 << position for position, _ in chosen)
    size = (len(committee.members) + 7) // 8
    return bits.to_bytes(size, "little"), tuple(signed for _, signed in chosen)


def same_bytes_for_both_phases() -> list[Planting]:
    """Prepare and commit sign the same bytes: whoever prepared has, for a liar, committed.

    A quorum that only accepted a block, with no certificate on any disk, makes it final
    somewhere; the next view knows nothing of it.
    """
    from consensus import certs
    from consensus.pbft import detect, dialect, select, state

    def content(proposal: Any) -> bytes:
        return bytes(proposal.digest)

    plantings: list[Planting] = [(certs, "_COMMIT", certs._PREPARE)]
    for module in (certs, detect, dialect, select, state):
        if hasattr(module, "proposal_hash"):
            plantings.append((module, "proposal_hash", content))
    return plantings


def votes_for_any_block_count() -> list[Planting]:
    """A quorum of commits is counted without looking at what they commit to."""
    from consensus.pbft.votes import Quorum, VoteBook

    def quorum(book: Any, kind: str, height: int, needed: int) -> Any:
        votes = list(book.held(kind, height).values())
        if len(votes) < needed:
            return None
        signatures = {vote.signer: vote.signature for vote in votes}
        return Quorum(votes[0].view, votes[0].value, signatures)

    return [(VoteBook, "quorum", quorum)]


def commit_without_prepares() -> list[Planting]:
    """Prepares are counted from anybody for anything: the first phase is dropped."""
    from consensus.pbft.votes import VoteBook

    def agreeing(book: Any, kind: str, height: int, value: bytes) -> dict[str, bytes]:
        return {vote.signer: vote.signature for vote in book.held(kind, height).values()}

    return [(VoteBook, "agreeing", agreeing)]


def prepared_above_a_gap() -> list[Planting]:
    """A height is prepared although the one below it is not.

    Then a block gathers a quorum of commits on top of one that is prepared nowhere.  No view
    change can show it, the next view puts another chain there, and two certificates of one
    height exist: an auditor has no way to tell which is the ledger.
    """
    from consensus import certs
    from consensus.pbft import normal

    def prepare_next(state: Any) -> bool:
        if not state.active:
            return False
        tip = state.tip
        for height in range(state.next, state.next + normal.WINDOW_MAX):
            proposal = state.accepted_at(height)
            if proposal is None or proposal.parent != tip:
                return False
            tip = proposal.digest
            slot = state.slots[height]
            if slot.prepared is not None and slot.prepared.view == state.view:
                continue
            signatures = state.votes.agreeing("prepare", height, slot.content)
            if len(signatures) < state.config.quorum:
                continue
            signers, signed = certs.bundle(signatures, state.config.committee)
            slot.prepared = normal.PreparedCert(
                state.epoch, state.view, proposal, signers, signed
            )
            state.out.promise(state.keys.prepared(slot.prepared))
            normal.commit_again(state, slot)
            return True
        return False

    return [(normal, "_prepare_next", prepare_next)]


# --- what a new view carries over -----------------------------------------------------------


def view_change_shows_nothing() -> list[Planting]:
    """View changes carry no prepared certificates: a block that is final at one member may be
    replaced at the others."""
    from consensus.pbft import view_change

    return [(view_change, "_prepared_chain", lambda _: ())]


def new_view_carries_nothing() -> list[Planting]:
    """Prepared certificates in view changes are ignored by the primary and by backups."""
    from consensus.pbft import view_change

    honest = view_change.select

    def select(view_changes: Any) -> Any:
        return dataclasses.replace(honest(view_changes), chosen=())

    return [(view_change, "select", select)]


def _selecting(select: Any) -> list[Planting]:
    """The rule is one function; whoever recomputes it makes the same mistake."""
    from consensus.pbft import catch_up, evidence, view_change

    return [(module, "select", select) for module in (catch_up, evidence, view_change)]


def first_found_certificate() -> list[Planting]:
    """Of several certificates for a height the first one counts, not that of the highest view.

    The older one may be of a block that a later view was free to replace, and did.
    """
    from consensus.pbft import select as module
    from consensus.pbft.select import Selection

    def select(view_changes: Any) -> Selection:
        whole = module.select(view_changes)
        chosen: list[Any] = []
        at, tip = whole.height + 1, whole.digest
        while True:
            linked = (
                certificate.proposal
                for change in view_changes
                for certificate in change.prepared
                if certificate.proposal.height == at and certificate.proposal.parent == tip
            )
            first = next(linked, None)
            if first is None:
                break
            chosen.append(first)
            if first.barrier:
                break
            at, tip = at + 1, first.digest
        return dataclasses.replace(whole, chosen=tuple(chosen))

    return _selecting(select)


def only_the_newest_certificate() -> list[Planting]:
    """The prepared set is not contiguous: it holds the newest certificate alone, as in engines
    with one block in flight, and receivers do not mind.

    With a window, the heights below it are prepared too, one of them may be final somewhere,
    and the selection finds a gap where they were.
    """
    from consensus import certs
    from consensus.pbft import dialect, view_change

    honest = view_change._prepared_chain

    def view_change_checks(message: Any, committee: Any, network: bytes) -> Any:
        checks = [dialect._author_check(message, committee, network)]
        if message.certificate:
            checks += certs.checks_for(
                message.certificate,
                height=message.height,
                digest=message.digest,
                committee=committee,
                network=network,
            )
        for prepared in message.prepared:
            if prepared.view >= message.view:
                raise Malformed("prepared certificate of a view not yet left")
            checks += certs.prepared_checks(prepared, committee=committee, network=network)
        if message.suspected.view >= message.view:
            raise Malformed("suspicion of a view not yet left")
        checks += certs.suspect_checks(message.suspected, committee=committee, network=network)
        return tuple(checks)

    return [
        (view_change, "_prepared_chain", lambda state: honest(state)[-1:]),
        (dialect, "_view_change_checks", view_change_checks),
    ]


def new_view_believed() -> list[Planting]:
    """Backups take what the primary chose, without computing it again."""
    from consensus.pbft import view_change

    honest_on, honest_enter = view_change.on_new_view, view_change._enter_pending
    honest_select = view_change.select
    believed: list[Any] = []

    def select(view_changes: Any) -> Any:
        whole = honest_select(view_changes)
        if believed and believed[-1].view_changes == view_changes:
            return dataclasses.replace(whole, chosen=believed[-1].chosen)
        return whole

    def on_new_view(state: Any, message: Any) -> None:
        believed.append(message)
        try:
            honest_on(state, message)
        finally:
            believed.pop()

    def enter_pending(state: Any) -> bool:
        if state.pending is None:
            return honest_enter(state)
        believed.append(state.pending)
        try:
            return honest_enter(state)
        finally:
            believed.pop()

    return [
        (view_change, "select", select),
        (view_change, "on_new_view", on_new_view),
        (view_change, "_enter_pending", enter_pending),
    ]


def base_vouched_for_by_a_few() -> list[Planting]:
    """The view starts from a height that f + 1 of the members proved, not from the highest.

    Two sets are mixed up: who has a final block, and whose certificates follow it.  A block
    that is final at one member only is then neither the base nor prepared below anybody's
    certificates, for its own member no longer shows it as prepared.
    """
    from consensus.pbft import select as module
    from consensus.pbft.messages import ViewChange

    honest = module.select

    def select(view_changes: Any) -> Any:
        changes: tuple[ViewChange, ...] = tuple(view_changes)
        few = (len(changes) - 1) // 2 + 1  # of a quorum 2f + 1, f + 1
        proven = sorted(changes, key=lambda change: change.height, reverse=True)
        limit = proven[few - 1].height
        lower = tuple(change for change in changes if change.height <= limit)
        higher = tuple(
            dataclasses.replace(proven[few - 1], prepared=change.prepared, signer=change.signer)
            for change in changes
            if change.height > limit
        )
        return honest(lower + higher)

    return _selecting(select)


def one_bad_view_change_spoils_all() -> list[Planting]:
    """A view change is taken for its author's signature; what it shows is looked at only inside
    a NewView, all of which is then refused.

    One liar keeps every view from opening that its view change gets into.
    """
    from consensus.pbft.dialect import PbftDialect, _author_check
    from consensus.pbft.messages import ViewChange

    honest = PbftDialect.checks

    def checks(dialect: Any, message: Any, **more: Any) -> Any:
        if isinstance(message, ViewChange):
            return (_author_check(message, more["committee"], more["network"]),)
        return honest(dialect, message, **more)

    return [(PbftDialect, "checks", checks)]


def _pbft(name: str, source: str, plant: Any, known: int, **more: Any) -> Mutant:
    return Mutant(name, "pbft", source, plant, known, **more)


MUTANTS = (
    _pbft("literal 2f + 1", "sawtooth-pbft", textbook_quorum, 60, focus="forks"),
    _pbft("literal 2f + 1, n = 5", "sawtooth-pbft", textbook_quorum_of_five, 60, focus="forks"),
    _pbft(
        "primary counted twice",
        "sawtooth-pbft 180ceed",
        primary_counted_twice,
        29,
        focus="carousel",
    ),
    _pbft(
        "same bytes for both phases",
        "raijin 17",
        same_bytes_for_both_phases,
        0,
        focus="carousel",
        quick=True,
    ),
    _pbft(
        "view change shows nothing",
        "sawtooth-pbft",
        view_change_shows_nothing,
        0,
        focus="forks",
    ),
    _pbft(
        "first found certificate",
        "thesis 4.4",
        first_found_certificate,
        21,
        focus="carousel",
        quick=True,
    ),
    _pbft(
        "only the newest certificate",
        "one-block engines",
        only_the_newest_certificate,
        0,
        focus="forks",
        quick=True,
    ),
    _pbft(
        "prepared above a gap",
        "own model, variant C",
        prepared_above_a_gap,
        0,
        focus="forks",
        quick=True,
    ),
    _pbft(
        "new view believed",
        "FISCO-BCOS 124",
        new_view_believed,
        2,
        focus="carousel",
        quick=True,
    ),
    _pbft(
        "view change not written",
        "PBFT 2.9",
        pbft_life.view_change_not_written,
        0,
        focus="restarts",
    ),
    _pbft("view not written", "fabric 0.6", pbft_life.view_not_written, 0, focus="restarts"),
    _pbft(
        "signs anew after a restart",
        "CometBFT privval",
        pbft_life.signs_anew_after_a_restart,
        0,
        focus="restarts",
        quick=True,
    ),
    _pbft(
        "back-off without a cap",
        "Besu 7642",
        pbft_life.back_off_without_a_cap,
        29,
        focus="slow network",
    ),
    _pbft(
        "impatient from the start",
        "fabric 0.6",
        pbft_life.impatient_from_the_start,
        13,
        quick=True,
    ),
    _pbft(
        "proposal of a later view accepted",
        "FISCO-BCOS 133",
        pbft_life.proposal_of_a_later_view_accepted,
        53,
        focus="forks",
    ),
    _pbft(
        "votes counted before they are verified",
        "FISCO-BCOS 129",
        pbft_life.votes_counted_before_they_are_verified,
        7,
        focus="forks",
    ),
    _pbft(
        "certificate of any epoch",
        "FISCO-BCOS 127",
        pbft_life.certificate_of_any_epoch,
        22,
        focus="epochs",
        quick=True,
    ),
    _pbft(
        "base vouched for by a few",
        "fabric 1111",
        base_vouched_for_by_a_few,
        178,
        focus="carousel",
    ),
    _pbft(
        "time rule on old blocks",
        "CometBFT ADR-112",
        pbft_life.time_rule_on_old_blocks,
        4,
        focus="carousel",
    ),
    _pbft(
        "delivered again after a sync",
        "SmartBFT 484",
        pbft_life.delivered_again_after_a_sync,
        2,
        focus="restarts",
        quick=True,
    ),
    _pbft(
        "one bad view change spoils all",
        "concord-bft 50",
        one_bad_view_change_spoils_all,
        135,
        focus="forks",
    ),
    _pbft("quorum of f + 1", "-", quorum_of_one_honest, 1),
    _pbft("new view carries nothing over", "-", new_view_carries_nothing, 0, focus="forks"),
    _pbft(
        "prepared certificate not written",
        "fabric 0.6",
        pbft_life.prepared_certificate_not_written,
        0,
        focus="restarts",
    ),
    _pbft("commits for any block count", "-", votes_for_any_block_count, 21),
    _pbft("prepares for any block count", "-", commit_without_prepares, 4, focus="forks"),
)
