"""The bundle as a file: written whole with a manifest, read again with every digest checked.

    manifest.json            what is here (bytes, SHA-256), what could not be had, the rules
    self/...                 the node of this machine
    members/<id>/...         what other members answered

Owns: the form.  Mode 0600; a crash leaves a file without its final name.
"""

import hashlib
import json
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from node.bundle.gather import Part, dumped
from node.bundle.redact import RULES, Redactor
from node.cli.client import Client
from node.errors import ChartsealError

FORMAT: Final = "chartseal/bundle/v1"
MANIFEST: Final = "manifest.json"
MEMBER_BYTES_MAX: Final = 64 << 20
_REMOTE: Final = (("why.json", "/v1/why"), ("status.json", "/v1/status"))


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read: its manifest, and each file's bytes by name."""

    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]

    def json(self, name: str) -> Any:
        return json.loads(self.files[name]) if name in self.files else None


def write(
    path: Path,
    parts: Iterable[Part],
    *,
    node: str,
    failed: Callable[[], Mapping[str, str]],
    since_s: float,
) -> dict[str, Any]:
    """Write ``parts`` and the manifest to ``path``; returns the manifest.

    ``failed`` is asked after the last part.  Raises ``ChartsealError`` (exists-already).
    """
    if path.exists():
        raise ChartsealError("exists-already", str(path))
    listed = []
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.touch(mode=0o600)
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, raw in parts:
                archive.writestr(_entry(name), raw)
                digest = hashlib.sha256(raw).hexdigest()
                listed.append({"file": name, "bytes": len(raw), "sha256": digest})
            manifest = {
                "format": FORMAT,
                "node": node,
                "version": version("chartseal"),
                "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "since_s": since_s,
                "redaction": list(RULES),
                "files": listed,
                "not_had": dict(failed()),
            }
            archive.writestr(_entry(MANIFEST), dumped(manifest))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return manifest


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, time.gmtime()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def read(path: Path) -> Bundle:
    """Return a bundle after checking every file against the manifest.

    Raises ``ChartsealError``: file-unreadable, proof-invalid.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for entry in archive.infolist():
                if entry.file_size > MEMBER_BYTES_MAX:
                    raise ChartsealError("bundle-invalid", f"{entry.filename} is too large")
                found[entry.filename] = archive.read(entry)
        manifest = json.loads(found.pop(MANIFEST))
        listed = {item["file"]: item["sha256"] for item in manifest["files"]}
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{path}: {error.strerror}") from error
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ChartsealError("bundle-invalid", f"{path} is no bundle") from error
    if set(listed) != set(found):
        odd = sorted(set(listed) ^ set(found))
        raise ChartsealError("bundle-invalid", f"listed and there differ: {', '.join(odd)}")
    for name, raw in found.items():
        if hashlib.sha256(raw).hexdigest() != listed[name]:
            raise ChartsealError("bundle-invalid", f"{name} is not what the manifest says")
    return Bundle(manifest, found)


def remote(
    clients: Mapping[str, Client], redactor: Redactor, *, timeout_s: float
) -> tuple[list[Part], dict[str, str]]:
    """Return what other members answer, each within ``timeout_s``, and who did not."""
    parts, failed = list[Part](), dict[str, str]()

    def ask(client: Client) -> list[tuple[str, Any]]:
        return [(name, client.get(path)) for name, path in _REMOTE]

    pool = ThreadPoolExecutor(max_workers=max(1, len(clients)), thread_name_prefix="bundle")
    asked = {member: pool.submit(ask, client) for member, client in clients.items()}
    deadline = time.monotonic() + timeout_s
    for member, answer in asked.items():
        try:
            found = answer.result(max(0.0, deadline - time.monotonic()))
        except Late:
            failed[f"members/{member}"] = "no answer in time"
        except ChartsealError as error:
            failed[f"members/{member}"] = error.code
        else:
            parts += [
                (f"members/{member}/{name}", dumped(redactor.value(value)))
                for name, value in found
            ]
    pool.shutdown(wait=False, cancel_futures=True)
    return parts, failed
