"""How meta-training went."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

from sklmeta.evaluation.containers import inner_estimator
from sklmeta.inspection._drawing import Display, style


class MetaTrainingDisplay(Display):
    """Loss of every epoch of meta-training, and on held-out tasks where there are any.

    Parameters
    ----------
    history : list of dict
        One entry per epoch, as in ``history_``: ``n_iter``, ``train_loss`` and with
        early stopping ``valid_loss``.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.

    figure_ : matplotlib Figure
        Its figure.

    Examples
    --------
    >>> from sklmeta import BayesianLinearRegressor
    >>> from sklmeta.datasets import make_sinusoids
    >>> from sklmeta.inspection import MetaTrainingDisplay
    >>> X, y, task = make_sinusoids(30, random_state=0)
    >>> est = BayesianLinearRegressor(max_iter=200, random_state=0)
    >>> display = MetaTrainingDisplay.from_estimator(est.fit(X, y, task=task))
    >>> [epoch["n_iter"] for epoch in display.history]
    [100, 200]
    """

    def __init__(self, history: list[dict[str, Any]]):
        self.history = history

    @classmethod
    def from_estimator(cls, model: Any, *, ax: Any = None) -> MetaTrainingDisplay:
        """Draw the history of a fitted model.

        Parameters
        ----------
        model : estimator
            A fitted meta-learner, or a container that `sklmeta.adapted` takes.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        MetaTrainingDisplay
        """
        inner = inner_estimator(model)
        if not hasattr(inner, "history_"):
            raise ValueError(
                f"This {type(inner).__name__} has no history: it is not fitted, or a "
                "baseline that trains nothing."
            )
        return cls.from_history(inner.history_, ax=ax)

    @classmethod
    def from_history(
        cls, history: list[dict[str, Any]], *, ax: Any = None
    ) -> MetaTrainingDisplay:
        """Draw a history.

        Parameters
        ----------
        history : list of dict
            One entry per epoch, as in ``history_``.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        MetaTrainingDisplay
        """
        return cls(history).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        curves = (("train_loss", "training tasks"), ("valid_loss", "held-out tasks"))
        for i, (key, label) in enumerate(curves):
            epochs = [epoch for epoch in self.history if key in epoch]
            if not epochs:
                continue
            x = [epoch["n_iter"] for epoch in epochs]
            y = [epoch[key] for epoch in epochs]
            look = style(i)._asdict()
            ax.plot(x, y, label=label, markersize=4, **look)
            if key == "valid_loss":
                best = min(range(len(y)), key=y.__getitem__)
                ax.axvline(x[best], color="0.6", lw=1, ls=":", label="best epoch")
        ax.set_xlabel("Meta-updates")
        ax.set_ylabel("Loss on query rows")
        ax.grid(axis="y", alpha=0.3)
        ax.legend(frameon=False, fontsize="small")
