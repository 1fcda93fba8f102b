"""Comparison of one call on PyTorch and here."""

from typing import Any

import torch

import tracec


def outcome(run: Any) -> Any:
    """What a call gives: values, or the kind of error."""
    try:
        return run()
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        return error


def assert_same(run: Any) -> None:
    """`run(framework)` gives equal results, or errors of one type that begin alike."""
    theirs, ours = outcome(lambda: run(torch)), outcome(lambda: run(tracec))
    if isinstance(theirs, Exception):
        assert type(ours) is type(theirs), ours
        assert words(ours)[:4] == words(theirs)[:4]
    elif isinstance(ours, Exception):
        raise ours
    else:
        assert ours == theirs


def words(error: Exception) -> list[str]:
    return str(error).split()
