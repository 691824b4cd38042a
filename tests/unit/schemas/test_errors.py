"""Every error that ends a command carries its exit code, and no two classes of one name mean different things."""

from __future__ import annotations

import ast
import importlib
from collections import Counter
from functools import cache

from schemas.errors import (
    BrokerUnavailableError,
    FunnelcastError,
    InputFileError,
    NeedsHumanError,
    PortTakenError,
    TryAgainError,
    UsageError,
)
from tests.support.rows import rows
from tests.support.sources import ROOT, product_files, statements_of


@cache
def error_classes() -> list[tuple[str, str]]:
    """(module, name) of every class whose name ends in Error."""
    errors = []
    for path in product_files():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        classes = [node for node in statements_of(path, r"class \w*Error\b") if isinstance(node, ast.ClassDef)]
        errors += [(module, node.name) for node in classes if node.name.endswith("Error") and node.name[0] != "_"]
    return errors


def test_no_two_errors_have_one_name() -> None:
    names = Counter(name for _, name in error_classes())
    assert [name for name, count in names.items() if count > 1] == []


def test_every_error_with_an_exit_code_has_one_of_the_documented_three() -> None:
    classes = [getattr(importlib.import_module(module), name) for module, name in error_classes()]
    coded = [error for error in classes if issubclass(error, FunnelcastError) and error is not FunnelcastError]
    assert len(coded) > 15
    assert {error.__name__: error.exit_code for error in coded if error.exit_code not in (2, 70, 75)} == {}
    bases = (UsageError, NeedsHumanError, TryAgainError)
    assert [error.__name__ for error in coded if sum(issubclass(error, base) for base in bases) != 1] == []


@rows(
    ("error", "code"),
    [
        (UsageError, 2),
        (InputFileError, 2),
        (PortTakenError, 2),
        (NeedsHumanError, 70),
        (TryAgainError, 75),
        (BrokerUnavailableError, 75),
    ],
)
def test_the_codes_are_those_of_the_documents(error: type[FunnelcastError], code: int) -> None:
    assert error.exit_code == code
