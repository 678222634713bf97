"""Found a network: from the institutions' join cards to its genesis file.

    python deploy/found_network.py --name region-1 --engine pbft --out DIR card-*.json

A join card is what ``chartseal init`` prints.  Writes DIR/genesis.bin, which every institution
puts where ``network.genesis`` says, and DIR/policy.json, which says whose cosignatures a
verifier of receipts trusts.  Prints the network's digest: every institution computes it from
its own copy (``--show genesis.bin``) and compares it by telephone before it starts.

Owns: reading cards and writing these two files.  Refuses: to replace files that exist.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from consensus import wire
from consensus.codec import Malformed
from node.cli.layout import CARD_FORMAT
from node.ledger.genesis import ENGINES, Genesis, GenesisInvalid, Institution, Parameters
from node.publish import policy_of


def read_card(path: Path) -> Institution:
    """Return the institution on the card at ``path``; ends the program if it is no card."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        if type(card) is not dict or card.pop("format", None) != CARD_FORMAT:
            raise ValueError("not a join card")
        institution: Institution = wire.from_plain(Institution, card)
    except (OSError, ValueError, Malformed) as error:
        raise SystemExit(f"{path}: {error}") from error
    return institution


def found(name: str, engine: str, cards: list[Institution], created_ms: int) -> Genesis:
    """Return the founding document; ends the program when the cards contradict each other."""
    try:
        return Genesis(
            version=1,
            name=name,
            created_ms=created_ms,
            engine=engine,
            parameters=Parameters(),
            institutions=tuple(sorted(cards, key=lambda item: item.id)),
        )
    except ValueError as error:
        raise SystemExit(f"these cards found no network: {error}") from error


def tell(genesis: Genesis) -> str:
    """Return what the founders compare, and what the network will tolerate."""
    members = len(genesis.validators)
    if genesis.engine == "pbft":
        faults, kind = (members - 1) // 3, "of any kind"
    else:
        faults, kind = (members - 1) // 2, "that stop; none that lie"
    lines = [
        f"network  {genesis.name}",
        f"digest   {genesis.network.hex()}",
        f"engine   {genesis.engine}, {members} voting members, tolerates {faults} {kind}",
    ]
    for item in genesis.institutions:
        votes = "votes" if item.validator else "does not vote"
        key = item.identity_key.hex()[:16]
        lines.append(f"member   {item.id} ({', '.join(item.roles)}; {votes}; key {key})")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cards", nargs="*", type=Path, help="join cards")
    parser.add_argument("--name", help="the network's name, [a-z0-9][a-z0-9-]{0,62}")
    parser.add_argument("--engine", choices=ENGINES, default="pbft")
    parser.add_argument("--out", type=Path, help="directory for genesis.bin and policy.json")
    parser.add_argument("--show", type=Path, metavar="GENESIS", help="only tell about a file")
    given = parser.parse_args(arguments)
    if given.show is not None:
        try:
            sys.stdout.write(tell(Genesis.decode(given.show.read_bytes())))
        except (OSError, GenesisInvalid) as error:
            raise SystemExit(f"{given.show}: {error}") from error
        return 0
    if not (given.name and given.out and given.cards):
        parser.error("--name, --out and at least one card are needed")
    created_ms = time.time_ns() // 1_000_000
    genesis = found(given.name, given.engine, [read_card(p) for p in given.cards], created_ms)
    targets = {
        given.out / "genesis.bin": genesis.encode(),
        given.out / "policy.json": policy_of(genesis).to_text().encode(),
    }
    standing = [str(path) for path in targets if path.exists()]
    if standing:
        raise SystemExit(f"will not replace {', '.join(standing)}")
    given.out.mkdir(parents=True, exist_ok=True)
    for path, raw in targets.items():
        path.write_bytes(raw)
    sys.stdout.write(tell(genesis))
    return 0


if __name__ == "__main__":
    sys.exit(main())
