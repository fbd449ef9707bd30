"""Every example of the gallery runs, on small settings, without a warning."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

plt = pytest.importorskip("matplotlib.pyplot")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GALLERY = sorted(EXAMPLES.glob("plot_*.py"))

# Settings of each example that cost time, and what the tests put in their place.
SMALL = {
    "plot_molecules": {
        "N_MOLECULES": 400,
        "N_ASSAYS": 2,
        "MAX_ITER": 2,
        "N_DRAWS": 1,
    },
    "plot_cross_domain": {
        "N_OLD": 12,
        "N_NEW": 4,
        "N_ROWS": 15,
        "MAX_ITER": 2,
    },
    "plot_activity": {
        "MAX_ITER": 2,
        "N_TREES": 2,
        "N_FOLDS": 2,
        "N_DRAWS": 1,
        "N_ARRAYS": 8,
        "N_LABELLED": [2],
    },
    "plot_hyperparameter_transfer": {
        "TABLES": ["diabetes", "iris", "wine"],
        "N_SETS": 3,
        "N_VALUES": 4,
        "MAX_ITER": 2,
        "N_STEPS": 2,
        "N_STARTS": 1,
    },
    "plot_task_similarity": {"MAX_ITER": 2},
    "plot_schools_pigs_sleep": {
        "STUDIES": {"sleepstudy": (["Days"], "sleepers", (18, 10, (9, 9), (9, 9, 9)))},
        "MAX_ITER": 2,
        "MAX_ITER_PLANTS": 2,
        "N_FOLDS": 2,
        "N_PLANTS": 12,
        "N_NEW": 10,
        "SPREADS": [0, 12],
    },
    "plot_nested_search": {
        "N_PATIENTS": 15,
        "N_KNOTS": [3, 4],
        "N_FOLDS": 2,
        "N_DRAWS": 1,
        "N_JOBS": 1,
    },
    "plot_one_shot_characters": {
        "DATA_HOME": "nowhere",  # reading thirty thousand drawings takes a while
        "MAX_ITER": 2,
        "SHOTS": [1],
        "N_DRAWS": 1,
        "N_PAIRS": 20,
    },
    "plot_own_module": {
        "N_PATIENTS": 12,
        "N_NEW": 10,
        "MAX_ITER": 6,
        "MAX_ITER_DEFAULT": 2,
    },
    "plot_intents": {
        "N_NEW": 3,
        "MAX_ITER": 2,
        "N_COMPONENTS": 20,
        "SHOTS": [1, 5],
        "N_DRAWS": 1,
    },
    "plot_new_hospital": {
        "SHOTS": [5],
        "N_DRAWS": 1,
        "MAX_ITER": 2,
    },
    "plot_new_learner": {
        "N_PATIENTS": 12,
        "N_NEW": 10,
        "MAX_ITER": 2,
        "CHECK_ESTIMATOR": False,
    },
    "plot_robot_arm": {
        "N_LOADS": 12,
        "N_NEW": 6,
        "N_ROWS": 100,
        "MAX_ITER": 2,
        "DT": 0.005,
        "N_FRAMES": 2,
    },
    "plot_new_patients": {
        "MAX_ITER": 2,
        "N_TREES": 2,
        "SHOTS": [3],
        "N_FOLDS": 2,
        "N_DRAWS": 1,
        "N_COPIES": 2,
        "N_STAND_IN": 24,
    },
    "plot_sinusoids": {
        "N_OLD": 20,
        "N_NEW": 5,
        "MAX_ITER_MAML": 2,
        "MAX_ITER_NEURAL_PROCESS": 2,
        "MAX_ITER": 2,
    },
    "plot_thermistors": {
        "N_DEVICES": 12,
        "N_NEW": 6,
        "N_ROWS": 8,
        "SHIFTS": [0, 1],
        "MAX_ITER": 2,
    },
    "plot_recommendation": {
        "N_VIEWERS": 24,
        "N_FILMS": 40,
        "SHOTS": [0, 5],
        "MAX_ITER": 2,
        "N_TASTES": 1,
        "N_NEIGHBOURS": 3,
    },
}


def with_settings(source, settings):
    """The source with other values in its module-level assignments."""
    lines = source.splitlines(keepends=True)
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, node)
    for name, value in settings.items():
        node = found[name]
        lines[node.lineno - 1] = f"{name} = {value!r}\n"
        for i in range(node.lineno, node.end_lineno):
            lines[i] = "\n"
    return "".join(lines)


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path, monkeypatch, capsys):
    shown = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    plt.switch_backend("Agg")
    small = tmp_path / path.name
    source = path.read_text("utf-8")
    small.write_text(with_settings(source, SMALL[path.stem]), "utf-8")
    try:
        runpy.run_path(str(small), run_name="__main__")
    finally:
        plt.close("all")
    assert shown and shown[-1], "an example ends in a picture"
    assert capsys.readouterr().out, "an example prints what it found"


def test_every_entry_is_of_an_example():
    assert set(SMALL) == {path.stem for path in GALLERY}
