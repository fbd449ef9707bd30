"""A parameter is an annotation, a default and a constraint: no decorator, none lost."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect
import pickle
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils import estimator_html_repr

import sklmeta
from sklmeta._compat import Interval
from sklmeta.estimator.declared import DeclaredParameters
from sklmeta.estimator.parameters import Parameters

if TYPE_CHECKING:
    from decimal import Decimal

PUBLIC = [getattr(sklmeta, name) for name in sklmeta.__all__]
DECLARED = [
    cls for cls in PUBLIC if inspect.isclass(cls) and issubclass(cls, Parameters)
]
SHARED = list(inspect.signature(Parameters).parameters)


@dataclass(kw_only=True, eq=False, repr=False)
class PlainMixin:
    depth: int = 3

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "depth": [Interval(Integral, 1, None, closed="left")]
    }


class Mine(PlainMixin, sklmeta.MAMLRegressor):
    """An estimator as somebody else would write it."""

    kind: ClassVar[str] = "mine"
    best_: float
    worst_: float = field(init=False)
    width: int = 7
    price: Decimal | None = None
    inner_lr = 0.05

    _parameter_constraints = {"width": [Interval(Integral, 1, None, closed="left")]}


def names(cls):
    return list(inspect.signature(cls).parameters)


def test_a_parameter_needs_no_decorator():
    est = clone(Mine(width=8))
    assert est.get_params()["width"] == 8 and "width=8" in repr(est)
    assert names(Mine)[:3] == ["width", "price", "depth"]
    assert hash(est) != hash(clone(est)) and est != clone(est)
    assert pickle.loads(pickle.dumps(est)).width == 8
    with pytest.raises(TypeError, match="here it is called 'width'"):
        Mine(widht=8)


def test_a_value_alone_changes_the_default():
    class Faster:
        max_iter = 50

    class Mixed(Faster, Mine):
        pass

    assert Mine().inner_lr == 0.05 and sklmeta.MAMLRegressor().inner_lr == 0.01
    assert Mixed().max_iter == 50 and names(Mixed) == names(Mine)
    assert get_type_hints(sklmeta.MAMLRegressor.__init__)["inner_lr"] is float


def test_a_fitted_attribute_and_a_class_variable_are_no_parameters():
    assert not {"best_", "worst_", "kind"} & set(names(Mine))
    assert {"best_", "worst_", "kind"} <= set(inspect.get_annotations(Mine))
    assert not hasattr(Mine(), "best_") and not hasattr(Mine(), "worst_")


@pytest.mark.parametrize("name", ["width", "depth", "n_query"])
def test_constraints_are_those_of_all_bases(name):
    with pytest.raises(ValueError, match=f"'{name}' parameter of Mine must be"):
        Mine(**{name: 0}).fit(np.ones((4, 2)), np.ones(4))
    assert Mine._own_constraints.keys() == {"width"}


def test_the_most_derived_constraint_and_default_count():
    class Left(DeclaredParameters):
        size: int = 1
        _parameter_constraints = {"size": ["left"]}

    class Right(Left):
        size: int = 2
        _parameter_constraints = {"size": ["right"]}

    class Other(Left):
        pass

    class Both(Other, Right):
        pass

    assert Both().size == 2 and Both._parameter_constraints == {"size": ["right"]}


def test_a_written_init_is_kept():
    class Written(sklmeta.MAMLRegressor):
        def __init__(self, *, alpha=1.0, max_iter=10):
            super().__init__(max_iter=max_iter)
            self.alpha = alpha

    class Derived(Written):
        pass

    assert names(Derived) == ["alpha", "max_iter"]
    assert clone(Derived(alpha=2.0)).get_params() == {"alpha": 2.0, "max_iter": 10}


@pytest.mark.parametrize("cls", DECLARED, ids=lambda cls: cls.__name__)
def test_signature_begins_with_the_algorithm(cls):
    assert names(cls)[-len(SHARED) :] == SHARED
    assert ["self", *names(cls)] == list(inspect.signature(cls.__init__).parameters)
    own = inspect.get_annotations(cls)
    new = [name for name in own if not any(hasattr(b, name) for b in cls.__mro__[1:])]
    assert names(cls)[: len(new)] == new
    assert set(cls._parameter_constraints) == set(names(cls))
    assert cls().get_params(deep=False).keys() == set(names(cls))


@pytest.mark.parametrize("cls", DECLARED, ids=lambda cls: cls.__name__)
def test_annotations_are_of_the_module_that_declares(cls):
    hints = get_type_hints(cls.__init__)
    assert hints.keys() == {"return", *names(cls)}
    assert hints["n_shots"] == int | tuple[int, int]


def test_a_name_for_type_checkers_alone_matters_only_when_asked_for():
    assert Mine().price is None
    with pytest.raises(NameError, match="Decimal"):
        get_type_hints(Mine.__init__)


def test_diagrams_do_not_link_to_scikit_learn():
    est = sklmeta.MAMLRegressor()
    assert est._doc_link_module == "sklmeta" and est._get_doc_link() == ""
    assert "Documentation for MAMLRegressor" not in estimator_html_repr(est)


@pytest.mark.parametrize("cls", [sklmeta.MAMLRegressor, sklmeta.MixedModelRegressor])
def test_diagrams_link_to_our_documentation_once_it_has_an_address(cls, monkeypatch):
    link = "https://docs.invalid/api/sklmeta." + cls.__name__ + ".html"
    monkeypatch.setattr(cls, "_doc_link_template", "https://docs.invalid/{page}.html")
    assert cls()._get_doc_link() == link
    assert link in estimator_html_repr(cls())
