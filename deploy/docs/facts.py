"""What the code knows about itself, for the manual and the tests that hold both together.

Owns: metrics, log events, commands, routes, conditions and make targets as they are, read from
the code; and the one thing that code has no place for, what a log event says to its reader.
Refuses: form; tables are made in generate.py.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import click

ROOT: Final = Path(__file__).resolve().parents[2]

# What a log event says to the person who reads it.
EVENTS: Final = {
    "audit.batch-refused": "This node's batch of local audit events was refused by the ledger "
    "with `code`; its events stay here and go into the next batch.",
    "certificate.expires": "The certificate `certificate` of the client port ends in `days` "
    "days, negative once it has. Said 90, 30, 7 and 0 days before, then once a day. Nothing "
    "stops.",
    "certificate.loaded": "New certificate files are in force for the client port.",
    "certificate.refused": "The new certificate files cannot be used for the reason in "
    "`detail`; those loaded before stay in force.",
    "clock.jump": "This machine's wall clock moved by `ms` at once; nothing in the node "
    "depends on that, except what people read.",
    "clock.skew": "The median of the members' clocks is `others_ahead_ms` ahead of ours; "
    "`wrong` when that is more than the network's parameter allows. Blocks then go by their "
    "time; set this clock.",
    "disk.enough": "There is space again: clients are served.",
    "disk.low": "Less space than `storage.min_free_bytes`: clients' writes are refused, votes "
    "and reads go on. It ends by itself.",
    "disk.reserve-kept": "The reserve file is there again.",
    "disk.reserve-released": "The disk was too full to start; the reserve was given up for it.",
    "era.begin": "A block changed the voters, their keys or the engine: from `from_height` on "
    "`voters` order blocks by `engine`, in the epoch that is named; `role` is this node's.",
    "archive.extended": "The archive holds blocks `first` to `height` more.",
    "backup.made": "A backup is in place under the name `backup`; `written_bytes` were not in "
    "the directory before.",
    "blocks.pruned": "Bodies of blocks below `lowest` left this node's disk; a verified copy "
    "holds them.",
    "evidence.found": "This node saw `member` contradict itself and will report it. "
    "`reportable` false: the proof is too long for a transaction. See [A member contradicted "
    "itself](#a-member-contradicted-itself).",
    "evidence.recorded": "A block recorded a proven contradiction of `member`; `reporter` "
    "brought it in transaction `tx`.",
    "node.drained": "What was accepted is final (but for `left` transactions, when the "
    "patience ended first), leadership is with another member.",
    "node.draining": "Clients' writes are refused; `waiting` accepted transactions are "
    "finished.",
    "keys.unnamed": "The ledger on this disk does not know this node's identity key: it may be "
    "behind a vote that named it; until then the node follows and can ask for nothing.",
    "member.asks": "This node asked the ledger for itself: `membership.ready` when it caught "
    "up and may vote, `membership.rotate` for its new voting keys.",
    "member.address": "This member said, over the connection on which it proved its key, where "
    "it can be dialled; the local configuration names no address for it.",
    "member.cut-off": "Members that a vote removed were disconnected: their cosignatures of "
    "the block `barrier` are here, or (`certified` false) were waited for long enough.",
    "member.removed": "The members' vote removed this node: it orders and follows nothing "
    "more, answers questions about what it holds, and dials the others only now and then. "
    "Were it taken back it would follow again by itself.",
    "member.standing": "What this node is among the members changed from `was` to `now`.",
    "node.fenced": "The ledger cannot say what was signed under the voting keys, so these are "
    "retired (`retired`, beside the key file) and new ones made; the node follows until the "
    "ledger takes them. `reason`: sign-state-behind, sign-mark-missing, sign-mark-behind, "
    "sign-mark-damaged, or storage-corrupt.",
    "node.starts-over": "LevelDB does not read back at `where`; the ledger was set aside in "
    "`aside` and comes anew from the other members.",
    "node.reopen": "A snapshot took the place of the ledger on disk; the node goes on with it "
    "in the same process.",
    "node.start": "Disk, keys and genesis were opened; the network comes next. `torn_bytes` "
    "counts bytes of an unfinished write that were cut off; `accel` names the accelerator, "
    "`native` or `pure`; `loop` the event loop, `uvloop` or `asyncio`; `role` what the ledger "
    "on disk says of this node: voter, observer, removed, or stranger before it knows it.",
    "node.stop": "An orderly end after SIGTERM or SIGINT.",
    "node.undrained": "Clients are served again.",
    "peer.down": "The connection to this member ended; it is dialled again by itself.",
    "peer.up": "This member proved its key and is connected.",
    "peer.version": "This member and we share no version of the wire: `versions` names both "
    "ranges. See [Versions](upgrade.md#versions-of-the-wire).",
    "scrub.damage": "Bytes on disk are not as they were written. `kind` segment: a body of "
    "block `height` at `offset` of `file`, mended from peers; tiles, pages: computed again; "
    "leveldb: see [Damage](backup.md#damage-on-the-disk).",
    "scrub.mended": "What was damaged is whole again, proven before it was written; the "
    "damaged bytes of a body lie in `damaged/`.",
    "scrub.unmended": "No connected member has the body of block `height`; the next round asks "
    "again.",
    "scrub.postponed": "The look at the state's pages wants a file of its own, and less than "
    "twice `storage.min_free_bytes` is free; the next round tries again.",
    "store.keys-unknown": "Damage in LevelDB ended the look at its keys after the start; new "
    "keys are looked for, which is slower. The scrub says where it is.",
    "upkeep.failed": "A backup or pruning by the clock failed with `code`; it is tried again.",
    "request.failed": "A request could not be served for the reason in `code`: disk, quorum, "
    "shutdown. The client has the same code and request id.",
    "request.internal": "A fault of this software while answering: the exception's type and "
    "where it was raised, never its text. Report it.",
    "why.changed": "What is wrong first, in the words of `chartseal why`: `cause` none when "
    "nothing is.",
    "request.malformed": "Bytes that are no HTTP request came from this address; any stranger "
    "can cause it.",
    "store.migrated": "The directory was brought from layout `source` to `target`; the one "
    "before is in `snapshot` until `chartseal db migrate --forget`.",
    "snapshot.fetch": "This node is empty or far behind and takes the snapshot of `height` "
    "from `peers` members; `chunks` are still missing here.",
    "snapshot.installed": "The snapshot of `height` is now this node's ledger; blocks from "
    "there on are fetched as ever.",
    "snapshot.made": "A snapshot of `height` with `bytes` on disk; `removed` older ones went.",
    "snapshot.overtaken": "Blocks came faster than the snapshot of `height`: the ledger on "
    "disk was kept.",
    "snapshot.peer-dropped": "`peer` did not give a snapshot as it should and is left alone "
    "for a while. `why`: `bad-list`, `bad-manifest`, `bad-chunk` and `stale` are lies or "
    "damage at its end; `silent`, `slow` and `withdrawn` may be honest.",
    "snapshot.skipped": "No snapshot was made, for the reason in `why`; the next one is tried "
    "as ever.",
    "snapshot.unusable": "A fetched snapshot could not be put into place (`why`): the disk is "
    "full or changed it, or it contradicts the pinned checkpoint.",
}


class Nothing(dict[str, Any]):
    """Answers every question of a collector or a handler table with nothing at all."""

    def __getattr__(self, name: str) -> "Nothing":
        return Nothing()

    def __getitem__(self, key: Any) -> "Nothing":
        return Nothing()

    def __call__(self, *_args: Any, **_kwargs: Any) -> "Nothing":
        return Nothing()

    def __truediv__(self, _other: Any) -> "Nothing":
        return Nothing()

    def __sub__(self, _other: Any) -> "Nothing":
        return Nothing()

    def __float__(self) -> float:
        return 0.0

    def __str__(self) -> str:
        return ""


@cache
def metric_families() -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Return name as scraped -> (type, help, label names) of every family of the node."""
    from node.observe import NodeCollector

    found = {}
    parts: list[Any] = [Nothing() for _ in range(7)]
    family: Any
    for family in NodeCollector(*parts).collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, family.documentation, tuple(family._labelnames))  # noqa: SLF001
    return found


@cache
def log_events() -> dict[str, list[str]]:
    """Return event name -> names of its fields, from every ``event("...")`` call in node."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "node").rglob("*.py")):
        if "ledger" in path.parts:
            continue  # pure: it logs nothing, and speaks of other events
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not _is_event(call.func) or not call.args:
                continue
            for name in _texts(call.args[0]):
                keys = {item.arg for item in call.keywords if item.arg not in (None, "level")}
                found.setdefault(name, set()).update(keys)
    return {name: sorted(keys) for name, keys in sorted(found.items())}


def _is_event(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr == "event" and getattr(function.value, "id", "") == "log"
    return isinstance(function, ast.Name) and function.id == "event"


def _texts(argument: ast.expr) -> list[str]:
    """Return the texts that an argument may be: a literal, or either side of a choice."""
    if isinstance(argument, ast.IfExp):
        return _texts(argument.body) + _texts(argument.orelse)
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [argument.value]
    raise SystemExit(f"line {argument.lineno}: event names are literals")


def commands(
    command: click.Command | None = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command of the command line with its words, groups before their members."""
    if command is None:
        from node.cli.main import cli

        command = cli
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{name} is listed"
            if not inner.hidden:
                yield from commands(inner, (*path, name))


@cache
def error_codes() -> list[Any]:
    """Return every registered condition, after importing each module that registers some."""
    from node import errors

    for path in sorted((ROOT / "node").rglob("*.py")):
        if re.search(r"^register\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return list(errors.all_codes())


@cache
def routes() -> list[Any]:
    """Return the routes of the client port as ``node.http.answers.Route``."""
    from node.http.answers import Api
    from node.http.api import api_routes
    from node.http.limits import HttpLimits

    return list(api_routes(Api(Nothing(), HttpLimits())))  # type: ignore[arg-type]


@cache
def ops_routes() -> list[tuple[str, str]]:
    """Return method and path of every route of the operators' port."""
    from node.http.api import build_ops

    app = build_ops(Nothing(), metrics=bytes)  # type: ignore[arg-type]
    return [
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    ]


@cache
def make_targets() -> dict[str, str]:
    """Return target -> meaning, from the Makefile's own help texts."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rows = re.findall(r"^([a-z-]+):(?:[^=\n]*?)(?:##\s*(.*))?$", text, re.MULTILINE)
    return {name: say or f"the part `{name}` of `make check`" for name, say in rows}
