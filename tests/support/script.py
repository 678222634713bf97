"""Scenario scripts: blocks of commands, a line of four dashes, what the commands must print.

Blocks are separated by one empty line; lines that start with ``#`` are for the reader.  With
``REWRITE=1`` in the environment the file is replaced by what really came out; read that diff
before keeping it.
"""

import os
from collections.abc import Callable
from pathlib import Path

RULE = "----"


def run_script(path: Path, command: Callable[[str], str]) -> None:
    """Feed each command line to ``command`` and compare all output with the file's."""
    wanted = path.read_text(encoding="utf-8")
    blocks = [_play(block, command) for block in wanted.strip("\n").split("\n\n")]
    printed = "\n\n".join(blocks) + "\n"
    if os.environ.get("REWRITE"):
        path.write_text(printed, encoding="utf-8")
        return
    assert printed == wanted


def _play(block: str, command: Callable[[str], str]) -> str:
    asked = block.split(f"\n{RULE}", maxsplit=1)[0]
    lines = [line for line in asked.splitlines() if line and not line.startswith("#")]
    if not lines:
        return asked
    output = [answer for answer in map(command, lines) if answer]
    return "\n".join([asked, RULE, *output])
