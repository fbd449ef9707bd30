"""Promises with a name, and the checks made of them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, NamedTuple

Check = Callable[[], None]


class Promise(NamedTuple):
    """A sentence of the contract and the function that holds a case to it."""

    name: str
    sentence: str
    hold: Callable[[Any], None]
    applies: Callable[[Any], bool]


class Promises(list[Promise]):
    """The sentences of one contract, in the order in which they are checked."""

    def add(
        self,
        sentence: str,
        applies: Callable[[Any], bool] = lambda case: True,
    ) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
        """Decorate a check; its name is that of the function."""

        def register(hold: Callable[[Any], None]) -> Callable[[Any], None]:
            self.append(Promise(hold.__name__, sentence, hold, applies))
            return hold

        return register

    def checks(
        self, cases: Iterable[Any], skip: Collection[str]
    ) -> list[tuple[str, Check]]:
        """One check for every promise and case to which it applies."""
        names = [promise.name for promise in self]
        unknown = set(skip) - set(names)
        if unknown:
            raise ValueError(
                f"skip has {', '.join(map(repr, sorted(unknown)))}; the checks are "
                f"{', '.join(names)}."
            )
        return [
            ("-".join(filter(None, (name, case.label))), partial(_run, promise, case))
            for case in cases
            for promise in self
            if (name := promise.name) not in skip and promise.applies(case)
        ]


def _run(promise: Promise, case: Any) -> None:
    try:
        promise.hold(case)
    except Exception as error:
        found = str(error)
        if not isinstance(error, AssertionError):
            found = f"{type(error).__name__}: {found}"
        raise AssertionError(
            f"{case.title} breaks a promise, {promise.name!r}: {promise.sentence}. "
            f"{found}"
        ) from error
