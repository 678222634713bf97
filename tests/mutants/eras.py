"""Mistakes in the change from one era to the next: other members, keys, another engine."""

from typing import Any

from consensus.observer import Observer
from consensus.raft import founding
from consensus.raft.blocks import BlockLog
from consensus.raft.core import Role
from consensus.raft.messages import VoteResponse
from consensus.standing import Standing
from consensus.succession import Succession
from consensus.succession_records import Annals
from consensus.types import Committee, Era, Member
from tests.mutants.planting import Mutant, Planting
from tests.sim import ledger
from tests.sim.chain import Chain


def _barrier_ignored() -> list[Planting]:
    """A leader goes on ordering before its ledger says who orders next."""
    return [(BlockLog, "tip_is_barrier", False)]


def _old_records_kept() -> list[Planting]:
    honest = Annals.begin
    return [(Annals, "begin", lambda self, epoch: honest(self, epoch)[-1:])]


def _each_its_own_first_leader() -> list[Planting]:
    honest = founding.found
    return [(founding, "found", lambda core, _first: honest(core, core.self_id))]


def _leads_its_first_term_twice() -> list[Planting]:
    """A restart inside term 1 begins the log once more instead of following."""

    def found(core: Any, first: Any) -> None:
        if core.term == 0:
            core.reset(1)
        core.vote = first
        if first == core.self_id:
            core.role = Role.CANDIDATE
            for peer in core.tracker.voters:
                if peer != first:
                    core.tracker.record_vote(peer, granted=True)
            answer = VoteResponse(core.settings.epoch, 1, first, first, granted=True)
            core.promise(first, answer)

    def is_new(restored: Any, _applied: Any) -> bool:
        return bool(restored.hard.term <= 1)

    return [(founding, "found", found), (founding, "is_new", is_new)]


def _wrong_committee() -> list[Planting]:
    """Blocks above a barrier are judged by the committee below it."""
    honest = Chain._final

    def final(self: Any, sender: str, proposal: Any, certificate: bytes) -> bool:
        before = ledger.epoch_of
        ledger.epoch_of = lambda _: self.committee.epoch
        try:
            return honest(self, sender, proposal, certificate)
        finally:
            ledger.epoch_of = before

    return [(Chain, "_final", final)]


def _observers_count() -> list[Planting]:
    """Engines are started with everybody who listens."""
    honest = Succession._start

    def start(self: Any, era: Era, pairs: Any, applied: Any) -> Any:
        listening = tuple(Member(node, bytes(32)) for node in era.observers)
        members = sorted((*era.committee.members, *listening), key=lambda each: each.id)
        committee = Committee(era.committee.epoch, tuple(members))
        more = Era(era.engine, committee, era.from_height, era.observers)
        return honest(self, more, pairs, applied)

    return [(Succession, "_start", start)]


def _reads_at_the_barrier() -> list[Planting]:
    """What a read must wait for is told before it is known whether the era ends there."""

    def answer(self: Any, answers: Any) -> None:
        for each in answers:
            self._answers.append(each)
            self._reads.discard(each.token)

    return [(Succession, "_answer", answer)]


def _end_untold() -> list[Planting]:
    """Laggards hear that there is a later era, and not where theirs ended."""

    def standing(self: Any, _of_epoch: int) -> Standing:
        return Standing(self._epoch, self._applied)

    return [(Succession, "_standing", standing)]


def _observer_crosses() -> list[Planting]:
    """An observer takes what lies above a barrier by the rules below it."""
    honest = Observer.synced

    def synced(self: Any, proposal: Any, certificate: bytes) -> bool:
        self._barrier = None
        return honest(self, proposal, certificate)

    return [(Observer, "synced", synced), *_wrong_committee()]


MUTANTS = (
    Mutant("ordered on a barrier that is not applied", "eras", "-", _barrier_ignored, 3),
    Mutant("records of older eras kept", "eras", "-", _old_records_kept, 7, quick=True),
    Mutant("each its own first leader", "eras", "-", _each_its_own_first_leader, 0, quick=True),
    Mutant(
        "leads its first term twice", "eras", "-", _leads_its_first_term_twice, 160, "falling"
    ),
    Mutant(
        "certificate by the committee before", "eras", "FISCO-BCOS 127", _wrong_committee, 3
    ),
    Mutant("observers count as voters", "eras", "-", _observers_count, 0, quick=True),
    Mutant("read answered at a barrier", "eras", "-", _reads_at_the_barrier, 26, "reads"),
    Mutant("end of the log untold", "eras", "-", _end_untold, 3),
    Mutant("observer crosses a barrier unasked", "eras", "-", _observer_crosses, 3),
)
