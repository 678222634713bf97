"""`chartseal demo`: institutions anchor records, one crashes, receipts outlive them all."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from node.cli import demo_proof
from node.cli.cluster import Cluster
from node.cli.demo_flow import Anchored, Flow, Progress
from node.cli.demo_records import from_folder, generated, one_digit_changed, reserialised
from node.cli.output import Session
from node.errors import ChartsealError
from node.ledger.commitment import Anchored as OnLedger
from node.ledger.commitment import Status, Verdict, commitment, judge, opening_to_text

CATCH_UP_S: Final = 60.0
RECEIPT_WAIT_S: Final = 15


class Story:
    """Prints the steps as they happen and keeps what was proven for the table at the end."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._last = 0.0
        self.proven: list[tuple[str, str]] = []

    def step(self, text: str) -> None:
        self._end_line()
        if not self._quiet:
            click.echo(text, err=True)

    def prove(self, what: str, how: str) -> None:
        self.proven.append((what, how))
        self.step(f"  ok  {what}: {how}")

    def progress(self, now: Progress) -> None:
        """One line, rewritten on a terminal, once a second elsewhere."""
        moment = time.monotonic()
        if self._quiet or moment - self._last < (0.1 if self._live else 1.0):
            return
        self._last = moment
        filled = now.done * 24 // now.total
        text = (
            f"  [{'#' * filled}{'.' * (24 - filled)}] {now.done}/{now.total} records"
            f"  height {now.height}  {now.rate:.0f}/s  p50 {now.percentile(0.5):.0f} ms"
        )
        click.echo(f"\r{text}" if self._live else text, err=True, nl=not self._live)

    def _end_line(self) -> None:
        if self._live and self._last and not self._quiet:
            click.echo("\r" + " " * 100 + "\r", err=True, nl=False)
            self._last = 0.0


@click.command(short_help="Show the whole product in a minute, with real processes.")
@click.option(
    "--consensus",
    type=click.Choice(["pbft", "raft"]),
    default="pbft",
    show_default=True,
    help="Ordering engine: four PBFT nodes or three Raft nodes.",
)
@click.option(
    "--input",
    "folder",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder with FHIR resources or bundles (.json); default: synthetic ones.",
)
@click.option("--keep", is_flag=True, help="Leave the nodes running and say where they are.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    default=None,
    help="Where to put the network; default: a temporary directory.",
)
@click.pass_obj
def demo(
    session: Session, consensus: str, folder: Path | None, keep: bool, directory: Path | None
) -> None:
    """Anchor FHIR records through several institutions' nodes and prove what came of it.

    Starts real node processes on loopback, kills one with SIGKILL while records flow, lets it
    catch up, checks an exact, a rewritten and an altered copy, stops every node and verifies a
    receipt offline.  Any failure ends it with a non-zero exit code.
    """
    base = Path(tempfile.mkdtemp(prefix="chartseal-demo-")) if directory is None else directory
    story = Story(quiet=session.quiet)
    nodes = 4 if consensus == "pbft" else 3
    cluster = Cluster.create(base / "net", members=nodes, engine=consensus)
    finished = False
    try:
        with cluster:
            _run(story, cluster, folder, base)
            finished = True
        if keep:
            Cluster(cluster.directory).up()  # without its context: these stay
    finally:
        if not keep and directory is None and finished:
            shutil.rmtree(base, ignore_errors=True)
        elif not finished:
            story.step(f"what the nodes wrote is kept in {base}")
    _end(session, story, cluster, keep=keep, base=base)


def _run(story: Story, cluster: Cluster, folder: Path | None, base: Path) -> None:
    began = time.monotonic()
    story.step(
        f"1. {len(cluster.members)} institutions, each with its own keys and disk "
        f"({cluster.engine})"
    )
    cluster.up()
    story.prove("nodes up", f"{len(cluster.members)} in {time.monotonic() - began:.1f} s")
    records = generated() if folder is None else from_folder(folder)
    source = "made by carebundle" if folder is None else f"from {folder}"
    story.step(f"2. {len(records)} FHIR resources {source}, through every node in turn")
    flow = Flow(cluster, records)
    _load(story, cluster, flow)
    now = flow.progress
    story.prove(
        "records anchored",
        f"{now.done} committed by height {now.height}, {now.rate:.0f}/s, latency p50 "
        f"{now.percentile(0.5):.0f} ms, p99 {now.percentile(0.99):.0f} ms",
    )
    _same_everywhere(story, cluster)
    sample = flow.anchored[0]
    story.step("4. What a holder of a copy can tell")
    _verdicts(story, cluster, sample)
    story.step("5. Every node stopped; only files remain")
    _offline(story, cluster, sample, base)


def _load(story: Story, cluster: Cluster, flow: Flow) -> None:
    """Let the records flow; kill the last node at a third, bring it back at two thirds."""
    total, victim = flow.progress.total, len(cluster.members) - 1
    name = cluster.members[victim].id
    flow.start()
    flow.wait_until(total // 3, story.progress)
    cluster.kill(victim)
    flow.up.discard(victim)
    story.step(f"3. {name} killed with SIGKILL while records flow; the others go on")
    flow.wait_until(2 * total // 3, story.progress)
    at = flow.progress.height
    cluster.start(victim)
    cluster.wait_ready(victim)
    began = time.monotonic()
    _until(lambda: _height(cluster, victim) >= at, f"{name} did not catch up")
    flow.up.add(victim)
    story.prove(
        f"{name} came back",
        f"caught up to height {at} by itself in {time.monotonic() - began:.1f} s",
    )
    flow.wait_until(total, story.progress)


def _height(cluster: Cluster, node: int) -> int:
    return int(cluster.client(node).get("/v1/status")["height"])


def _until(reached: Callable[[], bool], failure: str) -> None:
    deadline = time.monotonic() + CATCH_UP_S
    while not reached():
        if time.monotonic() > deadline:
            raise ChartsealError("internal", failure)
        time.sleep(0.05)


def _same_everywhere(story: Story, cluster: Cluster) -> None:
    everyone = range(len(cluster.members))
    top = max(_height(cluster, at) for at in everyone)
    for at in everyone:
        _until(lambda at=at: _height(cluster, at) >= top, f"node {at} lags")  # type: ignore[misc]
    heads = [cluster.client(at).get(f"/v1/blocks/{top}") for at in everyone]
    roots = {(head["log_root"], head["state_root"]) for head in heads}
    if len(roots) != 1:
        raise ChartsealError("divergence", f"{len(roots)} different roots at height {top}")
    story.prove("agreement", f"log root and state root equal on all at height {top}")


def _verdicts(story: Story, cluster: Cluster, sample: Anchored) -> None:
    name = commitment(sample.opening)
    view = cluster.client(0).get(f"/v1/records/{name.hex()}")
    anchored = OnLedger(name, Status(view["status"]))
    raw = sample.record.raw
    for copy, expected, how in (
        (raw, Verdict.EXACT, "the same bytes"),
        (reserialised(raw), Verdict.SAME_MEANING, "rewritten by another system"),
        (one_digit_changed(raw), Verdict.ALTERED, "one digit changed"),
    ):
        verdict = judge(copy, sample.opening, anchored)
        if verdict is not expected:
            raise ChartsealError(
                "verification-failed", f"{how}: {verdict.value}, not {expected.value}"
            )
        story.prove(verdict.value, f"{sample.record.name}, {how}")


def _offline(story: Story, cluster: Cluster, sample: Anchored, base: Path) -> None:
    client = cluster.client(0, timeout_s=RECEIPT_WAIT_S + 5)
    answer = client.request(
        "GET",
        f"/v1/transactions/{sample.tx_id}/receipt",
        query={"wait": RECEIPT_WAIT_S},
        headers={"Accept": "text/plain"},
    )
    kept = base / "evidence"
    kept.mkdir(exist_ok=True)
    receipt, record, opening = (
        kept / "receipt.tlog-proof",
        kept / "record.json",
        kept / "opening",
    )
    receipt.write_bytes(answer.body)
    record.write_bytes(sample.record.raw)
    opening.write_text(opening_to_text(sample.opening))
    policy = kept / "policy.json"
    shutil.copy(cluster.policy_path, policy)
    cluster.down()
    if any(cluster.alive(at) for at in range(len(cluster.members))):
        raise ChartsealError("internal", "a node did not stop")
    demo_proof.by_chartseal(receipt, policy, record, opening)
    story.prove("receipt, offline", "chartseal receipt verify, no node, no network")
    accepted = demo_proof.by_tlog_scales(receipt, policy)
    story.prove("receipt, without us", f"tlog-scales accepts it with {accepted} cosigners")


def _end(session: Session, story: Story, cluster: Cluster, *, keep: bool, base: Path) -> None:
    rows: list[dict[str, Any]] = [{"proven": what, "how": how} for what, how in story.proven]
    session.show_list(rows, ["proven", "how"])
    if not keep:
        story.step("look further: make demo KEEP=1, then the addresses it prints")
        return
    for at, member in enumerate(cluster.members):
        story.step(
            f"  {member.id}  {cluster.endpoint(at)}  metrics {cluster.ops_endpoint(at)}/metrics"
        )
    story.step(f"token {cluster.token_path}   evidence {base / 'evidence'}")
    story.step(f"stop it: chartseal dev cluster down --dir {cluster.directory}")
