"""Stories: what people do on the ledger and what they ask it, as a script that can be replayed.

A story is a scenario script (``tests.support.script``).  Its first command founds a network;
the others act, let ledger time pass, or ask:

    network hospital-a:author,custodian clinic-b:author payer-c:payer
    hospital-a: consent.grant subject=@anna purposes=["TREAT"] until_ms=+30d +anna
    later 3d
    ask consent.may subject=@anna requester=clinic-b

``@name`` is 32 bytes of that name, ``@name:16`` 16 of them, ``key:name`` the public key of the
person or device of that name, ``proof:org/vote2`` what such a key signs to become its
institution's (``head...``: its cosigner key); ``+name`` at the end of a line lets it co-sign,
and ``+org/identity`` another institution.  ``+3d`` is ledger time from the next block on,
``-3d`` time before it, ``3d`` that many milliseconds (ms, s, min, h, d).
``height+20`` is the height
that many blocks from now.  ``... as joined`` at the end of a line names a transaction that is
applied: ``tx:joined`` is its id, ``height:joined`` the block that it stands in, and
``height:joined+20`` that many blocks later.  ``head:anna+bert+anna-`` is the commitment to a
study's members.  Other values are JSON or plain words; inside JSON the same words may stand as
strings.  An operation prints the result's code; a question prints its answer, names put back.

``moment NAME`` remembers now: ``time:NAME`` is the time of the next block as it would be then
(``time:NAME+2h`` two hours later), ``height:NAME`` the height.  Of a list of names,
``root:@a,@b`` is the RFC 6962 root, ``path:0/@a,@b`` the path of item 0 in it,
``grown:1/@a,@b`` the consistency path from the tree of its first one, ``items:@a,@b`` the
digest of records handed over.

An institution signs with its identity key; ``hospital-a/spare: ...`` signs with the key
``hospital-a/spare`` instead.

``World`` is what a story is played against; ``Rules`` plays it on the pure rules alone.
"""

import hashlib
import itertools
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from consensus import wire
from node.ledger import execute, merkle, registry, transaction
from node.ledger.block import Header
from node.ledger.crypto import Signer
from node.ledger.facts import membership
from node.ledger.facts.accesses import items_digest
from node.ledger.genesis import Genesis, Institution, Parameters
from node.ledger.state import genesis_state
from node.ledger.transaction import Op, Payload

START_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_UNITS: Final = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN: Final = re.compile(r"([+-]?)(\d+)(ms|s|min|h|d)")
_JOINED: Final = re.compile(r"([a-z0-9/-]+?)([+-])")
APPLIED: Final = "applied"
_USES: Final = ("vote", "head", "seal")  # of an institution's keys, beside identity
_NAME: Final = re.compile(r"@([a-z0-9/-]+)(?::(\d+))?")
_AHEAD: Final = re.compile(r"height\+(\d+)")
_BLOCK: Final = re.compile(r"height:([a-z0-9-]+)(?:\+(\d+))?")
_MOMENT: Final = re.compile(r"time:([a-z0-9-]+)(?:\+(\d+)(ms|s|min|h|d))?")
_LISTED: Final = re.compile(r"(root|path|grown|items):(?:(\d+)/)?(@[@a-z0-9/,-]+)")


def named(name: str, size: int = 32) -> bytes:
    """Return the bytes that ``@name`` stands for."""
    return hashlib.sha256(b"story " + name.encode()).digest()[:size]


def person(name: str) -> Signer:
    """Return the signing key of a person or device; its seed is public, for tests only."""
    return Signer(hashlib.sha256(b"story key " + name.encode()).digest())


def head(changes: str, salt: str = "") -> str:
    """Return the commitment after ``anna+bert+anna-``, from its definition once more."""
    made = bytes(32)
    for name, sign in _JOINED.findall(changes):
        step = (b"\x01" if sign == "+" else b"\x00") + named(salt + name)
        made = hashlib.sha256(b"chartseal/members/v1\x00" + made + step).digest()
    return made.hex()


def institution(name: str, roles: Sequence[str], *, validator: bool) -> Institution:
    keys = [person(f"{name}/{use}").public_key for use in ("identity", "vote", "head", "seal")]
    return Institution(name, name.title(), tuple(sorted(roles)), *keys, validator)


def founded(words: Sequence[str]) -> Genesis:
    """Return the genesis of ``id:role,role`` words; all of them are validators."""
    members = []
    for word in sorted(words):
        name, _, roles = word.partition(":")
        members.append(institution(name, roles.split(","), validator=True))
    return Genesis(1, "story", START_MS, "raft", Parameters(), tuple(members))


class World(Protocol):
    """Where a story happens."""

    @property
    def time_ms(self) -> int:
        """The time of the next block, as nearly as can be said."""
        ...

    @property
    def height(self) -> int:
        """The height of the ledger now."""
        ...

    @property
    def network(self) -> bytes:
        """The digest of the genesis."""
        ...

    @property
    def start_ms(self) -> int:
        """When the story began: its day 0."""
        ...

    @property
    def applied(self) -> tuple[str, int]:
        """The id and the height of the transaction that was applied last."""
        ...

    def found(self, genesis: Genesis) -> None: ...

    def act(
        self, org: str, op: Op, cosigners: Sequence[Signer], author: Signer | None = None
    ) -> str:
        """Put one operation on the ledger; return its result's code.  ``author``:
        a key of the institution other than the one that its node signs with."""
        ...

    def later(self, span_ms: int) -> None: ...

    def institution_key(self, org: str) -> Signer:
        """Return the key with which an institution co-signs another's transaction."""
        ...

    def ask(self, name: str, params: Mapping[str, Any]) -> Any:
        """Return the plain (JSON) form of the answer."""
        ...


class Rules:
    """The pure rules over a dictionary: one block for each operation, a second apart."""

    start_ms = START_MS

    def __init__(self) -> None:
        self.state: dict[bytes, bytes] = {}
        self.rows: dict[bytes, bytes] = {}
        self.height = 0
        self.time_ms = START_MS
        self.applied = ("", 0)
        self._network = b""
        self._leaf = itertools.count()

    @property
    def network(self) -> bytes:
        return self._network

    def found(self, genesis: Genesis) -> None:
        self._network = genesis.network
        self.state = genesis_state(genesis)

    def act(
        self, org: str, op: Op, cosigners: Sequence[Signer], author: Signer | None = None
    ) -> str:
        nonce = next(self._leaf).to_bytes(8, "big")
        payload = Payload(self.network, org, self.height + 1000, nonce, (op,))
        first = author or self.institution_key(org)
        raw = transaction.sign(payload, first, *cosigners)
        return self.block([transaction.parse(raw)])[0]

    def block(self, transactions: Sequence[transaction.Transaction]) -> list[str]:
        """Apply one block; return the code of each transaction."""
        self.height += 1
        self.time_ms += 1000
        header = Header(
            1, self.network, 0, self.height, bytes(32), self.time_ms, "x", bytes(32)
        )
        first = self.height * 1000
        done = execute.execute(header, transactions, self.state.get, first_index=first)
        for key, value in done.writes.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        self.rows.update(done.index)
        codes = [registry.result_of(code).code for code in done.codes]
        for tx, code in zip(transactions, codes, strict=True):
            if code == APPLIED:
                self.applied = (tx.txid.hex(), self.height)
        return codes

    def institution_key(self, org: str) -> Signer:
        return person(f"{org}/identity")

    def later(self, span_ms: int) -> None:
        self.time_ms += span_ms
        self.block([])

    def ask(self, name: str, params: Mapping[str, Any]) -> Any:
        question = registry.QUESTIONS[name]
        given = wire.from_plain(question.params, dict(params))
        return wire.to_plain(question.ask(self, given))

    # --- what questions read -----------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        return self.state.get(key)

    def scan(
        self, prefix: bytes, *, start: bytes = b"", limit: int
    ) -> list[tuple[bytes, bytes]]:
        keys = sorted(key for key in self.rows if key.startswith(prefix))
        found = [key for key in keys if key >= prefix + start]
        return [(key, self.rows[key]) for key in found[:limit]]


class Story:
    """Reads the lines of a story and plays them; ``line`` is for ``run_script``."""

    def __init__(self, world: World, *, salt: str = "") -> None:
        self.world = world
        self._salt = salt  # so that stories on one ledger do not share handles
        self._names: dict[str, str] = {}  # hexadecimal -> as the story wrote it
        self._applied: dict[str, tuple[str, int]] = {}  # transactions that it named
        self._moments: dict[str, tuple[int, int]] = {}  # name -> time, height
        self._time_ms = 0  # one moment for all of a line, also where a real clock goes on

    def line(self, text: str) -> str:
        head, *rest = shlex.split(text, posix=False)
        self._time_ms = self.world.time_ms + 1000
        if head == "network":
            self.world.found(founded(rest))
            return ""
        if head == "moment":
            self._moments[rest[0]] = (self._time_ms, self.world.height)
            return ""
        if head == "later":
            self.world.later(int(self._word(rest[0])))
            return ""
        if head == "ask":
            answer = self.world.ask(rest[0], self._fields(rest[1:], None))
            return "\n".join(self._shown(answer))
        org, kind = head.removesuffix(":"), rest[0]
        return self._act(org, kind, rest[1:])

    def _act(self, org: str, kind: str, words: Sequence[str]) -> str:
        signers = [word[1:] for word in words if re.fullmatch(r"\+[a-z][a-z0-9/-]*", word)]
        fields = [word for word in words if "=" in word]
        operation = registry.OPERATIONS[kind]
        body = wire.from_plain(operation.body, self._fields(fields, operation.body))
        op = Op(kind, wire.to_value(body))
        org, _, spare = org.partition("/")
        author = self._signer(f"{org}/{spare}") if spare else None
        code = self.world.act(org, op, [self._signer(name) for name in signers], author)
        if list(words[-2:-1]) == ["as"]:
            assert code == APPLIED, f"{words[-1]} would name what is refused: {code}"
            self._applied[words[-1]] = self.world.applied
        return code

    def _signer(self, name: str) -> Signer:
        """Return the key of a person, or of an institution when it is written org/identity."""
        org, _, use = name.partition("/")
        if use == "identity":
            return self.world.institution_key(org)
        return person(name if use in _USES else self._salt + name)

    def _fields(self, words: Sequence[str], _kind: object) -> dict[str, Any]:
        found = {}
        for word in words:
            name, _, text = word.partition("=")
            found[name] = self._value(text)
        return found

    def _value(self, text: str) -> Any:
        text = text.removeprefix("'").removesuffix("'")
        if text[:1] in '[{"' or text in ("null", "true", "false") or text.isdigit():
            return self._deep(json.loads(text))
        return self._word(text)

    def _deep(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._deep(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._deep(item) for item in value]
        return self._word(value) if isinstance(value, str) else value

    def _word(self, text: str) -> Any:
        if match := _NAME.fullmatch(text):
            made = named(self._salt + match[1], int(match[2] or 32)).hex()
            self._names[made] = text
            return made
        if text.startswith("key:"):
            made = self._signer(text[4:]).public_key.hex()
            self._names[made] = text
            return made
        if text.startswith("proof:"):
            return self._proof(text[6:])
        if text.startswith("tx:"):
            made = self._applied[text[3:]][0]
            self._names[made] = text
            return made
        if match := _BLOCK.fullmatch(text):
            known = self._applied if match[1] in self._applied else self._moments
            return known[match[1]][1] + int(match[2] or 0)
        if text.startswith("head:"):
            made = head(text[5:], self._salt)
            self._names[made] = text
            return made
        if match := _MOMENT.fullmatch(text):
            return self._moment(*match.groups())
        if match := _AHEAD.fullmatch(text):
            return self.world.height + int(match[1])
        if match := _LISTED.fullmatch(text):
            return self._listed(*match.groups())
        if match := _SPAN.fullmatch(text):
            span = int(match[2]) * _UNITS[match[3]]
            if not match[1]:
                return span
            return self._time_ms + (span if match[1] == "+" else -span)
        return text

    def _proof(self, name: str) -> str:
        org, _, use = name.partition("/")
        role = membership.CONSENSUS if use.startswith("vote") else membership.COSIGNER
        signer = self._signer(name)
        said = membership.rotation_statement(self.world.network, org, role, signer.public_key)
        return signer.sign(said).hex()

    def _moment(self, name: str, count: str | None, unit: str | None) -> int:
        return self._moments[name][0] + int(count or 0) * _UNITS[unit or "ms"]

    def _listed(self, what: str, number: str | None, names: str) -> str | list[str]:
        items = [bytes.fromhex(self._word(name)) for name in names.split(",")]
        leaves = [merkle.leaf_hash(item) for item in items]
        at = int(number or 0)
        match what:
            case "root":
                return merkle.root(leaves).hex()
            case "items":
                return items_digest(items).hex()
            case "path":
                return [part.hex() for part in merkle.inclusion_path(leaves, at)]
            case _:
                path = merkle.consistency_path(leaves, at, len(leaves))
                return [part.hex() for part in path]

    # --- printing ----------------------------------------------------------------------------

    def _shown(self, value: Any, indent: str = "") -> list[str]:
        if isinstance(value, dict):
            return [
                line for name, item in value.items() for line in self._row(name, item, indent)
            ]
        if isinstance(value, list):
            return [
                line
                for item in value
                for line in self._marked(self._shown(item, indent + "  "), indent)
            ]
        return [indent + self._scalar(value)]

    def _row(self, name: str, item: Any, indent: str) -> list[str]:
        if isinstance(item, dict) or (
            isinstance(item, list) and any(isinstance(part, dict | list) for part in item)
        ):
            return [f"{indent}{name}:", *self._shown(item, indent + "  ")]
        if isinstance(item, list):
            return [f"{indent}{name}: {', '.join(map(self._scalar, item)) or '-'}"]
        return [f"{indent}{name}: {self._scalar(item)}"]

    @staticmethod
    def _marked(lines: list[str], indent: str) -> list[str]:
        return [f"{indent}- {lines[0].strip()}", *lines[1:]] if lines else []

    def _scalar(self, value: Any) -> str:
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int) and value > START_MS // 2:
            return self._when(value)
        text = str(value)
        return self._names.get(text, f"{text[:8]}.." if len(text) in (32, 64) else text)

    def _when(self, time_ms: int) -> str:
        days, rest = divmod(time_ms - self.world.start_ms, _UNITS["d"])
        hours, rest = divmod(rest, _UNITS["h"])
        minutes, rest = divmod(rest, _UNITS["min"])
        return f"day {days} {hours:02}:{minutes:02}:{rest // 1000:02}"


Play = Callable[[str], str]


def on_rules() -> Play:
    """Return what plays a story's lines on the pure rules."""
    return Story(Rules()).line
