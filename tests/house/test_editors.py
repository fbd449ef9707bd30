"""What an editor shows of an estimator: it reads the source, and runs nothing.

jedi follows `dataclass_transform`, and so completes what an estimator and its bases
declare. It does not run ``__init_subclass__``: its signature begins with the shared
parameters, has an overridden one once for each class, and lacks those of a mixin that
is a data class (`n_way`, `shared_classes`, `likelihood`). The docstring names them all.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields

import jedi
import pytest

import sklmeta
from sklmeta.estimator.faces import MetaClassifierMixin
from sklmeta.estimator.likelihoods import LikelihoodMixin
from sklmeta.estimator.parameters import Parameters

ESTIMATORS = [n for n in sklmeta.__all__ if hasattr(getattr(sklmeta, n), "get_params")]
MIXINS = (MetaClassifierMixin, LikelihoodMixin)
UNSEEN = {field.name for mixin in MIXINS for field in fields(mixin)}


def defaults(cls):
    return {n: p.default for n, p in inspect.signature(cls).parameters.items()}


def hover(name):
    """The section of the parameters, as the source has it."""
    (found,) = jedi.Script(f"import sklmeta\nsklmeta.{name}").help(2, 9)
    sections = re.split(r"\n\n(?=.+\n---)", found.docstring(raw=True))
    return next(text for text in sections if text.startswith("Parameters\n"))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_hover_names_every_parameter(name):
    text = hover(name)
    assert "%(" not in text
    entries = re.findall(r"^(\w.*) :", text, flags=re.MULTILINE)
    named = {n for entry in entries for n in entry.split(", ")}
    named |= set(re.findall(r"`(\w+)[`=]", text))
    assert set(defaults(getattr(sklmeta, name))) <= named


@pytest.mark.parametrize("name", ESTIMATORS)
def test_hover_tells_the_defaults(name):
    cls, text = getattr(sklmeta, name), hover(name)
    own = re.findall(r"^(\w+) : .*default=(.+)$", text, flags=re.MULTILINE)
    shared = re.findall(r"``(\w+)=([^`]+)``", text.partition("See `")[2])
    for parameter, value in own + shared:
        assert ast.literal_eval(value) == defaults(cls)[parameter], parameter
    if issubclass(cls, Parameters):
        usual, described = defaults(Parameters), {n for n, _ in own}
        changed = {n for n in usual if defaults(cls)[n] != usual[n]} - described
        assert changed == {n for n, _ in shared}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_completion_lists_the_parameters(name):
    script = jedi.Script(f"import sklmeta\nsklmeta.{name}(")
    (signature,) = script.get_signatures()
    expected = set(defaults(getattr(sklmeta, name)))
    if issubclass(getattr(sklmeta, name), Parameters):
        expected -= UNSEEN
    assert expected <= {param.name for param in signature.params}
    assert {f"{n}=" for n in expected} <= {c.name for c in script.complete()}
