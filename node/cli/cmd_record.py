"""`chartseal record`: anchor, verify, amend, retract, look up.

Content is read here and stays here: what leaves the machine are commitments.  Openings (the
secret that proves a record later) are durable on this disk before anything is posted.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click
import nacl.utils

from consensus import wire
from node import record_files, records
from node.cli import verdict as verdicts
from node.cli.anchoring import (
    Chunk,
    Outbox,
    chunks_in,
    make_directory,
    progress,
    take_up,
)
from node.cli.batch_proof import batch_proof
from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import (
    SECRET_FILE,
    Hex,
    Remote,
    curl_option,
    lang_option,
    linearizable_option,
    pick,
    refused,
    rows_of,
    utc,
    wait_option,
)
from node.cli.trusting import lineage_option, policy_option, read_trust
from node.errors import ChartsealError, Exit
from node.ledger.families.record import REASONS, Amend, Retract
from node.record_files import OPENING_SUFFIX, Source
from node.records import Kept

COMMITMENT: Final = Hex(32)
_ANCHORS_MAX: Final = 400  # in one transaction; an anchor takes about 90 of its 65,535 bytes
_PATH: Final = click.Path(path_type=Path)


@click.group(cls=Group)
def record() -> None:
    """Anchor records, check copies of them, amend and retract them."""


# --- anchor -------------------------------------------------------------------------------


@record.command()
@click.argument(
    "target", metavar="FILE|DIR|-", type=click.Path(path_type=Path, allow_dash=True)
)
@click.option("--media-type", help="Default: by the file's ending; FHIR by its resourceType.")
@click.option("--each", is_flag=True, help="One transaction per record.")
@click.option(
    "--batch-size", type=click.IntRange(1, 2000), default=256, show_default=True,
    help="Records per transaction, for directories and streams.",
)  # fmt: skip
@click.option("--split-bundle", is_flag=True, help="Anchor each entry of a FHIR Bundle.")
@click.option(
    "--subject-secret-file", type=SECRET_FILE, help="The patient's secret, 64 hex digits."
)
@click.option("--subject-counter-file", type=SECRET_FILE, help="Default: beside the secret.")
@click.option("--out", type=_PATH, help="Directory for openings and receipts.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Until committed.")
@wait_option
@click.option("--receipts", is_flag=True, help="Fetch a receipt for every record.")
@click.option("--resume", is_flag=True, help="Finish an earlier run; repeat nothing.")
@curl_option
@click.pass_obj
def anchor(session: Session, /, target: Path, curl: bool, **options: Any) -> None:
    """Anchor records: a FILE, every file below a DIR, or NDJSON lines from stdin (-).

    Openings are written before anything is sent: beside a single FILE as FILE.opening.json,
    else into --out (default DIR.openings).  Keep them: who loses one cannot prove its record.

    Exit code 0: all are done.  11: some failed, see the rows.  6: the node is gone.  7: no
    outcome in time; run it again with --resume.  4: refused, or openings are there already.
    """
    remote = Remote(session, curl=curl)
    if options["receipts"] and not options["wait"]:
        raise click.UsageError("--receipts needs --wait")
    stream = str(target) == "-"
    single = not stream and not target.is_dir() and not options["split_bundle"]
    if single:
        _anchor_one(session, remote, target, options)
        return
    out = options["out"]
    if out is None:
        if stream:
            raise click.UsageError("--out DIR is needed for records from stdin")
        out = target.with_name(target.name + ".openings")
    make_directory(out)
    if stream:
        given: Iterable[Source] = record_files.lines(iter(sys.stdin.buffer))
        total = None
    else:
        given = list(record_files.sources(target, split_bundles=options["split_bundle"]))
        total = len(given)
    _anchor_many(session, remote, given, total, out, options)


def _outbox(remote: Remote, out: Path, options: dict[str, Any]) -> Outbox:
    return Outbox(
        remote,
        wait=options["wait"],
        timeout_s=options["wait_timeout"],
        receipts=out if options["receipts"] else None,
    )


def _anchor_one(session: Session, remote: Remote, path: Path, options: dict[str, Any]) -> None:
    out = path.parent if options["out"] is None else options["out"]
    make_directory(out)
    place = out / (path.name + OPENING_SUFFIX)
    outbox = _outbox(remote, out, options)
    source = Source(path.name, partial(record_files.read_bytes, path))
    if options["resume"] and place.exists():
        kept = records.read_openings(place)
        if kept[0].opening.d0 != sha256(source.read()).digest():
            raise ChartsealError("exists-already", f"{place} opens another content")
        if kept[0].tag is None:
            raise ChartsealError("opening-invalid", f"{place} has no tag to anchor under")
        take_up(outbox, remote, Chunk(kept, records.operations_of(kept), place))
    else:
        kept = [records.commit_to(source, forced=options["media_type"])]
        if place.exists():
            records.write_openings(place, kept)  # says that something is there
        kept, ops = records.as_anchors(kept, _tags(1, options))
        outbox.send(Chunk(kept, ops, place))
    outbox.finish(session, single=True)


def _tags(count: int, options: dict[str, Any]) -> list[bytes]:
    secret, counter = options["subject_secret_file"], options["subject_counter_file"]
    if secret is None:
        return records.random_tags(count)
    if counter is None:
        counter = secret.with_name(secret.name + ".counter")
    return records.spend_tags(secret, counter, count)


def _anchor_many(
    session: Session,
    remote: Remote,
    given: Iterable[Source],
    total: int | None,
    out: Path,
    options: dict[str, Any],
) -> None:
    earlier = chunks_in(out)
    if earlier and not options["resume"]:
        raise ChartsealError(
            "exists-already",
            f"{out} keeps openings of an earlier run",
            hint="pass --resume to finish that run, or --out to keep new ones elsewhere",
        )
    outbox = _outbox(remote, out, options)
    for chunk in earlier:
        take_up(outbox, remote, chunk)
    known = {(item.name, item.opening.d0) for chunk in earlier for item in chunk.kept}
    tagged = options["each"] or options["subject_secret_file"] is not None
    size = 1 if options["each"] else options["batch_size"]
    size = min(size, _ANCHORS_MAX) if tagged else size
    waiting: list[Kept] = []
    with progress(session, total) as bar:
        for item in _committed(given, known, outbox, options["media_type"]):
            if bar is not None:
                bar.update(1)
            if item is not None:
                waiting.append(item)
            if len(waiting) == size:
                outbox.send(_chunk(waiting, out, options, tagged=tagged))
                waiting = []
        if waiting:
            outbox.send(_chunk(waiting, out, options, tagged=tagged))
        outbox.settle()
    outbox.finish(session, single=False)


def _committed(
    given: Iterable[Source],
    known: set[tuple[str, bytes]],
    outbox: Outbox,
    forced: str | None,
) -> Iterator[Kept | None]:
    """Yield each record's new opening; None for one that is kept already or unreadable."""
    for source in given:
        try:
            raw = source.read()
            if (source.name, sha256(raw).digest()) in known:
                yield None
                continue
            here = replace(source, read=partial(bytes, raw))
            kept = records.commit_to(here, forced=forced)
        except ChartsealError as error:
            outbox.unread(source.name, error)
            yield None
            continue
        yield kept


def _chunk(waiting: list[Kept], out: Path, options: dict[str, Any], *, tagged: bool) -> Chunk:
    if tagged:
        kept, ops = records.as_anchors(waiting, _tags(len(waiting), options))
    else:
        kept, ops = records.as_batch(waiting)
    name = kept[0].batch_root or kept[0].commitment
    return Chunk(kept, ops, out / (name.hex() + record_files.OPENINGS_SUFFIX))


# --- verify -------------------------------------------------------------------------------


@record.command()
@click.argument("file", type=SECRET_FILE)
@click.option("--opening", type=SECRET_FILE, help="Default: FILE.opening.json.")
@click.option("--receipt", type=SECRET_FILE, help="Check offline; needs --policy.")
@policy_option(required=False)
@lineage_option
@lang_option
@linearizable_option
@curl_option
@click.pass_obj
def verify(
    session: Session,
    file: Path,
    opening: Path | None,
    receipt: Path | None,
    policy_path: Path | None,
    lineage_path: Path | None,
    lang: str,
    linearizable: bool,
    curl: bool,
) -> None:
    """Say whether FILE is the record that was anchored.

    With --receipt and --policy no node and no network are needed; otherwise the node is asked,
    by commitment only.  Exit code 0: exact or same meaning.  8: altered, erased or unknown.
    """
    if (receipt is None) != (policy_path is None):
        raise click.UsageError("--receipt and --policy belong together")
    if lineage_path is not None and policy_path is None:
        raise click.UsageError("--lineage belongs to --receipt and --policy")
    if receipt is not None and linearizable:
        raise click.UsageError("--linearizable asks the node, --receipt asks nobody")
    place = file.with_name(file.name + OPENING_SUFFIX) if opening is None else opening
    raw = record_files.read_bytes(file)
    kept = verdicts.best(raw, records.read_openings(place))
    if receipt is not None and policy_path is not None:
        given = verdicts.read_receipt(receipt)
        proven = verdicts.prove(given, read_trust(policy_path, lineage_path))
        found = verdicts.from_receipt(given, proven, kept.commitment)
    else:
        remote = Remote(session, curl=curl, linearizable=linearizable)
        found = verdicts.from_node(remote, kept.commitment)
    verdict = verdicts.verdict_of(raw, kept, found)
    session.show(verdicts.row_of(verdict, kept, found, lang))
    if verdict not in verdicts.GOOD:
        raise click.exceptions.Exit(Exit.VERIFICATION_FAILED)


# --- amend and retract --------------------------------------------------------------------


@record.command()
@click.argument("commitment", type=COMMITMENT)
@click.argument("file", type=SECRET_FILE)
@click.option(
    "--reason",
    type=click.Choice(REASONS),
    default="amended",
    show_default=True,
    help="Why, as the ledger keeps it.",
)
@click.option("--media-type", help="Default: by the file's ending.")
@click.option(
    "--subject-secret-file", type=SECRET_FILE, help="The patient's secret, 64 hex digits."
)
@click.option("--subject-counter-file", type=SECRET_FILE, help="Default: beside the secret.")
@click.option("--out", type=_PATH, help="Directory for the opening and the receipt.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Until committed.")
@wait_option
@click.option("--receipts", is_flag=True, help="Fetch the receipt.")
@curl_option
@click.pass_obj
def amend(
    session: Session, /, commitment: str, file: Path, reason: str, curl: bool, **options: Any
) -> None:
    """Anchor FILE as the new version of the record COMMITMENT.

    The opening of the new version is written first, as by `record anchor`.
    """
    if options["receipts"] and not options["wait"]:
        raise click.UsageError("--receipts needs --wait")
    previous = bytes.fromhex(commitment)
    source = Source(file.name, partial(record_files.read_bytes, file))
    kept = [records.commit_to(source, forced=options["media_type"])]
    proof = batch_proof(Remote(session), previous)
    (tagged,), _anchors = records.as_anchors(kept, _tags(1, options))
    body = Amend(previous, records.anchor_of(tagged), reason, proof)
    ops = [{"kind": "record.amend", "body": wire.to_plain(body)}]
    out = file.parent if options["out"] is None else options["out"]
    make_directory(out)
    outbox = _outbox(Remote(session, curl=curl), out, options)
    outbox.send(Chunk([tagged], ops, out / (file.name + OPENING_SUFFIX)))
    outbox.finish(session, single=True)


@record.command()
@click.argument("commitment", type=COMMITMENT)
@click.option("--yes", is_flag=True, help="Do not ask.")
@wait_option
@curl_option
@click.pass_obj
def retract(
    session: Session, commitment: str, yes: bool, wait_timeout: float, curl: bool
) -> None:
    """Mark the record COMMITMENT as entered in error; final, history stays."""
    proof = batch_proof(Remote(session), bytes.fromhex(commitment))
    body = wire.to_plain(Retract(bytes.fromhex(commitment), proof))
    ops = [{"kind": "record.retract", "body": body}]
    remote = Remote(session, curl=curl)
    if not curl and not yes:
        if not sys.stdin.isatty():
            raise ChartsealError("confirmation-needed", f"retracting {commitment} is final")
        click.confirm(f"Retract {commitment} for good?", abort=True, err=True)
    key = nacl.utils.random(16).hex()
    status = remote.follow(remote.operate(ops, key=key)["tx_id"], timeout_s=wait_timeout)
    error = refused(status)
    if error is not None:
        raise error
    session.show({"commitment": commitment, **status})


# --- look up ------------------------------------------------------------------------------

_RECORD: Final = ("commitment", "status", "version", "successor", "previous", "occurrences")
_OCCURRENCE: Final = ("kind", "org", "height", "time", "tx_id", "leaf_index", "code")


@record.command()
@click.argument("commitment", type=COMMITMENT, required=False)
@click.option("--tag", type=Hex(16), help="The records under a one-time subject tag instead.")
@linearizable_option
@curl_option
@click.pass_obj
def get(
    session: Session, commitment: str | None, tag: str | None, linearizable: bool, curl: bool
) -> None:
    """Show what the ledger says of COMMITMENT, or the commitments under --tag."""
    if (commitment is None) == (tag is None):
        raise click.UsageError("give either COMMITMENT or --tag")
    remote = Remote(session, curl=curl, linearizable=linearizable)
    if tag is not None:
        found = rows_of(remote.get("/v1/records", tag=tag), "commitments")
        session.show_list([{"commitment": item} for item in found], ["commitment"])
        return
    row = pick(remote.get(f"/v1/records/{commitment}"), _RECORD)
    occurrences = [_occurrence(item) for item in rows_of(row, "occurrences")]
    if session.json:
        session.show({**row, "occurrences": occurrences})
        return
    session.show({name: row[name] for name in _RECORD[:-1]})
    click.echo()
    session.show_list(occurrences, _OCCURRENCE)


def _occurrence(item: Any) -> dict[str, Any]:
    names = tuple(name for name in _OCCURRENCE if name != "time")
    row = pick(item, (*names, "time_ms"))
    row["time"] = utc(row["time_ms"])
    return {name: row[name] for name in _OCCURRENCE}
