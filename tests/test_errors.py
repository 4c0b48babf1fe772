"""Errors: one family, and the built-in kinds that callers know."""

from __future__ import annotations

import pytest

from napari_fossiledit import errors


@pytest.mark.parametrize(
    "name", ["InputError", "ModelError", "EditError", "OutputError", "OutOfMemoryError"]
)
def test_every_error_a_user_can_mend_is_of_one_family(name: str) -> None:
    error = getattr(errors, name)("The labels are empty.")
    assert isinstance(error, errors.FossilEditError)
    assert str(error) == "The labels are empty."


def test_built_in_kinds() -> None:
    assert issubclass(errors.InputError, ValueError)
    assert issubclass(errors.OutputError, OSError)


def test_cancelling_is_not_an_error() -> None:
    assert not issubclass(errors.Cancelled, errors.FossilEditError)


def test_all_names_exist() -> None:
    assert all(hasattr(errors, name) for name in errors.__all__)
