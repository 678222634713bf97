"""The table of causes: what each is called, how bad it is, what to do next.

Owns: every id that a diagnosis may name.  An id is a promise to scripts and to the manual,
where it is an anchor: it may be added, never renamed.  Refuses: finding out (``rules``).
Invariant: the order of the table is the order of ranking among causes of one severity.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

MANUAL: Final = "deploy/docs/why.md"


class Severity(IntEnum):
    """How bad it is; less is worse."""

    STOPPED = 0  # nothing is ordered, or this node cannot take part
    DEGRADED = 1  # it works, and less well or less safely than it should
    WARNING = 2  # it will stop working if nobody acts
    NOTE = 3  # what explains something and needs no act

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table; ``next`` is an act, or says that none is needed."""

    id: str
    severity: Severity
    title: str
    next: str


_S, _D, _W, _N = Severity.STOPPED, Severity.DEGRADED, Severity.WARNING, Severity.NOTE
# A table, kept as rows.
# fmt: off
KINDS: Final = (
    # --- a node that is down, explained from its files
    Kind("config-unusable", _S, "the node cannot start with these settings or this genesis",
         "correct what is named; `chartseal config validate` looks again"),
    Kind("port-taken", _S, "another process has a port of this node",
         "end that process (`ss -ltnp`), or change the listen setting that is named"),
    Kind("keys-foreign", _S, "the key file is not the one that the network knows for this node",
         "install the key file of this institution, or ask the members to vote the new key in"),
    Kind("keys-unusable", _S, "the key file cannot be opened",
         "see keystore.path and keystore.passphrase_file"),
    Kind("data-locked", _S, "another process has this node's data directory",
         "end the other process of this node; two of them would sign against each other"),
    Kind("sign-state-behind", _S, "the data are older than what this node has signed",
         "never delete the mark: see `A restored or cloned node` in the manual"),
    Kind("data-damaged", _S, "bytes on the disk are not those that were written",
         "`chartseal check` says which; fetch the ledger anew from the members"),
    Kind("data-unusable", _S, "the data directory cannot be used",
         "see what is named: another network's, another version's, not readable, not writable"),
    Kind("diverged", _S, "this node computed another state than a quorum of members",
         "keep the directory, make `chartseal debug zip --offline`, and report it"),
    Kind("software-fault", _S, "the node ended for a reason that nobody foresaw",
         "start it again, and report it with `chartseal debug zip --offline`"),
    Kind("process-stuck", _S, "the process takes connections and does not answer",
         "see whether it is stopped (`ps` state T) or the machine is overloaded"),
    Kind("not-running", _S, "the node does not run",
         "start it; if it was killed, look for why in the system's log (out of memory?)"),
    Kind("store-failed", _S, "the disk failed this node",
         "look at the disk and its messages, then start the node: it recovers what is there"),
    # --- a node that runs
    Kind("disk-full", _S, "no room is left on the disk",
         "free space under node.data_dir; nothing has to be restarted"),
    Kind("wrong-network", _S, "this node was started with another genesis",
         "compare `chartseal genesis show` with the others' and install their genesis file"),
    Kind("version-here", _S, "this node speaks another protocol version than the others",
         "install the version that the others run"),
    Kind("not-a-member", _S, "the ledger does not list this node as a voter",
         "if that was not meant: ask the others to vote it in again"),
    Kind("isolated", _S, "this node reaches no other member",
         "look at this machine's network, firewall and p2p settings, then at the members"),
    Kind("no-quorum", _S, "too few voters are there to order anything",
         "bring back as many of the missing members as are needed; nothing is lost meanwhile"),
    Kind("window-full", _S, "ordering waits for cosignatures",
         "bring back the members whose cosignatures are missing"),
    Kind("stuck-behind", _S, "this node is behind and gets no blocks",
         "look at the members that it asks; a restart of this node asks others"),
    Kind("no-leader", _S, "the members have agreed on no leader",
         "wait a few seconds; if it lasts, look at the links between the members"),
    Kind("no-progress", _S, "transactions wait and no block comes",
         "look at the leader that is named and at the links between the members"),
    Kind("event-loop-blocked", _D, "this process did not get to run",
         "give the machine more room, or see `chartseal debug stacks` for what holds it"),
    Kind("disk-low", _D, "free disk space is below the limit and clients' writes are refused",
         "free space under node.data_dir; the node takes writes again by itself"),
    Kind("descriptors-low", _D, "few file descriptors are left",
         "raise LimitNOFILE (65536) and restart"),
    Kind("memory-low", _D, "little memory is left",
         "give the machine or the group more memory, or lower limits.*"),
    Kind("clock-here", _D, "this machine's clock differs from the members'",
         "let it be set by NTP (`chronyc tracking`); the node goes on"),
    Kind("institution-suspended", _D, "this institution is suspended by vote",
         "its transactions are refused until the members resume it"),
    Kind("signer-unknown", _D, "the ledger does not take this node's signing key",
         "set keystore.signing_key_file to a key that the ledger lists for this institution"),
    Kind("rejoining", _D, "this node lost what it had signed and comes back under new keys",
         "nothing: it votes again once the ledger has taken its new keys"),
    Kind("epoch-behind", _D, "this node still works in an older era",
         "wait: it fetches the blocks over the change"),
    Kind("member-equivocated", _D, "a member signed two things that contradict each other",
         "talk to that member: its key may be used twice, or it lies"),
    Kind("member-lies", _D, "a member breaks the protocol",
         "talk to that member: its software is damaged, or it lies"),
    Kind("member-wrong-network", _D, "a member runs with another genesis",
         "ask that member to compare its genesis file"),
    Kind("member-version", _D, "a member speaks another protocol version",
         "bring that member, or this one, to one version"),
    Kind("member-wrong-key", _D, "a member does not hold the key that the ledger has for it",
         "ask that member which key file it started with; somebody else may use its name"),
    Kind("member-address", _D, "at a member's address is somebody else",
         "correct the address in [peers]"),
    Kind("member-name", _D, "a member's host name is unknown",
         "correct the address in [peers], or the name service"),
    Kind("member-path", _D, "a member reaches this node and is not reached from here",
         "look at its address in [peers] and at the firewall on the way there"),
    Kind("member-down", _D, "a member's process does not listen",
         "start that member's node; it catches up by itself"),
    Kind("member-unreachable", _D, "nothing answers at a member's address",
         "look at firewalls and routes to that address, then at the machine"),
    Kind("member-unresponsive", _D,
         "a member's machine takes connections and its node does not answer",
         "look at that member's machine: stopped, overloaded, or cut off in the middle"),
    Kind("member-hangs-up", _D, "a member ends our connections",
         "look at that member's own `chartseal why`"),
    Kind("member-one-way", _D, "a member receives from us and does not reach us",
         "look at that member's [peers] and at the firewall before this node's p2p.listen"),
    Kind("member-unset", _D, "no address is set for a member",
         "add it to [peers]"),
    Kind("member-mute", _D, "a member is connected and takes no part in ordering",
         "look at that member's own `chartseal why`"),
    Kind("slow-link", _D, "the way to a member is slow",
         "look at the network between the two"),
    Kind("slow-disk", _D, "writing votes to the disk takes long",
         "look for what else writes to it, or use a faster disk"),
    Kind("mempool-full", _D, "the pool has no room for more transactions",
         "let clients retry; see which cause slows ordering"),
    Kind("cosignatures-missing", _D, "tree heads are not certified: receipts wait",
         "bring back the members whose cosignatures are missing"),
    Kind("catching-up", _D, "this node fetches the blocks that it missed",
         "nothing: it comes back by itself"),
    Kind("certificate-expired", _D, "clients are shown a certificate that is over",
         "install a new one at api.tls_cert_file; members' consensus goes on"),
    Kind("tokens-unreadable", _D, "the file of access tokens cannot be read: no token counts",
         "repair the line that the log names"),
    Kind("frames-dropped", _W, "frames for members found no room and were dropped",
         "look at the slow member that is named"),
    Kind("certificate-expires", _W, "a certificate that clients see is soon over",
         "install a new one at api.tls_cert_file"),
    Kind("clock-member", _W, "a member's clock differs from ours",
         "ask that member to let its clock be set by NTP"),
    Kind("token-expired", _N, "a client shows a token that is over",
         "make it a new one: `chartseal token create`"),
    Kind("transactions-refused", _N, "clients' transactions are refused by the rules",
         "tell the client what the code means: /v1/problems/CODE"),
    Kind("leader-transfer", _N, "leadership is being handed over",
         "nothing: it is over in seconds"),
    Kind("starting", _N, "this node has just started",
         "nothing: members connect within seconds"),
    Kind("stopping", _N, "this node was told to stop",
         "nothing"),
)
# fmt: on
BY_ID: Final = {kind.id: kind for kind in KINDS}
RANK: Final = {kind.id: place for place, kind in enumerate(KINDS)}


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason, with the facts that it rests on.

    ``since_ms``: Unix time, None when nobody knows.  ``severity`` may be worse or better than
    the table's.  ``facts`` are plain values.
    """

    id: str
    severity: Severity
    say: str
    since_ms: int | None
    facts: tuple[tuple[str, Any], ...]
    member: str | None = None

    @property
    def kind(self) -> Kind:
        return BY_ID[self.id]

    @property
    def key(self) -> tuple[str, str | None]:
        """What makes it the same cause a moment later."""
        return self.id, self.member

    @property
    def docs(self) -> str:
        return f"{MANUAL}#{self.id}"
