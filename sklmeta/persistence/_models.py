"""`save` and `load`: skops underneath, types by name, a seal over every byte."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sklmeta.data.files import write_atomically
from sklmeta.persistence._types import check_trees, trusted_types
from sklmeta.persistence._writable import check_writable

_SEAL = re.compile(rb"sklmeta sha256 ([0-9a-f]{64})")
_LENGTH = len("sklmeta sha256 ") + 64
_NEEDS = "Models are kept with skops: pip install 'sklmeta[cli]'."


class ModelFileError(ValueError):
    """A file is damaged, no model, or holds what may run code."""


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to a file that is safe to read.

    The file is written whole or not at all: a failed save leaves what was there. It
    is a skops file with a seal, a SHA-256 over all of its bytes, as the zip's comment.

    Parameters
    ----------
    model : estimator
        Fitted, adapted or not; a pipeline or another estimator that holds one; a dict
        or list of such.
    path : str or path-like
        Usually with the suffix ``.skops``.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError
        If there is no estimator in it.
    ImportError
        If skops is not installed.

    See Also
    --------
    load : Reads it.

    Examples
    --------
    >>> import os, tempfile
    >>> import sklmeta
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(n_tasks=10, random_state=0)
    >>> est = sklmeta.MixedModelRegressor().fit(X, y, task=task)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.skops")
    ...     sklmeta.save(est, path)
    ...     same = sklmeta.load(path)
    >>> bool((same.coef_ == est.coef_).all())
    True
    """
    try:
        import skops.io as skops_io
    except ImportError as error:
        raise ImportError(_NEEDS) from error
    if not _holds_estimator(model):
        raise TypeError(
            "save writes a fitted estimator, or a dict or list that holds one; "
            f"{type(model).__name__} is none."
        )
    path = check_writable(path)
    write_atomically(path, _sealed(skops_io.dumps(model)))


def load(path: str | os.PathLike[str], *, trusted: Iterable[str] = ()) -> Any:
    """Read a model that `save` wrote, or skops with a model of this package.

    Nothing in the file is run. It may hold what scikit-learn, NumPy and this package
    consist of, type by type; another type is refused by its name before anything is
    made of it.

    Parameters
    ----------
    path : str or path-like
        Of the file.
    trusted : iterable of str, default=()
        Full names of further types that you know and trust, such as the class of your
        own network: ``["mypackage.nets.Net"]``.

    Returns
    -------
    model : estimator
        Or what else was saved.

    Raises
    ------
    TypeError
        If `trusted` is one string.
    ModelFileError
        If the file is damaged, no model, or holds a type that is not trusted.
    FileNotFoundError
        If there is no such file.
    ImportError
        If skops is not installed.

    See Also
    --------
    save : Writes it.

    Examples
    --------
    >>> import os, tempfile
    >>> import sklmeta
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(n_tasks=10, random_state=0)
    >>> est = sklmeta.MixedModelRegressor().fit(X, y, task=task)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.skops")
    ...     sklmeta.save(est, path)
    ...     sklmeta.load(path).adapt(X[:5], y[:5]).n_support_
    5
    """
    try:
        import skops.io as skops_io
    except ImportError as error:
        raise ImportError(_NEEDS) from error
    if isinstance(trusted, (str, bool)):
        raise TypeError("trusted= takes a list of full names of types.")
    name = os.fspath(path)
    if not Path(path).exists():
        raise FileNotFoundError(f"There is no file {name}.")
    data = Path(path).read_bytes()
    try:
        _check_seal(data)
        admitted = [*trusted_types(), *trusted]
        strange = sorted({*skops_io.get_untrusted_types(data=data)} - {*admitted})
    # A damaged file stops skops at any line with any error; the reader has no fault.
    except Exception as error:
        raise _not_a_model(name, error) from error
    if strange:
        raise ModelFileError(
            f"{name} holds what a model of sklmeta does not have, and what may run "
            f"code: {', '.join(strange[:5])}. It was not read. If you know and trust "
            "these, name them in trusted=; if not, ask whoever sent the file."
        )
    try:
        model = skops_io.loads(data, trusted=admitted)
        check_trees(model)
    except Exception as error:  # as above
        raise _not_a_model(name, error) from error
    return model


def _holds_estimator(thing: Any) -> bool:
    if isinstance(thing, dict):
        thing = list(thing.values())
    if isinstance(thing, (list, tuple)):
        return any(map(_holds_estimator, thing))
    return hasattr(thing, "get_params") and not isinstance(thing, type)


def _sealed(data: bytes) -> bytes:
    """Give a zip file the SHA-256 of its other bytes as its comment."""
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"sklmeta sha256 " + b"0" * 64
    body = file.getvalue()[:-_LENGTH]
    return body + b"sklmeta sha256 " + hashlib.sha256(body).hexdigest().encode()


def _check_seal(data: bytes) -> None:
    """Compare with the seal; a file without one has the check sums of its members."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        comment = archive.comment
        if not comment:
            broken = archive.testzip()
            if broken is not None:
                raise ValueError(f"{broken} is damaged")
            return
    found = _SEAL.fullmatch(comment)
    if found is None or not data.endswith(comment):
        raise ValueError("the seal is damaged")
    if hashlib.sha256(data[: -len(comment)]).hexdigest().encode() != found[1]:
        raise ValueError("the bytes are not those that were saved")


def _not_a_model(name: str, error: Exception) -> ModelFileError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ModelFileError(
        f"{name} is damaged, or no model that sklmeta or skops wrote ({reason}). Take "
        "another copy, or make the model anew."
    )
