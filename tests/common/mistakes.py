"""A mistake, and what is promised about every one."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import sklmeta

OURS = str(Path(sklmeta.__file__).parent)
CHECKERS = ("/sklearn/utils/", "/sklearn/base.py", "/argparse.py")
CHECKERS += ("/sklearn/metrics/", "/sklearn/model_selection/_split.py")


class Mistake(NamedTuple):
    """What is done, the error or warning it ends in, and words that this must have."""

    call: Callable[..., Any]
    kind: type[BaseException]
    words: str  # patterns with "|" between: the cause and the remedy


def table(mistakes: dict[str, Mistake]) -> Any:
    """Parametrise a test with mistakes, by what is wrong."""
    return pytest.mark.parametrize("mistake", mistakes.values(), ids=list(mistakes))


def check(mistake: Mistake, *given: Any) -> None:
    """Make the mistake: it is heard of once, in our words, at our own place."""
    if issubclass(mistake.kind, Warning):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mistake.call(*given)
        assert caught, "It is accepted in silence."
        said = {str(w.message) for w in caught}
        assert len(said) == 1, said
        assert issubclass(caught[0].category, mistake.kind)
        text = str(caught[0].message)
    else:
        with pytest.raises(mistake.kind) as error:
            mistake.call(*given)
        assert error.type not in (IndexError, KeyError, AssertionError)
        last = traceback.extract_tb(error.value.__traceback__)[-1].filename
        assert last.startswith(OURS) or any(part in last for part in CHECKERS), last
        text = str(error.value)
    for word in mistake.words.split("|"):
        assert re.search(word, text), f"{word!r} is not in {text!r}"
