"""Hunt every mutant: ``python tests/mutants/run.py [--engine raft|pbft|eras] [--only NAME]``.

Plays seeds 0, 1, 2, ... with each mutant planted until one fails that holds without it, and
prints how many it took.  Seeds are of the family that is after this kind of mistake, or, where
there is none, those that ``make sim`` plays; ``--ordinary`` plays the latter for every mutant
as well.  Exits with 1 when a mutant survives.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.mutants.planting import Found, Mutant, hunt  # noqa: E402 - the path comes first

ENGINES = ("raft", "pbft", "eras")
HEADS = ("engine", "mutant", "source", "family", "seeds of it", "ordinary seeds", "found as")
Job = tuple[str, str, int, bool]


@dataclass(frozen=True, slots=True)
class Hunted:
    """What became of one mutant; None: not found, or not played.  ``of`` seeds at the most."""

    engine: str
    mutant: str
    source: str
    family: str
    of: int
    aimed: Found | None
    ordinary: Found | None
    everywhere: bool = False  # ordinary seeds were played beside those of the family

    @property
    def _ordinary_played(self) -> bool:
        return self.everywhere or not self.family

    @property
    def found(self) -> Found | None:
        return self.aimed or self.ordinary

    def row(self) -> str:
        """Return the line of the table."""
        what = "not found" if self.found is None else self.found.what
        cells = (
            self.engine,
            self.mutant,
            self.source,
            self.family or "-",
            self._count(self.aimed) if self.family else "-",
            self._count(self.ordinary) if self._ordinary_played else "-",
            what.replace("|", "/").splitlines()[0][:70],
        )
        return f"| {' | '.join(cells)} |"

    def _count(self, found: Found | None) -> str:
        return f"> {self.of}" if found is None else str(found.seeds)


def mutants(engine: str) -> tuple[Mutant, ...]:
    """Return the mutants of ``engine``, in the order in which its module lists them."""
    listed: tuple[Mutant, ...] = importlib.import_module(f"tests.mutants.{engine}").MUTANTS
    return listed


def hunt_one(job: Job) -> Hunted:
    """Jobs name their mutant: what a mutant plants cannot be sent to another process."""
    engine, name, seeds_max, everywhere = job
    mutant = next(each for each in mutants(engine) if each.name == name)
    own = mutant.play is not None
    aimed = hunt(mutant, seeds_max=seeds_max) if own or mutant.focus else None
    ordinary = None
    if not own and (everywhere or not mutant.focus):
        ordinary = hunt(mutant, seeds_max=seeds_max, focus="")
    family = "own" if own else mutant.focus
    everywhere = everywhere and not own
    return Hunted(engine, name, mutant.source, family, seeds_max, aimed, ordinary, everywhere)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--only", action="append", metavar="NAME", help="part of a name")
    parser.add_argument("--seeds-max", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--ordinary", action="store_true", help="ordinary seeds also where there is a family"
    )
    parser.add_argument("--report", type=Path, help="write the table as JSON")
    return parser.parse_args()


def main() -> int:
    wanted = options()
    engines = ENGINES if wanted.engine is None else (wanted.engine,)
    chosen = [each for engine in engines for each in mutants(engine)]
    if wanted.only:
        chosen = [each for each in chosen if any(part in each.name for part in wanted.only)]
    if not chosen:
        print("no such mutant")
        return 1
    jobs = [(each.engine, each.name, wanted.seeds_max, wanted.ordinary) for each in chosen]
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    results: list[Hunted] = []
    with multiprocessing.Pool(min(wanted.jobs, len(jobs))) as pool:
        for hunted in pool.imap(hunt_one, jobs, chunksize=1):
            results.append(hunted)
            print(hunted.row(), flush=True)
    if wanted.report is not None:
        whole = [asdict(each) for each in results]
        wanted.report.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    missed = [each.mutant for each in results if each.found is None]
    print(f"{len(results) - len(missed)} of {len(results)} found {', '.join(missed)}".strip())
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
