"""Signed tree heads: our texts, their strict parsing, who counts, and an independent tool."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales import signing, tlog

from node.ledger import checkpoint as heads
from node.ledger import crypto
from tests.vectors import make_ledger as maker

VECTORS = Path(__file__).parents[2] / "vectors"


POLICY = maker.policy()
HEAD = heads.Checkpoint(maker.ORIGIN, 1_234, crypto.sha256(b"root"))
COSIGNATURES = maker.cosignatures(HEAD)
NOTE = heads.certify(HEAD, COSIGNATURES, POLICY)


def test_golden_files_are_what_the_code_makes() -> None:
    for name, text in maker.files().items():
        assert (VECTORS / name).read_text() == text, name


def test_the_text_has_three_lines() -> None:
    assert HEAD.text() == (f"{maker.ORIGIN}\n1234\n{heads.encode_base64(HEAD.root)}\n".encode())


def test_the_cosigned_message_is_that_of_the_format() -> None:
    first = COSIGNATURES[0]
    message = b"cosignature/v1\ntime 1767225600\n" + HEAD.text()
    assert crypto.verify(maker.signer("alder").public_key, message, first.signature)
    raw = first.note_signature().payload
    assert raw == (1_767_225_600).to_bytes(8, "big") + first.signature


def test_the_key_id_and_the_verifier_key_text_are_those_of_the_format() -> None:
    name, key = "chartseal/x/y", bytes(range(32))
    vkey = heads.VerifierKey(name, key)
    assert vkey.key_id == crypto.sha256(name.encode() + b"\n\x04" + key)[:4]
    material = heads.encode_base64(b"\x04" + key)
    assert vkey.text() == f"{name}+{vkey.key_id.hex()}+{material}"
    assert heads.VerifierKey.parse(vkey.text()) == vkey
    theirs = signing.Vkey.from_string(vkey.text())
    assert (theirs.name, theirs.sig_type, theirs.pubkey) == (name, 4, key)
    assert theirs.key_id == int.from_bytes(vkey.key_id, "big")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("+", " ", 1),
        lambda text: text[:-4] + "AAA=",
        lambda text: text.rpartition("+")[0] + "+AAAA",
        lambda text: "other" + text,
        lambda text: text.upper(),
        lambda text: "",
        lambda text: "+" + text.split("+", 1)[1],
    ],
    ids=["parts", "key", "short key", "name", "case", "empty", "no name"],
)
def test_verifier_keys_with_anything_wrong_are_refused(change: Callable[[str], str]) -> None:
    text = POLICY.members[0][1].text()
    with pytest.raises(heads.CheckpointMalformed):
        heads.VerifierKey.parse(change(text))


def test_a_cosignature_counts_for_its_checkpoint_name_key_and_time_only() -> None:
    vkey, good = POLICY.members[0][1], COSIGNATURES[0]
    assert heads.verify_cosignature(HEAD, good, vkey)
    assert not heads.verify_cosignature(replace(HEAD, size=1_235), good, vkey)
    assert not heads.verify_cosignature(HEAD, replace(good, time_s=good.time_s + 1), vkey)
    assert not heads.verify_cosignature(HEAD, replace(good, name=good.name + "x"), vkey)
    assert not heads.verify_cosignature(HEAD, replace(good, key_id=bytes(4)), vkey)
    assert not heads.verify_cosignature(HEAD, good, POLICY.members[1][1])


def test_a_certified_note_parses_back_and_counts_every_member() -> None:
    parsed, lines = heads.parse_note(NOTE)
    assert parsed == HEAD
    assert [heads.Cosignature.of(line) for line in lines] == COSIGNATURES
    assert heads.count_valid(NOTE, POLICY) == set(maker.MEMBERS)


def test_certify_needs_a_quorum_of_distinct_members() -> None:
    assert heads.count_valid(heads.certify(HEAD, COSIGNATURES[1:], POLICY), POLICY) == {
        "birch",
        "cedar",
        "dogwood",
    }
    again = heads.cosign(
        HEAD, name=COSIGNATURES[0].name, signer=maker.signer("alder"), time_s=9
    )
    for few in (
        [],
        COSIGNATURES[:2],
        [*COSIGNATURES[:2], COSIGNATURES[0]],
        [*COSIGNATURES[:2], again],
        [*COSIGNATURES[:2], replace(COSIGNATURES[2], signature=bytes(64))],
        [*COSIGNATURES[:2], replace(COSIGNATURES[0], name=COSIGNATURES[3].name)],
    ):
        with pytest.raises(heads.QuorumMissing, match=r"[02] valid"):
            heads.certify(HEAD, few, POLICY)
    with pytest.raises(heads.CheckpointMalformed, match="another log"):
        heads.certify(replace(HEAD, origin="x"), COSIGNATURES, POLICY)


def test_certified_notes_do_not_depend_on_the_order_of_arrival() -> None:
    late = heads.cosign(
        HEAD, name=COSIGNATURES[0].name, signer=maker.signer("alder"), time_s=1_900_000_000
    )
    assert heads.certify(HEAD, [late, *reversed(COSIGNATURES)], POLICY) == NOTE


def test_one_member_repeated_is_counted_once_and_strangers_never() -> None:
    line = COSIGNATURES[0].note_signature().line().encode()
    stranger = heads.cosign(
        HEAD, name=maker.ORIGIN + "/elm", signer=maker.signer("elm"), time_s=1
    )
    note = HEAD.text() + b"\n" + line * 10 + stranger.note_signature().line().encode()
    assert heads.count_valid(note, POLICY) == {"alder"}
    other_type = heads.NoteSignature("example.org/log", b"abcd", b"x" * 100).line().encode()
    assert heads.count_valid(note + other_type, POLICY) == {"alder"}
    assert heads.count_valid(NOTE.replace(b"1234", b"1235", 1), POLICY) == set()
    assert heads.count_valid(NOTE.replace(b"chartseal", b"charts", 1), POLICY) == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n1234\n", b"\n01234\n"),
        (b"\n1234\n", b"\n+1234\n"),
        (b"\n1234\n", b"\n1_234\n"),
        (b"\n1234\n", b"\n9223372036854775808\n"),
        (b"\n1234\n", b"\n1234\nextension\n"),
        (b"\n1234\n", b"\n1234\r\n"),
        (b"chartseal/golden/12a1a8db79c537d2\n1", b"\n1"),
        (b"=\n\n", b"=\n"),
        (b"=\n\n", b"\n\n"),
        (b"=\n\n", b"=\n\n\n"),
        ("\u2014 ".encode(), b"- "),
        ("\u2014 ".encode(), "\u2014  ".encode()),
        (b"/alder ", b"/al+der "),
        (b"/alder ", "/al\u00a0der ".encode()),
        (b"/alder ", b"/al\xffder "),
        (b"==\n", b"=\n"),
    ],
)
def test_notes_in_any_other_form_are_refused(old: bytes, new: bytes) -> None:
    assert old in NOTE
    with pytest.raises(heads.CheckpointMalformed):
        heads.parse_note(NOTE.replace(old, new, 1))


def test_notes_are_bounded_and_end_in_a_newline() -> None:
    line = COSIGNATURES[0].note_signature().line().encode()
    body = HEAD.text() + b"\n"
    assert len(heads.parse_note(body + line * 64)[1]) == 64
    long = heads.NoteSignature("n", b"abcd", bytes(13_000)).line().encode()
    for note in (body + line * 65, body, NOTE[:-1], b"", body + long):
        with pytest.raises(heads.CheckpointMalformed):
            heads.parse_note(note)


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_no_bytes_make_the_note_parser_raise_anything_else(raw: bytes) -> None:
    for note in (raw, HEAD.text() + raw, HEAD.text() + b"\n" + raw):
        try:
            head, lines = heads.parse_note(note)
        except heads.CheckpointMalformed:
            continue
        assert head.text() + b"\n" + "".join(line.line() for line in lines).encode() == note


def test_a_policy_survives_its_text() -> None:
    text = POLICY.to_text()
    assert heads.Policy.from_text(text) == POLICY
    assert json.loads(text)["members"][0]["id"] == "alder"


def _changed(**fields: object) -> str:
    return json.dumps({**json.loads(POLICY.to_text()), **fields})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 3_000,
        POLICY.to_text().replace('"quorum": 3', '"quorum": 3, "quorum": 2'),
        _changed(quorum=0),
        _changed(quorum=5),
        _changed(quorum="3"),
        _changed(quorum=True),
        _changed(format="chartseal/policy/v2"),
        _changed(extra=1),
        _changed(network="00" * 32),
        _changed(network="00"),
        _changed(origin="chartseal/golden"),
        _changed(members=json.loads(POLICY.to_text())["members"] * 2),
        _changed(members=[]),
        _changed(members=[{"id": "alder", "vkey": "\ud800+00000000+BAAA"}]),
        _changed(origin="chartseal/\ud800/12a1a8db79c537d2"),
        _changed(members=[{"id": "alder"}]),
        _changed(members=[{"id": "birch", "vkey": POLICY.members[0][1].text()}], quorum=1),
        " " * (heads.POLICY_BYTES_MAX + 1),
    ],
)
def test_policies_with_anything_wrong_are_refused(text: str) -> None:
    with pytest.raises(heads.CheckpointMalformed):
        heads.Policy.from_text(text)


def test_two_members_may_not_share_a_key() -> None:
    alder = POLICY.members[0][1].key
    twin = heads.VerifierKey(heads.cosigner_name(maker.ORIGIN, "birch"), alder)
    with pytest.raises(heads.CheckpointMalformed, match="twice"):
        replace(POLICY, members=(POLICY.members[0], ("birch", twin)), quorum=1)


def test_an_independent_tool_accepts_our_notes_and_refuses_changed_ones() -> None:
    keys = signing.VkeySet(
        *[signing.Vkey.from_string(vkey.text()) for _, vkey in POLICY.members]
    )
    theirs = tlog.Checkpoint.from_text(NOTE.decode())
    assert (theirs.origin, theirs.size, theirs.root_hash) == (HEAD.origin, HEAD.size, HEAD.root)
    assert theirs.serialize().encode() == NOTE
    assert len(keys.verify(theirs.signatures, theirs)) == 4
    changed = tlog.Checkpoint.from_text(NOTE.decode().replace("1234", "1235", 1))
    assert keys.verify(changed.signatures, changed) == set()
