"""Other people's vectors, where their folder lies beside the project, and the runner itself."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from node.ledger.accel import native, pure
from tests.conformance import ed25519, merkle, run

ROOT = Path(__file__).parents[2]
VECTORS = ROOT.parent / "shared" / "data" / "vectors"
PROBE = {
    "leafIdx": 0,
    "treeSize": 1,
    "root": "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=",
    "leafHash": "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=",
    "proof": None,
    "desc": "single leaf",
    "wantErr": False,
}


def folder(name: str) -> Path:
    if not (VECTORS / name).is_dir():
        pytest.skip(
            f"the public vectors are not beside the project: no ../shared/data/vectors/{name}"
        )
    return VECTORS / name


def test_every_merkle_probe_gets_its_verdict() -> None:
    files = sorted(folder("merkle").rglob("*.json"))
    probes = [json.loads(path.read_text()) for path in files]
    assert len(probes) == 78
    assert all(merkle.recognises(probe) for probe in probes)
    wrong = [
        path
        for path, probe in zip(files, probes, strict=True)
        if merkle.check(probe) is not None
    ]
    assert wrong == []


@pytest.mark.parametrize("backend", [pure, native], ids=["pure", "native"])
def test_the_backend_accepts_exactly_the_pinned_signatures(backend: ModuleType) -> None:
    if backend is native and (reason := native.unusable()):
        pytest.skip(f"not run on the native accelerator: {reason}")
    cases = json.loads((folder("ed25519-cctv") / "ed25519vectors.json").read_text())
    numbers = ed25519.accepted_numbers(cases, backend)
    alone = [backend.verify_batch([item]) for item in ed25519.items(cases)]
    assert alone == [[verdict] for verdict in backend.verify_batch(ed25519.items(cases))]
    assert (len(cases), len(numbers)) == (ed25519.CASES, ed25519.ACCEPTED)
    assert ed25519.digest(numbers) == ed25519.ACCEPTED_DIGEST


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("etcd-raft/quorum", 4),
        ("etcd-raft/confchange", 9),
        ("etcd-raft/interaction", 16),
        ("porcupine", 52),
    ],
)
def test_every_scenario_and_history_gets_its_verdict(name: str, files: int) -> None:
    judged = [(path, wrong) for path, wrong, known in run.judge(folder(name)) if known]
    assert len(judged) == files
    assert [path for path, wrong in judged if wrong is not None] == []


def test_the_runner_prints_one_line_per_file_and_the_sum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, other = tmp_path / "a" / "good.json", tmp_path / "bad.json", tmp_path / "x.log"
    good.parent.mkdir()
    good.write_text(json.dumps(PROBE))
    other.write_text("not JSON")
    assert run.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"PASS {good}\nSKIP {other}\n1 passed, 0 failed\n"
    bad.write_text(json.dumps({**PROBE, "wantErr": True}))
    assert run.main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert f"FAIL {bad}: accepted (single leaf)\n" in out
    assert out.endswith("1 passed, 1 failed\n")


def test_the_runner_fails_on_unreadable_probes_and_on_nothing_to_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main([str(tmp_path)]) == 1
    assert run.main([str(tmp_path / "absent")]) == 2
    (tmp_path / "odd.json").write_text(json.dumps({**PROBE, "root": "*"}))
    assert run.main([str(tmp_path)]) == 1
    assert "unreadable" in capsys.readouterr().out


def test_the_runner_is_a_program(tmp_path: Path) -> None:
    (tmp_path / "probe.json").write_text(json.dumps(PROBE))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "conformance" / "run.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 passed, 0 failed")


def test_a_backend_that_differs_in_one_case_is_caught() -> None:
    case = {"number": 3, "key": "01" + "00" * 31, "msg": "m", "flags": []}
    identity = {**case, "sig": "01" + "00" * 63}
    assert ed25519.recognises([identity])
    assert all(ed25519.accepted_numbers([identity], item) == [3] for item in ed25519.BACKENDS)
    assert "accepted 1 of 1" in str(ed25519.check([identity]))
