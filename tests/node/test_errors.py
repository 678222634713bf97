"""The registry of conditions: complete, stable, and the only way a fault gets a name."""

import json

import pytest

from node import errors
from node.errors import ChartsealError, Code, Exit


def test_every_code_is_complete_and_named_once():
    codes = list(errors.all_codes())
    assert [item.code for item in codes] == sorted({item.code for item in codes})
    for item in codes:
        assert item.title
        assert item.hint
        assert 400 <= item.status <= 599
        assert item.exit is not Exit.OK
        assert not item.title.endswith("."), "titles are shown after 'error: '"


@pytest.mark.parametrize(
    "code",
    [
        "transaction-malformed", "wrong-network", "transaction-expired", "unknown-signer",
        "bad-signature", "already-committed", "op-unknown", "op-refused", "mempool-full",
        "rate-limited", "overloaded", "not-ready", "body-too-large", "line-too-long",
        "unauthorized", "forbidden", "not-found", "unknown-parameter", "bad-request",
        "cursor-invalid", "receipt-pending", "receipt-invalid", "verification-failed",
        "config-invalid", "keystore-missing", "data-dir-locked", "foreign-data-dir",
        "schema-mismatch", "corrupt-data", "storage-failure", "sign-guard-refused",
        "port-in-use", "node-unreachable", "timeout-outcome-unknown", "divergence", "internal",
    ],
)  # fmt: skip
def test_the_promised_codes_exist(code):
    assert errors.get(code).code == code


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("internal", 1), ("bad-request", 2), ("not-found", 3), ("conflict", 4),
        ("unauthorized", 5), ("forbidden", 5), ("node-unreachable", 6),
        ("timeout-outcome-unknown", 7), ("verification-failed", 8), ("not-ready", 9),
        ("confirmation-needed", 10), ("partial-failure", 11), ("no-quorum", 12),
        ("config-invalid", 78), ("keystore-passphrase-wrong", 79), ("data-dir-locked", 80),
        ("sign-guard-refused", 81), ("schema-mismatch", 82),
    ],
)  # fmt: skip
def test_exit_codes_are_what_scripts_and_units_rely_on(code, exit_code):
    assert ChartsealError(code).exit_code == exit_code


def test_a_service_manager_is_told_when_starting_again_cannot_help():
    assert [int(item) for item in errors.EXIT_DO_NOT_RESTART] == [78, 79, 80, 81, 82]


def test_others_extend_the_registry_but_never_give_a_code_a_second_meaning(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(errors, "_registry", dict(errors._registry))
    new = Code("test-only", "a title", 409, Exit.CONFLICT, False, "a hint")
    errors.register(new)
    errors.register(new)
    assert errors.lookup("test-only") == new
    with pytest.raises(AssertionError, match="another meaning"):
        errors.register(Code("test-only", "other", 409, Exit.CONFLICT, False, "a hint"))


@pytest.mark.parametrize(
    ("code", "title", "status", "hint"),
    [
        ("Not-Kebab", "t", 400, "h"),
        ("snake_case", "t", 400, "h"),
        ("fine", "t", 200, "h"),
        ("fine", "", 400, "h"),
        ("fine", "t", 400, ""),
    ],
)
def test_an_incomplete_entry_is_refused(code, title, status, hint):
    with pytest.raises(ValueError, match=r".+"):
        Code(code, title, status, Exit.CONFLICT, False, hint)


def test_an_unregistered_code_cannot_be_raised_or_answered():
    with pytest.raises(AssertionError):
        ChartsealError("no-such-code")
    with pytest.raises(AssertionError):
        errors.problem("no-such-code")


def test_a_problem_document_has_every_member_and_takes_more():
    document = errors.problem("not-found", "no transaction ab12", request_id="r1", height=7)
    assert document == {
        "type": "/v1/problems/not-found",
        "title": "there is no such thing here",
        "status": 404,
        "detail": "no transaction ab12",
        "code": "not-found",
        "retryable": False,
        "hint": errors.get("not-found").hint,
        "request_id": "r1",
        "height": 7,
    }
    assert json.loads(json.dumps(document)) == document
    with pytest.raises(AssertionError):
        errors.problem("not-found", status=200, title="mine")


class _Coded(Exception):
    code = "data-dir-locked"


class _Prefixed(Exception):
    def __init__(self):
        super().__init__("bad-signature: key 3")
        self.code = "bad-signature"


def test_library_errors_are_recognised_by_their_code():
    cause = _Coded("/var/lib/x is in use by process 7")
    error = errors.from_exception(cause)
    assert (error.code, error.detail, error.exit_code) == ("data-dir-locked", str(cause), 80)
    assert error.__cause__ is cause
    assert errors.from_exception(_Prefixed()).detail == "key 3"
    assert errors.from_exception(error) is error


def test_every_error_of_the_store_has_an_entry():
    from storage import errors as storage_errors

    pending, seen = [storage_errors.StorageError], set()
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        seen.add(kind.code)
    assert "data-dir-locked" in seen
    assert all(errors.lookup(code) for code in seen)


def test_an_unforeseen_exception_shows_its_type_and_nothing_of_its_text():
    error = errors.from_exception(ValueError("Jane Doe, born 1970"))
    assert (error.code, error.exit_code) == ("internal", 1)
    assert "Jane" not in str(error)
    assert "ValueError" in error.detail


def test_a_problem_comes_back_as_the_condition_that_was_sent():
    document = errors.problem("rate-limited", "500 per second")
    error = errors.from_problem(document)
    assert (error.code, error.detail, error.hint) == (
        "rate-limited", "500 per second", errors.get("rate-limited").hint,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("document", "code", "detail"),
    [
        ({"code": "from-the-future", "status": 409, "detail": "d"}, "conflict",
         "from-the-future: d"),
        ({"status": 401}, "unauthorized", "unnamed"),
        ({"code": "\x1b[31m", "status": 404}, "not-found", "unnamed"),
        ({"code": 5, "status": "x", "detail": []}, "internal", "unnamed"),
        ({"status": 418}, "bad-request", "unnamed"),
    ],
)  # fmt: skip
def test_a_problem_that_we_do_not_know_keeps_its_kind(document, code, detail):
    error = errors.from_problem(document)
    assert (error.code, error.detail) == (code, detail)
