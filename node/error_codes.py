"""The table of conditions: code, title, HTTP status, exit code, what to do next.

Owns: every code that this product ships with, as data; node/errors.py reads it.  A code is a
promise to integrators: it may be added, never renamed, never given another meaning.
Refuses: logic.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_CODE_PATTERN: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


def is_code(text: str) -> bool:
    """Return whether ``text`` has the form of a code."""
    return _CODE_PATTERN.fullmatch(text) is not None


class Exit(IntEnum):
    """Exit codes of the commands and of the daemon; scripts and service units rely on them."""

    OK = 0
    UNEXPECTED = 1  # a fault of ours
    USAGE = 2  # click's own
    NOT_FOUND = 3
    CONFLICT = 4  # also: a precondition does not hold
    DENIED = 5  # unauthenticated, forbidden, consent denied
    UNREACHABLE = 6  # no answer from the node
    OUTCOME_UNKNOWN = 7  # timed out; the transaction may still be committed
    VERIFICATION_FAILED = 8
    UNHEALTHY = 9
    NEEDS_YES = 10  # aborted, or confirmation missing without a terminal
    PARTIAL = 11  # some items of a bulk operation failed
    NO_QUORUM = 12  # read-only
    BAD_CONFIG = 78
    KEYSTORE = 79
    DATA_DIR_LOCKED = 80
    SIGN_GUARD = 81
    INCOMPATIBLE_DATA = 82
    DISK_FULL = 83  # starting again helps as soon as there is space


# systemd's RestartPreventExitStatus: starting again cannot help, a person has to look.
EXIT_DO_NOT_RESTART: Final = (
    Exit.BAD_CONFIG,
    Exit.KEYSTORE,
    Exit.DATA_DIR_LOCKED,
    Exit.SIGN_GUARD,
    Exit.INCOMPATIBLE_DATA,
)


@dataclass(frozen=True, slots=True)
class Code:
    """One condition.  ``status`` is the HTTP status, ``hint`` says what to do next."""

    code: str
    title: str
    status: int
    exit: Exit
    retryable: bool  # the same request may succeed later without being changed
    hint: str

    def __post_init__(self) -> None:
        if not is_code(self.code):
            raise ValueError(f"{self.code!r} is not a kebab-case code")
        if not 400 <= self.status <= 599:
            raise ValueError(f"{self.code}: HTTP status {self.status} is not an error")
        if not self.title or not self.hint:
            raise ValueError(f"{self.code}: title and hint are for people, not optional")


_ONCE: Final = False  # repeating the same request cannot succeed
_AGAIN: Final = True

# A table, kept as rows.
# fmt: off
CODES: Final = (
    # --- transactions: why one is not taken, or is recorded as failed -------------------------
    Code("transaction-malformed", "the bytes are not a transaction", 400, Exit.CONFLICT, _ONCE,
         "build it with the client library or `chartseal tx`; compare with the format page"),
    Code("wrong-network", "the transaction belongs to another network", 400, Exit.CONFLICT,
         _ONCE,
         "sign it for the network digest that `chartseal status` shows"),
    Code("transaction-expired", "the transaction's last height has passed", 409, Exit.CONFLICT,
         _ONCE,
         "sign it again with a later expires_height"),
    Code("expiry-too-far", "expires_height lies too far ahead", 400, Exit.CONFLICT, _ONCE,
         "choose a nearer expires_height; the genesis parameter expires_heights_max bounds it"),
    Code("unknown-signer", "a signing key is not known to the ledger", 403, Exit.DENIED, _ONCE,
         "use the identity key that the ledger has for this institution"),
    Code("bad-signature", "a signature does not verify", 403, Exit.DENIED, _ONCE,
         "sign the exact bytes, for this network, with every listed key"),
    Code("already-committed", "the transaction is on the ledger already", 409, Exit.CONFLICT,
         _ONCE,
         "nothing to do: ask for its receipt"),
    Code("op-unknown", "an operation of this kind does not exist", 400, Exit.CONFLICT, _ONCE,
         "check the kind's spelling and the version of this network"),
    Code("op-malformed", "an operation's fields are not what its kind promises", 400,
         Exit.CONFLICT, _ONCE,
         "compare the body with the description of that kind"),
    Code("op-refused", "a rule of the ledger refuses the operation", 409, Exit.CONFLICT, _ONCE,
         "read the detail; the rule looks at the state at the height of execution"),
    Code("role-missing", "the institution does not have the role for this", 403, Exit.DENIED,
         _ONCE,
         "ask an institution with that role to sign, or propose the role"),
    Code("record-exists", "the record is anchored already", 409, Exit.CONFLICT, _ONCE,
         "amend the record instead, or ask for the receipt of the first anchor"),
    Code("record-unknown", "no such record is anchored", 404, Exit.NOT_FOUND, _ONCE,
         "check the commitment; anchor the record first"),
    Code("record-not-custodian", "only the custodian may change this record", 403, Exit.DENIED,
         _ONCE,
         "let the custodian sign, or transfer custody first"),
    Code("record-superseded", "a newer version of the record is anchored", 409, Exit.CONFLICT,
         _ONCE,
         "start from the newest version"),
    Code("record-retracted", "the record was retracted", 409, Exit.CONFLICT, _ONCE,
         "anchor a new record; a retraction is final"),
    Code("record-erased", "the record was erased", 410, Exit.CONFLICT, _ONCE,
         "nothing can bring it back; ask the custodian"),
    Code("body-refused", "a proposed block breaks a rule", 409, Exit.CONFLICT, _ONCE,
         "nothing to do: the members agree on another block; the log tells the rule"),
    Code("block-malformed", "the bytes are not a block", 400, Exit.CONFLICT, _ONCE,
         "read it again from another member"),
    Code("genesis-invalid", "the founding document is malformed or contradicts itself", 400,
         Exit.BAD_CONFIG, _ONCE,
         "get the genesis file again from a member and compare its digest"),
    # --- asking a node ------------------------------------------------------------------------
    Code("bad-request", "the request cannot be understood", 400, Exit.USAGE, _ONCE,
         "correct the request; /v1/openapi.json describes it"),
    Code("unknown-parameter", "the request has a parameter that does not exist", 400,
         Exit.USAGE, _ONCE,
         "remove or correct it; nothing is ignored in silence"),
    Code("cursor-invalid", "the cursor is not one of ours, or belongs to another query", 400,
         Exit.USAGE, _ONCE,
         "start again without a cursor"),
    Code("line-too-long", "a line of the stream is longer than the limit", 413, Exit.USAGE,
         _ONCE,
         "split the content; see limits.api_line_bytes_max"),
    Code("body-too-large", "the request body is larger than the limit", 413, Exit.USAGE, _ONCE,
         "send less at once or use the streaming endpoint; see limits.api_body_bytes_max"),
    Code("media-type-unsupported", "the content type is not one we read", 415, Exit.USAGE,
         _ONCE,
         "send one of the types that the answer lists"),
    Code("method-not-allowed", "the resource does not have this method", 405, Exit.USAGE, _ONCE,
         "see the Allow header of the answer"),
    Code("not-acceptable", "no form of the answer is one that the request accepts", 406,
         Exit.USAGE, _ONCE,
         "accept application/json"),
    Code("unauthorized", "the request does not say who asks", 401, Exit.DENIED, _ONCE,
         "pass a token with --token-file, or a client certificate"),
    Code("forbidden", "the caller may not do this", 403, Exit.DENIED, _ONCE,
         "use a token that has the scope named in the detail"),
    Code("not-found", "there is no such thing here", 404, Exit.NOT_FOUND, _ONCE,
         "check the identifier; a node that catches up may not have it yet"),
    Code("conflict", "the present state does not allow this", 409, Exit.CONFLICT, _ONCE,
         "look at the present state and decide again"),
    Code("receipt-pending", "the receipt is not certified yet", 404, Exit.NOT_FOUND, _AGAIN,
         "ask again in a moment; a quorum of members has to cosign the checkpoint"),
    Code("answer-pending", "the answer cannot be proven yet", 404, Exit.NOT_FOUND, _AGAIN,
         "ask again in a moment, or without proof; a quorum has to cosign the checkpoint"),
    Code("answer-too-large", "the answer rests on more state than one proof may carry", 413,
         Exit.USAGE, _ONCE,
         "ask in smaller pages, or without proof"),
    Code("answer-not-provable", "the question reads an index that no proof covers", 400,
         Exit.USAGE, _ONCE,
         "ask without proof and without a height"),
    Code("accounting-incomplete", "the rows are not the whole access log", 422,
         Exit.VERIFICATION_FAILED, _ONCE,
         "ask another member for the log; keep what this one handed out as evidence"),
    Code("accounting-row-kept-back", "a row that the answer needs was not handed out", 422,
         Exit.VERIFICATION_FAILED, _ONCE,
         "ask another member for the log; keep what this one handed out as evidence"),
    Code("question-unknown", "there is no question of that name", 404, Exit.NOT_FOUND, _ONCE,
         "check its spelling and the version of this node"),
    Code("height-unavailable", "this node does not have that height", 404, Exit.NOT_FOUND,
         _AGAIN,
         "wait for the node to catch up, or ask a member that keeps the archive"),
    Code("snapshot-unready", "no snapshot can be made now", 409, Exit.CONFLICT, _AGAIN,
         "wait until the newest block is certified: members must be connected"),
    Code("snapshot-invalid", "the snapshot is damaged or does not prove itself", 422,
         Exit.VERIFICATION_FAILED, _ONCE,
         "fetch it again, or take another; keep this one as evidence if a member gave it"),
    Code("rate-limited", "too many requests from this caller", 429, Exit.NO_QUORUM, _AGAIN,
         "wait as Retry-After says; batch the requests"),
    Code("mempool-full", "the node holds as many waiting transactions as it may", 503,
         Exit.NO_QUORUM, _AGAIN,
         "send again later, or to another member"),
    Code("overloaded", "the node sheds load", 503, Exit.NO_QUORUM, _AGAIN,
         "send again later, or to another member"),
    Code("not-ready", "the node does not serve this yet", 503, Exit.UNHEALTHY, _AGAIN,
         "see /readyz on the ops port for what it waits for"),
    Code("no-quorum", "the members cannot agree at present; reading works", 503, Exit.NO_QUORUM,
         _AGAIN,
         "start the missing members; `chartseal status` names them"),
    Code("read-unavailable", "the node cannot tell now whether its state is the newest", 503,
         Exit.NO_QUORUM, _AGAIN,
         "ask again or another member, or read without consistency=linearizable"),
    Code("disk-full", "the node refuses writes because its disk is nearly full", 507,
         Exit.NO_QUORUM, _AGAIN,
         "free space or lower storage.min_free_bytes"),
    Code("draining", "the node takes no new work before it stops or is worked on", 503,
         Exit.UNREACHABLE, _AGAIN,
         "send it to another member; `chartseal undrain` ends it"),
    Code("disk-exhausted", "there is no space to start with", 507, Exit.DISK_FULL, _AGAIN,
         "free space; the node starts again by itself then"),
    Code("storage-full", "the disk is full: a write failed for lack of space", 507,
         Exit.DISK_FULL, _AGAIN,
         "free space; nothing that was promised is lost, and the node starts again by itself"),
    Code("certificate-refused", "the certificate files cannot be used", 422, Exit.BAD_CONFIG,
         _ONCE,
         "correct the files in the detail; the certificates loaded before stay in force"),
    Code("shutting-down", "the node is stopping", 503, Exit.UNREACHABLE, _AGAIN,
         "send it to another member"),
    Code("timeout-outcome-unknown", "no outcome in time; it may still be committed", 504,
         Exit.OUTCOME_UNKNOWN, _AGAIN,
         "ask for the transaction's status; sending it again is safe"),
    Code("node-unreachable", "no answer from the node", 503, Exit.UNREACHABLE, _AGAIN,
         "check --endpoint and that the node runs (`chartseal dev cluster status`)"),
    Code("tls-failed", "no trusted TLS connection to the node", 502, Exit.UNREACHABLE, _ONCE,
         "pass the authority that signed the node's certificate with --ca-file"),
    Code("answer-malformed", "the answer is not what this command understands", 502,
         Exit.UNREACHABLE, _ONCE,
         "check that --endpoint is a Chartseal node of this version"),
    # --- verification -------------------------------------------------------------------------
    Code("proof-invalid", "the file is not a proven answer", 422, Exit.VERIFICATION_FAILED,
         _ONCE,
         "get it again; a newer version of this software may know the question"),
    Code("bundle-invalid", "the file is not a support bundle as it was written", 422,
         Exit.VERIFICATION_FAILED, _ONCE,
         "fetch it again; a bundle is read whole or not at all"),
    Code("receipt-invalid", "the file is not a receipt", 422, Exit.VERIFICATION_FAILED, _ONCE,
         "get the receipt again; it is text that starts with c2sp.org/tlog-proof@v1"),
    Code("verification-failed", "the proof does not hold", 422, Exit.VERIFICATION_FAILED, _ONCE,
         "do not rely on this content; compare with the custodian's copy"),
    Code("policy-invalid", "the verification policy cannot be used", 422, Exit.BAD_CONFIG,
         _ONCE,
         "get policy.json again from a member that you trust"),
    Code("lineage-invalid", "the file is not a lineage", 422, Exit.BAD_CONFIG, _ONCE,
         "get it again with `chartseal network lineage --out FILE`, from any member"),
    # --- configuration and keys ---------------------------------------------------------------
    Code("config-missing", "the configuration file cannot be read", 500, Exit.BAD_CONFIG, _ONCE,
         "pass --config FILE, or make a node directory with `chartseal init`"),
    Code("config-invalid", "a setting has a value that cannot be used", 500, Exit.BAD_CONFIG,
         _ONCE,
         "correct the setting; `chartseal config show --all` explains each"),
    Code("config-unknown-key", "a setting does not exist", 500, Exit.BAD_CONFIG, _ONCE,
         "correct its name or remove it; `chartseal config show --all` lists all"),
    Code("config-version", "the configuration is of another version", 500, Exit.BAD_CONFIG,
         _ONCE,
         "use the software that wrote it, or set config_version = 1 after reading the notes"),
    Code("config-insecure", "the configuration would expose the node", 500, Exit.BAD_CONFIG,
         _ONCE,
         "set api.tls_cert_file and api.tls_key_file, or listen on 127.0.0.1"),
    Code("accelerator-missing", "the native accelerator was asked for and cannot be used", 500,
         Exit.BAD_CONFIG, _ONCE,
         "install the wheel chartseal-native (`make native`), or unset CHARTSEAL_ACCEL"),
    Code("keystore-missing", "the key file does not exist", 500, Exit.KEYSTORE, _ONCE,
         "check keystore.path, or make keys with `chartseal key generate`"),
    Code("keystore-exists", "there is a key file already", 409, Exit.CONFLICT, _ONCE,
         "keys are never overwritten; choose another path"),
    Code("keystore-permissions", "others may read the secret file", 500, Exit.KEYSTORE, _ONCE,
         "take the rights away with the chmod in the detail"),
    Code("keystore-malformed", "the file is not a key file, or only a part of one", 500,
         Exit.KEYSTORE, _ONCE,
         "restore the key file from your backup"),
    Code("keystore-version", "the key file is of another version", 500, Exit.KEYSTORE, _ONCE,
         "use the software that wrote it"),
    Code("keystore-passphrase-wrong", "the passphrase does not open the key file", 500,
         Exit.KEYSTORE, _ONCE,
         "check the passphrase file and that both belong to the same node"),
    Code("keystore-passphrase-missing", "there is no passphrase for the key file", 500,
         Exit.KEYSTORE, _ONCE,
         "set keystore.passphrase_file or CHARTSEAL_PASSPHRASE_FILE, or run it in a terminal"),
    Code("keystore-failure", "the key file cannot be read or written", 500, Exit.KEYSTORE,
         _ONCE,
         "see the detail; check owner, file system and space"),
    Code("keystore-mismatch", "the keys are not those the ledger has for this node", 500,
         Exit.KEYSTORE, _ONCE,
         "check node.id and keystore.path against the genesis file"),
    # --- the node and its disk ----------------------------------------------------------------
    Code("data-dir-locked", "another process uses the data directory", 500,
         Exit.DATA_DIR_LOCKED, _ONCE,
         "stop that process first; never run two nodes on one directory"),
    Code("data-dir-missing", "there is no ledger in the data directory", 500,
         Exit.INCOMPATIBLE_DATA, _ONCE,
         "check node.data_dir, or make a node with `chartseal init`"),
    Code("foreign-data-dir", "the data directory belongs to another network", 500,
         Exit.INCOMPATIBLE_DATA, _ONCE,
         "check node.data_dir and network.genesis"),
    Code("schema-mismatch", "the data directory was laid out by another version", 500,
         Exit.INCOMPATIBLE_DATA, _ONCE,
         "run the version that wrote it, or restore a backup"),
    Code("migration-refused", "the data directory cannot be brought to that version", 500,
         Exit.INCOMPATIBLE_DATA, _ONCE,
         "see the detail; `chartseal db migrate --dry-run` shows what there is"),
    Code("corrupt-data", "stored bytes are not what was written", 500, Exit.INCOMPATIBLE_DATA,
         _ONCE,
         "stop, keep the directory for inspection, restore from a backup or a member"),
    Code("storage-corrupt", "stored bytes do not read back as they were written", 500,
         Exit.INCOMPATIBLE_DATA, _ONCE,
         "stop, keep the directory for inspection, restore from a backup or a member"),
    Code("storage-failure", "the disk failed", 500, Exit.UNEXPECTED, _ONCE,
         "check disk and file system, then start again: recovery starts from what was synced"),
    Code("storage-error", "the store refused", 500, Exit.UNEXPECTED, _ONCE,
         "see the detail and the node's log"),
    Code("sign-guard-refused", "signing now could contradict an earlier signature", 500,
         Exit.SIGN_GUARD, _ONCE,
         "stop whatever else has this key; the manual's \"A broken data directory\" goes on"),
    Code("succession-ledger-behind", "the ledger lost an era that this member voted in", 500,
         Exit.SIGN_GUARD, _ONCE,
         "put back the newest data directory; if it is lost, see \"A broken data directory\""),
    Code("sign-state-behind", "the ledger on disk is older than what this key has signed", 500,
         Exit.SIGN_GUARD, _ONCE,
         "put back the newest data directory; if it is lost, see \"A broken data directory\""),
    Code("sign-mark-missing", "the mark beside the key is gone, and the ledger was signed for",
         500, Exit.SIGN_GUARD, _ONCE,
         "put the mark back; if it is lost, see \"A broken data directory\" in the manual"),
    Code("sign-mark-behind", "the mark beside the key is an old copy", 500, Exit.SIGN_GUARD,
         _ONCE,
         "put back the newest mark; if it is lost, see \"A broken data directory\""),
    Code("sign-mark-damaged", "the mark beside the key cannot be read", 500, Exit.SIGN_GUARD,
         _ONCE,
         "see \"A broken data directory\" in the manual; check the disk first"),
    Code("sign-mark-foreign", "the mark beside the key is of another key or network", 500,
         Exit.SIGN_GUARD, _ONCE,
         "put the mark of this key back; check keystore.path and network.genesis"),
    Code("key-in-use", "another process signs with this key", 500, Exit.DATA_DIR_LOCKED, _ONCE,
         "stop that process first; never run two nodes with one key"),
    Code("backup-invalid", "the backup is damaged or not one", 422, Exit.VERIFICATION_FAILED,
         _ONCE,
         "use another backup; `chartseal backup verify` names every damaged file"),
    Code("archive-invalid", "the archive is damaged or not one", 422,
         Exit.VERIFICATION_FAILED, _ONCE,
         "use another archive; `chartseal archive verify` names every damaged file"),
    Code("not-covered", "no verified archive or backup holds what would be removed", 409,
         Exit.CONFLICT, _ONCE,
         "make an archive or a backup and name it with --archive or --backup; or use --force"),
    Code("pruned", "this node does not keep blocks that old", 410, Exit.NOT_FOUND, _ONCE,
         "ask a member whose /v1/status shows a lower lowest_height, or the archive; receipts "
         "need the transaction's bytes"),
    Code("not-set-up", "a setting that this needs is not set", 409, Exit.CONFLICT, _ONCE,
         "set what the detail names and start the node again"),
    Code("data-dir-restored", "the directory came from a copy, its key must not vote again",
         500, Exit.SIGN_GUARD, _ONCE,
         "see \"A restored node\" on the page on backups; the ledger in it can be read"),
    Code("divergence", "this node's result differs from a quorum's", 500,
         Exit.INCOMPATIBLE_DATA, _ONCE,
         "keep the node stopped and its directory; compare versions with the other members"),
    Code("feature-unsupported", "the members use a rule that this software does not know", 500,
         Exit.INCOMPATIBLE_DATA, _ONCE,
         "update this node's software; it goes on from the block where it stopped"),
    Code("port-in-use", "an address that the node listens on is taken", 500, Exit.CONFLICT,
         _ONCE,
         "stop the other process or change the listen setting named in the detail"),
    Code("confirmation-needed", "this changes things for good and was not confirmed", 409,
         Exit.NEEDS_YES, _ONCE,
         "run it again with --yes"),
    Code("partial-failure", "some items failed", 500, Exit.PARTIAL, _ONCE,
         "read the answer of each item; only the failed ones need to be sent again"),
    Code("exists-already", "something else is there already", 409, Exit.CONFLICT, _ONCE,
         "choose another directory, or remove the old one with `dev cluster clean`"),
    Code("file-unreadable", "a file cannot be read or written", 400, Exit.NOT_FOUND, _ONCE,
         "check path and rights"),
    Code("process-failed", "a node process did not come up", 500, Exit.UNHEALTHY, _ONCE,
         "read its log: `chartseal dev cluster logs`"),
    Code("rehearsal-failed", "the network did not get over a fault", 500,
         Exit.VERIFICATION_FAILED, _ONCE,
         "its files show what each node did; the seed repeats it"),
    Code("internal", "an unforeseen fault of this software", 500, Exit.UNEXPECTED, _ONCE,
         "run it again with -vv and report what it prints; it holds no patient data"),
)
# fmt: on
