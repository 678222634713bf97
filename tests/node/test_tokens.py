"""Tokens: what the file keeps opens nothing; what it cannot say counts for nothing."""

from pathlib import Path

import pytest

from node import tokens
from node.errors import ChartsealError
from node.tokens import TokenFile


def test_a_token_opens_until_it_expires(tmp_path: Path) -> None:
    text, row = tokens.create(["tx:read"], expires_ms=1000)
    tokens.write_file(tmp_path / "t", [row])
    file = TokenFile(tmp_path / "t")
    assert file.check(text, now_ms=999) == row
    assert file.check(text, now_ms=1000) is None
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o600


def test_the_file_holds_nothing_that_opens(tmp_path: Path) -> None:
    text, row = tokens.create(["tx:read"], expires_ms=1000)
    tokens.write_file(tmp_path / "t", [row])
    parsed = tokens.parse(text)
    assert parsed is not None
    assert parsed[1] not in (tmp_path / "t").read_text()
    file = TokenFile(tmp_path / "t")
    assert file.check(f"chartseal_{row.id}_{row.hash}", now_ms=0) is None


def test_a_row_copied_under_another_id_is_dead(tmp_path: Path) -> None:
    text, row = tokens.create(["tx:read"], expires_ms=1000)
    line = row.line().replace(row.id, "0" * 12)
    (tmp_path / "t").write_text(line)
    file = TokenFile(tmp_path / "t")
    assert file.check(text.replace(row.id, "0" * 12), now_ms=0) is None


def test_a_revoked_token_is_dead_within_a_second(tmp_path: Path) -> None:
    text, row = tokens.create(["tx:read"], expires_ms=10_000)
    _, other = tokens.create(["tx:read"], expires_ms=10_000)
    tokens.write_file(tmp_path / "t", [row])
    file = TokenFile(tmp_path / "t")
    assert file.check(text, now_ms=0) == row
    tokens.write_file(tmp_path / "t", [other])
    assert file.check(text, now_ms=1000) is None


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"id":"abcdefgh","hash":"00","scopes":[],"expires_ms":1}',
        '{"id":"abcdefgh","hash":"HASH","scopes":["all"],"expires_ms":1}',
        '{"id":"abcdefgh","hash":"HASH","scopes":[],"expires_ms":"1"}',
        '{"id":"abcdefgh","hash":"HASH","scopes":[],"expires_ms":1,"more":1}',
        '{"id":"a","hash":"HASH","scopes":[],"expires_ms":1}',
    ],
)
def test_one_bad_line_closes_the_whole_file(tmp_path: Path, line: str) -> None:
    text, row = tokens.create(["tx:read"], expires_ms=1000)
    path = tmp_path / "t"
    path.write_text(row.line() + "\n" + line.replace("HASH", "0" * 64))
    with pytest.raises(ChartsealError, match="line 2: not a token row"):
        tokens.read_file(path)
    file = TokenFile(path)
    assert file.check(text, now_ms=0) is None
    assert file.failure is not None
    tokens.write_file(path, [row])
    assert file.check(text, now_ms=2000) is None  # expired by now, and
    assert file.failure is None  # the file counts again


def test_a_lost_file_opens_nothing(tmp_path: Path) -> None:
    text, _ = tokens.create(["tx:read"], expires_ms=1000)
    file = TokenFile(tmp_path / "none")
    assert file.check(text, now_ms=0) is None
    assert file.failure is not None
    assert file.failure.code == "file-unreadable"


def test_unknown_scopes_are_not_given() -> None:
    for scopes in ([], ["all"], ["tx:read", "node:admin"]):
        with pytest.raises(ValueError, match="scopes must be"):
            tokens.create(scopes, expires_ms=1)
