"""A second opinion on who may see what, written from the prose and from nothing else.

Owns a model of what was said (consents, opt-outs, laws, the policy) and of the accesses, as
plain lists and sets.  It shares no code with the rules: it looks at everything, every time.
Only what was *applied* is told to it.  Consents here name institutions, purposes, data classes
and periods; requests name one data class or all.
"""

from dataclasses import dataclass, field, replace

PRIMARY = {"BTG", "ETREAT", "HOPERAT", "HPAYMT", "TREAT"}
SECONDARY = {"HQUALIMP", "HRESCH", "PUBHLTH"}
# Emergency treatment is treatment; breaking the glass is emergency treatment.
NAMES = {"BTG": {"BTG", "ETREAT", "TREAT"}, "ETREAT": {"ETREAT", "TREAT"}}
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Said:
    """What a patient permits or denies; empty sets mean everybody, everything."""

    subject: bytes
    permit: bool
    orgs: frozenset[str]
    purposes: frozenset[str]
    classes: frozenset[int]
    from_ms: int
    until_ms: int


@dataclass
class Asked:
    """An access: what was asked, and how it stands."""

    subject: bytes
    custodian: str
    requester: str
    purpose: str
    data_class: int | None
    glass: bool
    until_ms: int
    time_ms: int
    status: str = "open"
    acked: list[bool] = field(default_factory=list)
    sent_ms: list[int] = field(default_factory=list)
    finding: str | None = None
    licensed: bool = False  # in the name of the one practitioner


class Naive:
    """What is true at one moment, told event by event."""

    def __init__(self) -> None:
        self.consents: dict[bytes, Said] = {}
        self.outs: set[tuple[bytes, str]] = set()
        self.laws: list[tuple[str, bool, frozenset[str]]] = []  # in the order of saying
        self.default: str | None = None
        self.glass: frozenset[str] = frozenset()
        self.licence = True  # the practitioner's is in force
        self.accesses: dict[bytes, Asked] = {}
        self.events: dict[bytes, int] = {}  # lines of each patient's log

    # --- consents ----------------------------------------------------------------------------

    def law(self, name: str, purposes: frozenset[str] | None, *, permit: bool = False) -> None:
        """State a law, or end it (``purposes`` is None)."""
        self.laws = [item for item in self.laws if item[0] != name]
        if purposes is not None:
            self.laws.append((name, permit, purposes))

    def may(self, asked: Asked, now_ms: int) -> bool:
        """Return whether the access is permitted at this moment."""
        names = NAMES.get(asked.purpose, {asked.purpose})
        for _, permit, purposes in reversed(self.laws):
            if purposes & names:
                return permit
        out = self._opted_out(asked)
        denied = [
            said for said in self._speaking(asked, names, now_ms) if self._denies(said, asked)
        ]
        if asked.glass and self.default not in (None, "deny"):
            held = (out - self.glass) or (denied and "rule" not in self.glass)
            if not held:
                return True
        if out or denied:
            return False
        if any(self._permits(said, asked) for said in self._speaking(asked, names, now_ms)):
            return True
        if self.default == "all-normal":
            return True
        return self.default == "basic-normal" and asked.purpose in ("ETREAT", "TREAT")

    def _opted_out(self, asked: Asked) -> set[str]:
        stops = {"whole"}
        if asked.purpose in PRIMARY:
            stops.add("primary")
        if asked.purpose in SECONDARY:
            stops.add("secondary")
        return {scope for scope in stops if (asked.subject, scope) in self.outs}

    def _speaking(self, asked: Asked, names: set[str], now_ms: int) -> list[Said]:
        """Return what bears on who asks, for what, now."""
        return [
            said
            for said in self.consents.values()
            if said.subject == asked.subject
            and said.from_ms <= now_ms < said.until_ms
            and (not said.orgs or asked.requester in said.orgs)
            and (not said.purposes or said.purposes & names)
        ]

    @staticmethod
    def _denies(said: Said, asked: Asked) -> bool:
        """A denial of some classes does not deny a request for all: it takes them out."""
        if said.permit:
            return False
        return not said.classes or asked.data_class in said.classes

    @staticmethod
    def _permits(said: Said, asked: Asked) -> bool:
        if not said.permit:
            return False
        return not said.classes or asked.data_class is None or asked.data_class in said.classes

    # --- accesses ----------------------------------------------------------------------------

    def log(self, subject: bytes) -> None:
        self.events[subject] = self.events.get(subject, 0) + 1

    def releasable(self, rid: bytes, now_ms: int) -> bool:
        """Return whether something may be handed over for this access at this moment."""
        asked = self.accesses[rid]
        if asked.licensed and not self.licence:
            return False
        return (
            asked.status == "permitted" and now_ms < asked.until_ms and self.may(asked, now_ms)
        )

    def owed(self, now_ms: int) -> dict[str, list[tuple[str, bytes, int, bool]]]:
        """Return by institution what is unanswered: kind, access, part, whether it is late."""
        found: dict[str, list[tuple[str, bytes, int, bool]]] = {}

        def owe(org: str, kind: str, rid: bytes, part: int, due_ms: int) -> None:
            found.setdefault(org, []).append((kind, rid, part, due_ms <= now_ms))

        for rid, asked in self.accesses.items():
            if asked.status == "open":
                owe(asked.custodian, "decide", rid, 0, asked.time_ms + 3 * DAY_MS)
            if asked.glass and asked.finding is None:
                owe(asked.custodian, "review", rid, 0, asked.time_ms + 7 * DAY_MS)
            for part, (acked, sent_ms) in enumerate(
                zip(asked.acked, asked.sent_ms, strict=True)
            ):
                if not acked:
                    owe(asked.requester, "acknowledge", rid, part, sent_ms + DAY_MS)
        return found

    def amended(self, cid: bytes, said: Said) -> None:
        self.consents[cid] = replace(said, subject=self.consents[cid].subject)
