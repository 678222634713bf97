"""Write THIRD-PARTY-NOTICES.txt: the licences of the crates that the accelerator contains.

    python native/notices.py            write the file
    python native/notices.py --check    say whether it names what is linked now; exit 1 if not,
                                        3 when cargo or the crates are not there

Owns: which crates count (everything that is linked for some platform; what only runs while
building does not end up in the wheel).  Needs cargo and the crates' sources.  The check goes by
name and licence: a patch release that cargo chose today changes neither.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
NOTICES: Final = HERE / "THIRD-PARTY-NOTICES.txt"
OWN: Final = "chartseal-native"
CARGO_FAILED: Final = 3
_TEXTS: Final = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*")
_HEAD: Final = """\
The native accelerator of Chartseal contains the following crates.

"""


def metadata() -> dict[str, Any]:
    """Return what cargo knows of the resolved crates."""
    command = ["cargo", "metadata", "--format-version", "1", "--manifest-path", "Cargo.toml"]
    done = subprocess.run(command, cwd=HERE, check=True, capture_output=True)  # noqa: S603 - fixed
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def linked(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the packages that end up in the library, by name and version."""
    packages = {item["id"]: item for item in found["packages"]}
    nodes = {item["id"]: item for item in found["resolve"]["nodes"]}
    waiting = [item["id"] for item in found["packages"] if item["name"] == OWN]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or _is_macro(packages[name]):
            continue
        seen.add(name)
        waiting += _normal(nodes[name])
    crates = [packages[name] for name in seen if packages[name]["name"] != OWN]
    return sorted(crates, key=lambda item: (item["name"], item["version"]))


def _normal(node: dict[str, Any]) -> Iterator[str]:
    for dependency in node["deps"]:
        if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
            yield dependency["pkg"]


def _is_macro(package: dict[str, Any]) -> bool:
    """A procedural macro runs in the compiler; nothing of it is linked."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def line_of(package: dict[str, Any]) -> str:
    return f"{package['name']} {package['version']}: {package['license']}"


def named(line: str) -> str:
    """Return a line without its version."""
    name, _, rest = line.partition(" ")
    return name + ":" + rest.partition(":")[2]


def render(crates: list[dict[str, Any]]) -> str:
    """Return the notices; a text that several crates share stands there once."""
    texts: dict[str, list[str]] = {}
    for package in crates:
        folder = Path(package["manifest_path"]).parent
        for pattern in _TEXTS:
            for path in sorted(folder.glob(pattern)):
                text = path.read_text(encoding="utf-8", errors="replace").strip()
                title = f"{package['name']} {package['version']} ({path.name})"
                texts.setdefault(text, []).append(title)
    parts = [_HEAD + "".join(line_of(package) + "\n" for package in crates)]
    for text, titles in texts.items():
        parts.append("\n" + "=" * 80 + "\n" + "\n".join(titles) + "\n\n" + text + "\n")
    return "".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    wanted = parser.parse_args()
    try:
        crates = linked(metadata())
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"cargo cannot say what is linked: {error}\n")
        return CARGO_FAILED
    if not wanted.check:
        NOTICES.write_text(render(crates), encoding="utf-8")
        return 0
    present = NOTICES.read_text(encoding="utf-8").split("\n" + "=" * 80, 1)[0].splitlines()
    known = set(map(named, present))
    missing = [line for line in map(line_of, crates) if named(line) not in known]
    for line in missing:
        sys.stderr.write(f"{NOTICES.name} does not name {line}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
