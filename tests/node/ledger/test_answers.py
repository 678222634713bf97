"""Proven answers: a stranger with the text and a policy comes to the same answer, or refuses.

The questions of this file are not the product's: they read a counted list, a single key, the
index, and answer with what they were asked.
"""

import json
import subprocess
import sys
import typing
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, replace
from itertools import product
from pathlib import Path
from random import Random

import pytest

from consensus import wire
from node.answering import (
    AnswerPending,
    AnswerTooLarge,
    HeightUnavailable,
    QuestionUnknown,
)
from node.book import Book
from node.ledger import answers, registry
from node.ledger import checkpoint as checkpoints
from node.ledger.answers import Answer, AnswerInvalid, AnswerMalformed, Reason, Row
from node.ledger.asking import Facts, NotProvable, Question, inner_kind
from node.ledger.checkpoint import Checkpoint, Policy
from node.ledger.facts.records import RecordRow, record_key
from node.ledger.questions import network
from node.ledger.state import load_from
from node.publish import policy_of
from node.queries import Queries
from tests.support.ledger import Chain, anchor, digest, genesis, key, retract
from tests.vectors import make_answer, make_ledger

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Asked:
    commitments: tuple[bytes, ...]
    note: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    note: int
    statuses: tuple[str, ...]


def _statuses(facts: Facts, params: Asked) -> Told:
    rows = [load_from(facts.get, RecordRow, record_key(item)) for item in params.commitments]
    return Told(params.note, tuple("none" if row is None else row.status for row in rows))


def _scanned(facts: Facts, params: Asked) -> Told:
    rows = list(facts.scan(b"leaf/", limit=100))
    return Told(params.note, tuple(key.hex() for key, _ in rows))


STATUSES = Question("test.statuses", Asked, Told, _statuses, "What became of these?")
SCANNED = Question("test.scanned", Asked, Told, _scanned, "What is there?", provable=False)
LYING = Question("test.lying", Asked, Told, _scanned, "What is there?")


@pytest.fixture(autouse=True)
def questions(monkeypatch: pytest.MonkeyPatch) -> None:
    for question in (STATUSES, SCANNED, LYING):
        monkeypatch.setitem(registry.QUESTIONS, question.name, question)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with Chain(tmp_path) as made:
        made.commit(made.tx(anchor("a")), made.tx(anchor("b")))
        made.commit()
        made.commit(made.tx(retract("a")), made.tx(anchor("c")))
        made.commit()
        quorum_only(made)
        yield made


def quorum_only(chain: Chain) -> None:
    """Certify the tip with exactly a quorum: not one cosignature can be spared."""
    policy, tip = policy_of(chain.genesis), chain.book.tip
    head = Checkpoint(policy.origin, tip.log_size, tip.log_root)
    made = [
        checkpoints.cosign(head, name=vkey.name, signer=key(f"{name} cosigner"), time_s=7)
        for name, vkey in policy.members[: policy.quorum]
    ]
    chain.store.save_checkpoint(tip.height, checkpoints.certify(head, made, policy))


def asked(chain: Chain) -> Queries:
    return Queries(chain.store, chain.book)


def names(*given: str, note: int = 0) -> Asked:
    return Asked(tuple(digest(name) for name in given), note)


def reason_of(answer: Answer, policy: Policy) -> Reason:
    with pytest.raises(AnswerInvalid) as caught:
        answers.verify(answer, policy)
    assert str(caught.value).startswith(caught.value.reason.value)
    return caught.value.reason


# --- what holds ---------------------------------------------------------------------------


def test_an_answer_proves_what_stood_at_each_height(chain: Chain) -> None:
    policy = policy_of(chain.genesis)
    params = names("a", "b", "c", note=9)
    for height, statuses in (
        (1, ("live", "live", "none")),
        (2, ("live", "live", "none")),
        (3, ("retracted", "live", "live")),
        (None, ("retracted", "live", "live")),
    ):
        answer = asked(chain).prove("test.statuses", params, height=height)
        proven = answers.verify(answers.from_json(answers.to_json(answer)), policy)
        assert proven.answer == Told(9, statuses)
        assert proven.height == (height or 4)
        assert proven.rows == 3
        assert proven.checkpoint_size == chain.book.tip.log_size
        assert len(proven.signers) == policy.quorum
        told = asked(chain).ask("test.statuses", params, height=height)
        assert (told.answer, told.height) == (proven.answer, proven.height)
        assert told.time_ms == proven.time_ms


@pytest.mark.parametrize("every", [1, 3])
def test_a_proof_does_not_wait_for_the_tip(tmp_path: Path, every: int) -> None:
    with Chain(tmp_path, genesis(state_root_every=every)) as chain:
        for _ in range(3):
            chain.commit(chain.tx(anchor("a")))
        chain.certify()
        chain.commit(chain.tx(retract("a")))
        policy = policy_of(chain.genesis)
        answer = asked(chain).prove("test.statuses", names("a"))
        assert answers.verify(answer, policy).answer.statuses == ("live",)
        assert answer.height == 3
        assert asked(chain).ask("test.statuses", names("a")).answer.statuses == ("retracted",)
        if every == 1:
            with pytest.raises(AnswerPending):
                asked(chain).prove("test.statuses", names("a"), height=4)
        with pytest.raises(HeightUnavailable):
            asked(chain).prove("test.statuses", names("a"), height=5)


def test_without_history_only_a_certified_tip_is_proven(tmp_path: Path) -> None:
    with Chain(tmp_path) as chain:
        chain.book = Book(chain.store, chain.genesis, history_blocks=0)
        with pytest.raises(HeightUnavailable):
            asked(chain).prove("test.statuses", names("a"), height=1)
        with pytest.raises(AnswerPending):
            asked(chain).prove("test.statuses", names("a"))
        chain.commit(chain.tx(anchor("a")))
        chain.certify()
        answer = asked(chain).prove("test.statuses", names("a"))
        answers.verify(answer, policy_of(chain.genesis))
        chain.commit()
        with pytest.raises(AnswerPending, match="height 1"):
            asked(chain).prove("test.statuses", names("a"))
        with pytest.raises(HeightUnavailable, match="kept from 2 on"):
            asked(chain).prove("test.statuses", names("a"), height=1)


def test_what_no_proof_covers_is_refused_by_name(chain: Chain) -> None:
    queries = asked(chain)
    with pytest.raises(QuestionUnknown):
        queries.ask("test.unheard", names())
    for name in ("test.scanned", "test.lying"):
        with pytest.raises(NotProvable):
            queries.prove(name, names())
    assert queries.ask("test.scanned", names()).answer.statuses
    assert queries.ask("test.scanned", names(), height=4).answer.statuses
    with pytest.raises(NotProvable):
        queries.ask("test.scanned", names(), height=3)
    with pytest.raises(NotProvable):
        queries.ask("test.lying", names())


def test_a_question_that_reads_too_much_is_asked_in_smaller_pages(chain: Chain) -> None:
    many = Asked(tuple(digest(f"m{number}") for number in range(answers.ROWS_MAX + 1)))
    with pytest.raises(AnswerTooLarge):
        asked(chain).prove("test.statuses", many)
    fits = Asked(many.commitments[1:])
    answer = asked(chain).prove("test.statuses", fits)
    text = answers.to_json(answer)
    assert len(text) < answers.JSON_BYTES_MAX
    proven = answers.verify(answers.from_json(text), policy_of(chain.genesis))
    assert proven.rows == answers.ROWS_MAX


def test_before_the_first_block_the_founders_are_known_but_not_proven(tmp_path: Path) -> None:
    with Chain(tmp_path) as chain:
        told = asked(chain).ask("network.members", network.MembersParams())
        assert (told.height, told.answer.count) == (0, 5)
        assert told.answer.members == chain.genesis.institutions
        with pytest.raises(HeightUnavailable):
            asked(chain).ask("network.members", network.MembersParams(), height=1)


def test_the_golden_file_is_what_the_generator_makes_and_verifies() -> None:
    text = (Path(make_answer.__file__).parent / "answer.json").read_text()
    assert {"answer.json": text} == make_answer.files()
    proven = answers.verify(answers.from_json(text), make_ledger.policy())
    assert (proven.height, proven.time_ms) == (2, 1_767_225_600_500)
    assert proven.signers == make_ledger.MEMBERS


# --- what does not ------------------------------------------------------------------------


def test_a_changed_bit_anywhere_is_refused(chain: Chain) -> None:
    policy, random = policy_of(chain.genesis), Random(11)
    answer = asked(chain).prove("test.statuses", names("a", "b", "x", note=5), height=3)
    text = answers.to_json(answer).encode()
    places = random.sample(range(8 * len(text)), 1500)
    for place in places:
        changed = bytearray(text)
        changed[place >> 3] ^= 1 << (place & 7)
        try:
            read = answers.from_json(changed.decode("utf-8"))
        except (AnswerMalformed, UnicodeDecodeError):
            continue
        with pytest.raises(AnswerInvalid):
            answers.verify(read, policy)


def test_a_row_left_out_or_put_in_or_changed_is_refused(chain: Chain) -> None:
    policy = policy_of(chain.genesis)
    answer = asked(chain).prove("test.statuses", names("a", "b", "x"), height=3)
    other = asked(chain).prove("test.statuses", names("c"), height=3).rows[0]
    for at, row in enumerate(answer.rows):
        rest = (*answer.rows[:at], *answer.rows[at + 1 :])
        assert reason_of(replace(answer, rows=rest), policy) is Reason.ROW_MISSING
        for value in (None, b"", b"another"):
            if value != row.value:
                changed = (*answer.rows[:at], Row(row.key, value, row.proof), *rest[at:])
                assert reason_of(replace(answer, rows=changed), policy) is Reason.ROW_MISMATCH
    more = tuple(sorted((*answer.rows, other), key=lambda row: row.key))
    assert reason_of(replace(answer, rows=more), policy) is Reason.ROW_UNUSED
    for rows in (answer.rows[::-1], (answer.rows[0], *answer.rows)):
        with pytest.raises(AnswerMalformed):
            replace(answer, rows=rows)


def test_every_other_field_is_bound_too(chain: Chain) -> None:
    policy = policy_of(chain.genesis)
    answer = asked(chain).prove("test.statuses", names("a"), height=3)
    other = asked(chain).prove("test.statuses", names("a"), height=2)
    for changed, reason in (
        ({"answer": Told(0, ("live",))}, Reason.ANSWER_MISMATCH),
        ({"params": names("b")}, Reason.ROW_MISSING),
        ({"params": names("a", note=1)}, Reason.ANSWER_MISMATCH),
        ({"height": 2}, Reason.HEIGHT_MISMATCH),
        ({"question": "test.scanned"}, Reason.NOT_PROVABLE),
        ({"seal": other.seal}, Reason.SEAL_MISMATCH),
        ({"seal": other.seal, "seal_path": other.seal_path}, Reason.HEIGHT_MISMATCH),
        (
            {"seal": other.seal, "seal_path": other.seal_path, "height": 2},
            Reason.ROW_MISMATCH,
        ),
        ({"seal": b"no seal"}, Reason.SEAL_MALFORMED),
        ({"seal_path": answer.seal_path[1:]}, Reason.SEAL_MISMATCH),
        ({"checkpoint": b"no note"}, Reason.CHECKPOINT_MALFORMED),
        ({"checkpoint": answer.checkpoint.rsplit(b"\n", 2)[0] + b"\n"}, Reason.QUORUM_MISSING),
    ):
        assert reason_of(replace(answer, **changed), policy) is reason, changed
    stranger = policy_of(genesis("pbft"))
    assert reason_of(answer, stranger) is Reason.WRONG_LOG


def test_a_seal_of_a_block_without_its_own_root_proves_nothing(tmp_path: Path) -> None:
    """Rows of height 2 under the seal of height 3, which repeats the root of height 2."""
    with Chain(tmp_path, genesis(state_root_every=2)) as chain:
        for _ in range(3):
            chain.commit(chain.tx(anchor("a")))
        chain.certify()
        answer = asked(chain).prove("test.statuses", names("a"))
        assert answer.height == 2
        later = chain.store.seal(3)
        row = chain.store.block(3)
        assert later is not None
        assert row is not None
        from node.ledger.tiles import TileLog

        log = TileLog(chain.book.tip.log_size, chain.store.tile)
        path = tuple(log.inclusion_path(row.first_index + row.count, log.size))
        policy = policy_of(chain.genesis)
        for height in (2, 3):
            moved = replace(answer, seal=later, seal_path=path, height=height)
            assert reason_of(moved, policy) is Reason.HEIGHT_MISMATCH


@pytest.mark.parametrize(
    "change",
    [
        {"format": "chartseal/answer/v2"},
        {"question": "test.unheard"},
        {"question": None},
        {"height": 0},
        {"height": 1 << 63},
        {"height": True},
        {"extra": 1},
        {"seal": "AB"},
        {"seal": "00" * 2000},
        {"seal_path": ["00"]},
        {"rows": [{"key": "00"}]},
        {"params": {"commitments": [], "note": -1}},
        {"params": {"commitments": []}},  # every field is written out
        {"answer": {"note": 0, "statuses": ["\ud800"]}},
        {"answer": 5},
    ],
)
def test_what_is_no_answer_is_refused_before_anything_is_believed(
    chain: Chain, change: dict[str, object]
) -> None:
    plain = json.loads(answers.to_json(asked(chain).prove("test.statuses", names("a"))))
    answers.from_json(json.dumps(plain))
    with pytest.raises(AnswerMalformed):
        answers.from_json(json.dumps({**plain, **change}))


def test_a_verifier_needs_no_node(chain: Chain, tmp_path: Path) -> None:
    """A process with two files: neither storage nor sockets are imported."""
    answer = asked(chain).prove("network.members", network.MembersParams(limit=2))
    (tmp_path / "answer.json").write_text(answers.to_json(answer))
    (tmp_path / "policy.json").write_text(policy_of(chain.genesis).to_text())
    script = """
import sys
from pathlib import Path
from node.ledger import answers
from node.ledger.checkpoint import Policy
here = Path(sys.argv[1])
answer = answers.from_json((here / "answer.json").read_text())
proven = answers.verify(answer, Policy.from_text((here / "policy.json").read_text()))
assert not {"storage.store", "plyvel", "aiohttp", "node.book"} & set(sys.modules)
print(proven.height, [item.id for item in proven.answer.members], proven.answer.next)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert (done.stderr, done.stdout) == ("", "4 ['alder', 'birch'] 2\n")


# --- every question of the product --------------------------------------------------------


def guesses(kind: object) -> tuple[object, ...]:
    """Values that a required parameter may have; what is optional is left out."""
    if type(None) in typing.get_args(kind):
        return (None,)
    kind = inner_kind(kind)
    if typing.get_origin(kind) is tuple:
        return ((),)
    words = ("alder", "TREAT", "MODEL01", "CVE-2026-0001")
    return {bytes: (bytes(32), bytes(16)), int: (1,), bool: (False,), str: words}[kind]


def some_params(question: Question) -> object | None:
    hints = typing.get_type_hints(question.params)
    needed = [item.name for item in fields(question.params) if item.default is MISSING]
    for values in product(*(guesses(hints[name]) for name in needed)):
        try:
            return question.params(**dict(zip(needed, values, strict=True)))
        except ValueError:
            continue
    return None


def test_every_provable_question_is_proven_for_what_is_not_there_too(chain: Chain) -> None:
    policy, unasked = policy_of(chain.genesis), []
    provable = [item for item in registry.QUESTIONS.values() if item.provable]
    for question in provable:
        params = some_params(question)
        if params is None or question is LYING:
            unasked.append(question.name)
            continue
        answer = asked(chain).prove(question.name, params, height=2)
        proven = answers.verify(answers.from_json(answers.to_json(answer)), policy)
        told = asked(chain).ask(question.name, params, height=2)
        assert (proven.answer, proven.height) == (told.answer, 2), question.name
    assert len(unasked) <= 1 + len(provable) // 20, unasked


# --- the network's own questions -----------------------------------------------------------


def test_membership_is_proven_page_by_page(chain: Chain) -> None:
    policy, found, start = policy_of(chain.genesis), [], 0
    while start is not None:
        params = network.MembersParams(start, 2)
        answer = asked(chain).prove("network.members", params, height=2)
        proven = answers.verify(answer, policy).answer
        assert proven.count == 5
        found += proven.members
        start = proven.next
    assert tuple(found) == chain.genesis.institutions
    beyond = network.MembersParams(7, 2)
    assert asked(chain).ask("network.members", beyond).answer == network.MembersAnswer(
        5, (), None
    )


def test_one_member_and_the_voters_are_proven_known_or_not(chain: Chain) -> None:
    policy = policy_of(chain.genesis)

    def proven(name: str, params: object) -> object:
        answer = answers.from_json(answers.to_json(asked(chain).prove(name, params)))
        return wire.to_plain(answers.verify(answer, policy).answer)

    member = proven("network.member", network.MemberParams("payer"))
    assert member == {
        "known": True,
        "institution": wire.to_plain(chain.genesis.institutions[4]),
        "suspended": False,
    }
    nobody = proven("network.member", network.MemberParams("willow"))
    assert nobody == {"known": False, "institution": None, "suspended": False}
    now = proven("network.voters", network.VotersParams())
    assert now == proven("network.voters", network.VotersParams(0))
    assert [item["id"] for item in now["voters"]] == ["alder", "birch", "cedar", "dogwood"]
    assert proven("network.voters", network.VotersParams(1)) == {
        "known": False,
        "epoch": 1,
        "voters": [],
    }


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (network.MembersParams, {"limit": 0}),
        (network.MembersParams, {"limit": 501}),
        (network.MemberParams, {"org": "Not an id"}),
    ],
)
def test_parameters_out_of_bounds_are_refused(kind: type, given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must"):
        kind(**given)
