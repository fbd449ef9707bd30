"""Parameters that a class declares by an annotation, a default and a constraint."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect
from dataclasses import Field, dataclass, field, fields, is_dataclass
from typing import Any, ForwardRef, dataclass_transform

from sklmeta.estimator.docs import complete


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
class DeclaredParameters:
    """Makes a keyword-only data class of every subclass, without a decorator.

    An annotated attribute with a value is a parameter with its default; a value alone
    changes the default of an inherited one. An annotation without a value says of what
    type a fitted attribute is (with ``field(init=False)`` type checkers know it too),
    and a `ClassVar` stays what it is. The generated ``__init__`` does nothing but
    assign, which is all that scikit-learn asks of it; its signature begins with the
    parameters of the most derived class.

    `_parameter_constraints` has those of the class's own parameters; what it inherits
    is added. A mixin declares parameters as a plain data class, and may constrain them
    too. A class that writes its own ``__init__`` keeps it, as do those derived from it.
    """

    _parameter_constraints: dict[str, Any] = {}
    _writes_init = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._writes_init = cls._writes_init or "__init__" in vars(cls)
        _make_data_class(cls, init=not cls._writes_init)
        if not cls._writes_init:
            _order_signature(cls)
        _inherit_constraints(cls)
        if cls.__doc__:
            complete(cls, *reversed(cls.__mro__[1:]))


def _declared_by(cls: type) -> list[Field]:
    return [f for f in fields(cls) if f.init] if is_dataclass(cls) else []


def _make_data_class(cls: type, init: bool) -> None:
    annotations = inspect.get_annotations(cls)
    bases = reversed(cls.__mro__[1:])
    inherited = {f.name: f for base in bases for f in _declared_by(base)}
    declared = {
        name: annotation
        for name, annotation in annotations.items()
        if name in vars(cls) or name in inherited
    }
    for name, old in inherited.items():
        if getattr(cls, name, old.default) is not old.default:
            declared.setdefault(name, old.type)
    cls.__annotations__ = declared
    dataclass(init=init, kw_only=True, eq=False, repr=False)(cls)
    cls.__annotations__ = annotations


def _order_signature(cls: type) -> None:
    init: Any = vars(cls)["__init__"]
    order: list[str] = []
    home: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        names = [f.name for f in _declared_by(base)]
        order = [name for name in names if name not in order] + order
        annotated = inspect.get_annotations(base).keys() & names
        home |= dict.fromkeys(annotated, base.__module__)
    signature = inspect.signature(init)
    given = signature.parameters
    ordered = [given[name] for name in ("self", *order)]
    init.__signature__ = signature.replace(parameters=ordered)
    # A name in an annotation is one of the module that declares the parameter. It is
    # looked up when it is asked for, as it may be one for type checkers alone.
    for name, hint in init.__annotations__.items():
        if isinstance(hint, str):
            init.__annotations__[name] = ForwardRef(hint, module=home[name])


def _inherit_constraints(cls: Any) -> None:
    cls._own_constraints = vars(cls).get("_parameter_constraints", {})
    cls._parameter_constraints = {}
    for base in reversed(cls.__mro__):
        own = vars(base).get("_parameter_constraints", {})
        cls._parameter_constraints |= vars(base).get("_own_constraints", own)
