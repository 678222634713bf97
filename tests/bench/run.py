"""`make bench`: the product's own figures, as a table and as bench-results/bench.json.

    python tests/bench/run.py [--quick] [--only micro|pbft|raft]

Times are never pass or fail; a load that does not commit is.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import clusters, micro  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller loads, for a first look")
    parser.add_argument("--only", choices=["micro", "pbft", "raft"])
    options = parser.parse_args()
    scale = 1 if options.quick else 5
    results: dict[str, Any] = {
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
    }
    if options.only in (None, "micro"):
        results["micro"] = micro.run()
        show("one transaction on one node (CPU us unless said)", results["micro"])
    for engine, members in (("pbft", 4), ("raft", 3)):
        if options.only not in (None, engine):
            continue
        figures = clusters.run(
            engine, members, transactions=2000 * scale, batches=60 * scale, singles=60
        )
        results[f"{engine}-{members}"] = figures
        show(f"{engine}, {members} nodes, TLS, durable", figures)
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    path = folder / "bench.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written to {path.relative_to(ROOT)}")


def show(title: str, figures: dict[str, Any]) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:30} {value:12,.1f}")


if __name__ == "__main__":
    main()
