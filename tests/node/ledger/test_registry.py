"""The registry: every family is found, every number and kind is unique and stable."""

import importlib
import pkgutil

from node.ledger import families, registry, rules
from node.ledger.families import record
from node.ledger.genesis import ROLES


def test_every_family_file_is_registered() -> None:
    names = {module.name for module in pkgutil.iter_modules(families.__path__)}
    assert "record" in names
    for name in names:
        family = importlib.import_module(f"{families.__name__}.{name}")
        assert family.OPERATIONS
        assert all(registry.OPERATIONS[item.kind] is item for item in family.OPERATIONS)
        assert all(registry.RESULTS[item.number] is item for item in family.RESULTS)


def test_operations_stand_under_their_kind() -> None:
    for kind, operation in registry.OPERATIONS.items():
        assert operation.kind == kind
        assert operation.roles <= ROLES
        assert operation.say.endswith(".")
    assert registry.OPERATIONS["record.anchor"] is record.OPERATIONS[0]


def test_results_stand_under_their_number_with_a_code_of_their_own() -> None:
    for number, result in registry.RESULTS.items():
        assert result.number == number < 1 << 16
        assert result.say.endswith(".")
    codes = [result.code for result in registry.RESULTS.values()]
    assert len(set(codes)) == len(codes)


def test_numbers_on_the_ledger_never_change_their_meaning() -> None:
    stable = {
        0: "applied",
        1: "transaction-expired",
        2: "unknown-signer",
        3: "op-unknown",
        4: "op-malformed",
        5: "role-missing",
        6: "wrong-network",
        7: "expiry-too-far",
        100: "record-exists",
        101: "record-unknown",
        102: "record-not-custodian",
        103: "record-superseded",
        104: "record-retracted",
        105: "record-batch-exists",
        106: "record-batch-mismatch",
        107: "record-proof-invalid",
    }
    assert {n: registry.result_of(n).code for n in stable} == stable


def test_an_unknown_number_is_named_not_hidden() -> None:
    assert 65_535 not in registry.RESULTS
    assert registry.result_of(65_535) == rules.Result(
        65_535, "result-65535", "Unknown to this version."
    )
