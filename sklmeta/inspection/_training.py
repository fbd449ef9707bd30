"""How meta-training went."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

from sklmeta.evaluation.containers import inner_estimator
from sklmeta.inspection._drawing import Display, plain, style


class MetaTrainingDisplay(Display):
    """Loss of every epoch of meta-training, and on held-out tasks where there are any.

    Parameters
    ----------
    history : list of dict
        One entry per epoch, as in ``history_``: ``n_iter``, ``train_loss`` and with
        early stopping ``valid_loss``.

    name : str, default="model"
        Name in the title.

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

    def __init__(self, history: list[dict[str, Any]], *, name: str = "model"):
        self.history = history
        self.name = name

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

        Raises
        ------
        ValueError
            If the model has no history.
        """
        inner = inner_estimator(model)
        if not hasattr(inner, "history_"):
            raise ValueError(
                f"This {type(inner).__name__} has no history: it is not fitted, or a "
                "baseline that trains nothing."
            )
        return cls(inner.history_, name=type(inner).__name__).plot(ax=ax)

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
            if len(x) == 1:  # a point, which has no line
                look["linestyle"] = "none"
                ax.set_xticks(x)
            ax.plot(x, y, label=label, markersize=8 if len(x) == 1 else 4, **look)
            if key == "valid_loss" and len(x) > 1:
                best = min(range(len(y)), key=y.__getitem__)
                ax.axvline(x[best], color="0.6", lw=1, ls=":", label="best epoch")
        ax.set_title(f"Meta-training of {plain(self.name)}: {self._how_long()}")
        ax.set_xlabel("Meta-updates")
        ax.set_ylabel("Loss on query rows")
        ax.grid(axis="y", alpha=0.3)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False, fontsize="small")

    def _how_long(self) -> str:
        n_epochs = len(self.history)
        if not n_epochs:
            return "no epoch"
        epochs = "one epoch" if n_epochs == 1 else f"{n_epochs:,} epochs"
        return f"{epochs}, {self.history[-1]['n_iter']:,} updates"
