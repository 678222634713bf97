"""The table of faults: what is done to a network of real processes, and what must be named.

Each fault is a function on a stage whose members are not running yet, with the cause that the
diagnosis must put first, the member that it must name, and whom to ask.
"""

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node import tokens
from node.cli.cluster import Cluster
from node.errors import ChartsealError
from node.ledger import checkpoint as checkpoints
from node.ledger.checkpoint import Checkpoint
from node.net.frame import FrameType
from node.publish import Share, encode_shares
from tests.support.histories import Wires
from tests.support.hostile import Hostile, keys_of
from tests.support.votes import hands_over
from tests.why.stage import Slow, Stage

LAST: Final = 3  # the member that faults befall, if not told otherwise
OTHERS: Final = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Fault:
    """``ask``: the member that is asked; ``names``: which member it must name, by place."""

    id: str
    say: str
    expect: str
    play: Callable[[Stage], None]
    ask: int = 0
    names: int | None = None
    engine: str = "pbft"
    root: bool = False  # mounts something, so only the super-user can play it
    quick: bool = False  # among those that every test run plays


FAULTS: Final[list[Fault]] = []


def fault(
    say: str,
    expect: str,
    *,
    ask: int = 0,
    names: int | None = None,
    engine: str = "pbft",
    root: bool = False,
    quick: bool = False,
) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Put the function below into the table."""

    def put(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
        name = play.__name__.replace("_", "-")
        FAULTS.append(Fault(name, say, expect, play, ask, names, engine, root, quick))
        return play

    return put


# --- members ---------------------------------------------------------------------------------


@fault("a member is killed", "member-down", names=LAST, quick=True)
def killed(stage: Stage) -> None:
    stage.up()
    stage.cluster.kill(LAST)


@fault("two of four are killed", "no-quorum", quick=True)
def two_killed(stage: Stage) -> None:
    stage.up()
    stage.cluster.kill(LAST)
    stage.cluster.kill(2)


@fault("a member's process is stopped (SIGSTOP)", "member-unresponsive", names=LAST)
def paused(stage: Stage) -> None:
    stage.up()
    stage.pause(LAST)


@fault("a member is cut off; asked elsewhere", "member-unresponsive", names=LAST)
def cut_off(stage: Stage) -> None:
    wires = stage.stack.enter_context(Wires(stage.cluster))
    stage.up()
    wires.isolate(LAST)


@fault("a member is cut off; asked there", "isolated", ask=LAST)
def cut_off_itself(stage: Stage) -> None:
    cut_off(stage)


@fault("a link is slow: 600 ms each way", "slow-link", names=LAST)
def slow_link(stage: Stage) -> None:
    slow = Slow(stage.cluster.members[LAST].p2p_port, 0.6)
    stage.dial(0, LAST, stage.stack.enter_context(slow))
    stage.up()


@fault("a member was started with another genesis; asked there", "wrong-network", ask=LAST)
def wrong_genesis(stage: Stage) -> None:
    from dataclasses import replace

    from tests.support.hostile import genesis_of

    other = replace(genesis_of(stage.cluster), name="other")
    (stage.directory / "other.bin").write_bytes(other.encode())
    stage.set(LAST, "network", f'genesis = "{stage.directory / "other.bin"}"')
    stage.up(*OTHERS)
    stage.start(LAST)


@fault(
    "a member was started with another genesis; asked elsewhere",
    "member-wrong-network",
    names=LAST,
)
def wrong_genesis_elsewhere(stage: Stage) -> None:
    wrong_genesis(stage)


@fault("a node was given another member's key file", "keys-foreign", ask=LAST, quick=True)
def wrong_keys(stage: Stage) -> None:
    for name in ("node.key", "passphrase"):
        shutil.copy2(stage.cluster.node_dir(2) / name, stage.cluster.node_dir(LAST) / name)
    stage.runs_into(LAST)


@fault("somebody without its key takes a member's name", "member-wrong-key", names=LAST)
def stolen_name(stage: Stage) -> None:
    stage.up(*OTHERS)
    _hostile(stage, Hostile(stage.cluster, LAST, signer=lambda _message: os.urandom(64)))


@fault("a member's address is another member's", "member-address", names=LAST)
def wrong_address(stage: Stage) -> None:
    stage.dial(0, LAST, f"127.0.0.1:{stage.cluster.members[2].p2p_port}")
    stage.up(*OTHERS)
    stage.start(LAST)


@fault("a member's host name is unknown", "member-name", names=LAST)
def wrong_name(stage: Stage) -> None:
    stage.dial(0, LAST, "hospital-four.invalid:7650")
    stage.cluster.kill(LAST)
    stage.up(*OTHERS)


@fault("a firewall drops what goes to a member that is up", "member-path", names=LAST)
def firewall(stage: Stage) -> None:
    stage.dial(0, LAST, stage.black_hole())
    stage.up(*OTHERS)
    stage.start(LAST)


@fault("a member's machine is gone", "member-unreachable", names=LAST)
def machine_gone(stage: Stage) -> None:
    stage.dial(0, LAST, stage.black_hole())
    stage.up(*OTHERS)


@fault("a firewall keeps a member from reaching us", "member-one-way", names=LAST)
def one_way(stage: Stage) -> None:
    stage.dial(LAST, 0, stage.black_hole())
    stage.start(0, 1, 2, LAST)


@fault("no address is set for a member", "member-unset", names=LAST)
def no_address(stage: Stage) -> None:
    path = stage.config(0)
    kept = [
        line for line in path.read_text().splitlines() if not line.startswith(stage.name(LAST))
    ]
    path.write_text("\n".join(kept) + "\n")
    stage.up(*OTHERS)


@fault(
    "a member speaks another protocol version; asked elsewhere", "member-version", names=LAST
)
def version_elsewhere(stage: Stage) -> None:
    stage.up(*OTHERS)
    stage.start(LAST, version=9)


@fault("a member speaks another protocol version; asked there", "version-here", ask=LAST)
def version_here(stage: Stage) -> None:
    version_elsewhere(stage)


@fault("a member sends votes with bad signatures", "member-lies", names=LAST)
def lies(stage: Stage) -> None:
    from consensus.pbft.messages import Prepare

    stage.up(*OTHERS)
    liar = Hostile(stage.cluster, LAST)

    async def lie() -> None:
        noise, name = os.urandom(64), stage.name(0)
        for at in range(1, 3):
            await liar.state(name, Prepare(0, 0, at, os.urandom(32), liar.id, noise))
            await asyncio.sleep(0.5)

    _hostile(stage, liar, lie)


@fault("a member cosigns two heads of one size", "member-equivocated", names=LAST)
def equivocates(stage: Stage) -> None:
    stage.up(*OTHERS)
    liar = Hostile(stage.cluster, LAST)
    cosigner = keys_of(stage.cluster, LAST).cosigner
    origin = liar.genesis.origin

    async def contradict() -> None:
        name = checkpoints.cosigner_name(origin, liar.id)
        for _ in range(2):
            root = os.urandom(32)
            made = checkpoints.cosign(
                Checkpoint(origin, 500, root), name=name, signer=cosigner, time_s=1
            )
            share = Share(liar.id, 250, 500, root, 1, made.signature)
            await liar.say(stage.name(0), FrameType.COSIGNATURES, encode_shares([share]))

    stage.load(1, pause_s=0.3)
    _hostile(stage, liar, contradict)


@fault("the primary is connected and proposes nothing", "member-mute", names=0, ask=1)
def silent_primary(stage: Stage) -> None:
    stage.up()
    stage.load(1, 2)
    stage.until(lambda: stage.height(1) > 0, "a block")
    stage.inject(0, mute=["CONSENSUS"])


def _hostile(stage: Stage, liar: Hostile, act: Callable[[], object] | None = None) -> None:
    """Run a hostile member on a loop of its own until the stage ends."""
    loop, over = asyncio.new_event_loop(), threading.Event()

    async def run() -> None:
        async with liar:
            if act is not None:
                made = act()
                assert asyncio.iscoroutine(made)
                await made
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), name="liar")

    def end() -> None:
        over.set()
        thread.join(20)
        loop.close()

    thread.start()
    stage.stack.callback(end)


# --- ordering and catching up -----------------------------------------------------------------


@fault("cosignatures of two members are lost", "cosignatures-missing")
def no_cosignatures(stage: Stage) -> None:
    stage.up()
    for at in (2, LAST):
        stage.inject(at, mute=["COSIGNATURES"])
    stage.load(0)


@fault("a member comes back after 60 blocks and applies slowly", "catching-up", ask=LAST)
def lagging(stage: Stage) -> None:
    _away(stage)
    stage.inject(LAST, slow_apply_ms=300)
    stage.start(LAST)


@fault("a member comes back and nobody sends it blocks", "stuck-behind", ask=LAST)
def stuck(stage: Stage) -> None:
    _away(stage)
    for at in OTHERS:
        stage.inject(at, mute=["SYNC_RESPONSE", "BODY_RESPONSE", "TRANSACTIONS"])
    stage.start(LAST)


def _away(stage: Stage) -> None:
    stage.up()
    stage.cluster.kill(LAST)
    stage.load(0, 1, pause_s=0.01, wait_s=5)
    stage.until(lambda: stage.height(0) >= 60, "60 blocks", 60)


@fault("leadership is asked for a stopped member", "leader-transfer", engine="raft")
def transfer(stage: Stage) -> None:
    stage.up()
    stage.until(lambda: _leader(stage.cluster) is not None, "a leader")
    leader = _leader(stage.cluster)
    target = next(at for at in range(4) if stage.name(at) != leader)
    at = next(at for at in range(4) if stage.name(at) == leader)
    assert at >= 0
    stage.asked = at
    stage.pause(target)
    client, name = stage.cluster.client(at, timeout_s=20), stage.name(target)

    def ask() -> None:
        while not stage.over:
            try:
                client.request(
                    "POST",
                    "/v1/leader:transfer",
                    body=f'{{"to": "{name}"}}'.encode(),
                    headers={"Content-Type": "application/json"},
                )
            except ChartsealError:
                continue

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    stage.stack.callback(thread.join, 30)


def _leader(cluster: Cluster) -> str | None:
    found: str | None = cluster.client(0).get("/v1/status")["engine"]["leader"]
    return found


@fault("a member was removed by vote; asked there", "not-a-member", ask=LAST)
def removed(stage: Stage) -> None:
    stage.up()
    asyncio.run(hands_over(stage.cluster).decide([*OTHERS], remove=stage.name(LAST)))


# --- clients ---------------------------------------------------------------------------------


@fault("clients send more than the pool may hold", "mempool-full", quick=True)
def pool_full(stage: Stage) -> None:
    stage.set(0, "limits", "mempool_transactions_max = 2")
    stage.up()
    stage.load(*([0] * 6), pause_s=0.0)


@fault("the API's certificate ended yesterday", "certificate-expired")
def certificate_over(stage: Stage) -> None:
    stage.certificate(0, days_left=-1)
    stage.start(0, 1, 2, LAST)


@fault("the API's certificate ends in five days", "certificate-expires")
def certificate_soon(stage: Stage) -> None:
    stage.certificate(0, days_left=5)
    stage.start(0, 1, 2, LAST)


@fault("a client shows a token that is over", "token-expired")
def token_over(stage: Stage) -> None:
    path = stage.cluster.node_dir(0) / "tokens.jsonl"
    text, row = tokens.create(("member:read",), expires_ms=1)
    tokens.write_file(path, [*tokens.read_file(path).values(), row])
    stage.up()
    from node.cli.client import Client

    client = Client(stage.cluster.endpoint(0), token=text)
    with suppress(ChartsealError):
        client.get("/v1/status")


@fault("the tokens file has a broken line", "tokens-unreadable")
def tokens_broken(stage: Stage) -> None:
    stage.up()
    with (stage.cluster.node_dir(0) / "tokens.jsonl").open("a") as file:
        file.write("not a row\n")
    with suppress(ChartsealError):
        stage.anchor(0)


@fault("the institution was suspended by vote", "institution-suspended", ask=LAST)
def suspended(stage: Stage) -> None:
    stage.up()
    handle = os.urandom(32).hex()
    stage.act(0, "governance.propose", {"proposal": handle, "suspend": stage.name(LAST)})
    for at in OTHERS:
        stage.act(at, "governance.vote", {"proposal": handle, "yes": True})
    done = stage.act(0, "governance.execute", {"proposal": handle})
    assert done["state"] == "committed", done


@fault("a client signs with a key that the ledger does not know", "transactions-refused")
def unknown_signer(stage: Stage) -> None:
    stage.up()
    for _ in range(3):
        stage.strange(0)


# --- the machine -----------------------------------------------------------------------------


@fault("a clock is three hours ahead; asked there", "clock-here", ask=LAST)
def clock_here(stage: Stage) -> None:
    stage.inject(LAST, clock_ms=3 * 3_600_000)
    stage.up()


@fault("a clock is three hours ahead; asked elsewhere", "clock-member", names=LAST)
def clock_elsewhere(stage: Stage) -> None:
    clock_here(stage)


@fault("free disk space falls below the limit", "disk-low", quick=True)
def disk_low(stage: Stage) -> None:
    stage.set(0, "storage", 'min_free_bytes = "4096TiB"')
    stage.up()


@fault("the disk is full", "disk-full", root=True)
def disk_full(stage: Stage) -> None:
    _mount(stage, "-t", "tmpfs", "-o", "size=64m", "tmpfs", stage.data(0))
    stage.set(0, "storage", 'min_free_bytes = "1MiB"')
    stage.set(0, "storage", "reserve_bytes = 0")
    stage.up()
    fill = stage.data(0) / "somebody-elses"
    with closing(fill.open("wb", buffering=0)) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass


@fault("a write finds no room and the node ends", "disk-full", root=True)
def write_fails(stage: Stage) -> None:
    _mount(stage, "-t", "tmpfs", "-o", "size=48m", "tmpfs", stage.data(0))
    stage.set(0, "storage", "min_free_bytes = 0")
    stage.set(0, "storage", "reserve_bytes = 0")
    stage.up()
    stage.load(0, 1, pause_s=0.0)
    fill = stage.data(0) / "somebody-elses"
    with closing(fill.open("wb", buffering=0)) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass
    stage.until(lambda: not stage.cluster.alive(0), "it ended", 60)


@fault("the data directory cannot be written", "store-failed", root=True)
def read_only(stage: Stage) -> None:
    stage.up()
    stage.anchor(0)
    stage.cluster.stop(0)
    _mount(stage, "--bind", stage.data(0), stage.data(0))
    _mount(stage, "-o", "remount,bind,ro", stage.data(0), stage.data(0), again=True)
    stage.runs_into(0)


def _mount(stage: Stage, *words: str | Path, again: bool = False) -> None:
    target = Path(words[-1])
    target.mkdir(exist_ok=True)
    subprocess.run(["mount", *map(str, words)], check=True, timeout=10)
    if not again:

        def undo() -> None:
            stage.cluster.kill(0)
            subprocess.run(["umount", str(target)], check=False, timeout=10)

        stage.stack.callback(undo)


@fault("synced writes take 900 ms", "slow-disk")
def slow_disk(stage: Stage) -> None:
    stage.up()
    stage.inject(0, slow_write_ms=900)
    stage.load(0, pause_s=0.2)


@fault("the process stands still for three seconds", "event-loop-blocked")
def loop_blocked(stage: Stage) -> None:
    stage.up()
    stage.inject(0, block_ms=3_000)


@fault("file descriptors run out", "descriptors-low")
def files_out(stage: Stage) -> None:
    stage.up()
    stage.inject(0, spare_files=30)


@fault("memory runs out", "memory-low")
def memory_out(stage: Stage) -> None:
    stage.up()
    stage.inject(0, spare_memory=96 << 20)


# --- nodes that are down ---------------------------------------------------------------------


@fault("another process has the port", "port-taken", quick=True)
def port_taken(stage: Stage) -> None:
    stage.take(stage.cluster.members[0].p2p_port)
    stage.runs_into(0)


@fault("the settings have a misspelt key", "config-unusable")
def misspelt(stage: Stage) -> None:
    path = stage.config(0)
    path.write_text(path.read_text().replace("[storage]", "[storage]\nmin_fre_bytes = 1"))
    stage.runs_into(0)


@fault("the passphrase is wrong", "keys-unusable")
def wrong_passphrase(stage: Stage) -> None:
    (stage.cluster.node_dir(0) / "passphrase").write_text("something else\n")
    stage.runs_into(0)


@fault("the database is older than the mark", "sign-state-behind")
def behind_mark(stage: Stage) -> None:
    stage.set(0, "recovery", 'on_lost_state = "refuse"')
    stage.up()
    stage.anchor(0)
    stage.cluster.stop(0)
    shutil.copytree(stage.data(0), stage.directory / "older")
    stage.start(0)
    stage.cluster.wait_ready(0)
    stage.anchor(0)
    stage.cluster.stop(0)
    shutil.rmtree(stage.data(0))
    (stage.directory / "older").rename(stage.data(0))
    stage.runs_into(0)


@fault("bytes of the database changed", "data-damaged")
def damaged(stage: Stage) -> None:
    stage.set(0, "recovery", 'on_lost_state = "refuse"')
    stage.up()
    for _ in range(3):
        stage.anchor(0)
    stage.cluster.stop(0)
    (log,) = sorted((stage.data(0) / "kv").glob("*.log"))[-1:]
    raw = bytearray(log.read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    log.write_bytes(raw)
    stage.runs_into(0)


@fault("the node was killed", "not-running")
def not_running(stage: Stage) -> None:
    stage.up()
    stage.cluster.kill(0)


@fault("the process is stopped; asked on its own machine", "process-stuck")
def stuck_process(stage: Stage) -> None:
    stage.up()
    stage.pause(0)
