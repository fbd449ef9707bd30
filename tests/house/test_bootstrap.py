"""Tests of the script that prepares the environment of ``make demo`` and ``make test``.

Nothing here needs a network: pip is told that there is no package index.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "bootstrap.py"


@pytest.fixture(scope="module")
def bootstrap():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_project(folder: Path, dependencies: list[str]) -> Path:
    """Write a project with these dependencies and its constraints."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(
        "[project]\n"
        'name = "tiny"\n'
        'version = "1"\n'
        f"dependencies = {dependencies}\n"
        'optional-dependencies = { test = ["pytest"], plot = [] }\n'
    )
    (folder / "constraints.txt").write_text("numpy==1.26.4\n")
    return folder


@pytest.fixture
def fake_install(bootstrap, monkeypatch):
    """Replace the creation of the environment and pip; return the list of calls."""
    calls: list[list[str]] = []

    def run(command, venv):
        calls.append(command)
        if "venv" in command:
            python = bootstrap.venv_python(venv)
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)

    monkeypatch.setattr(bootstrap, "run_logged", run)
    return calls


@pytest.fixture
def fail_install(bootstrap, monkeypatch):
    """Replace pip by one that finds no package index."""

    def run(command, venv):
        raise bootstrap.InstallError("ERROR: No matching distribution found for numpy")

    monkeypatch.setattr(bootstrap, "run_logged", run)


# -- Outcome 1: installed -----------------------------------------------------


def test_installs_once_and_again_after_a_change(bootstrap, fake_install, tmp_path):
    root = write_project(tmp_path / "project", ["numpy>=1.26"])
    options = {
        "root": root,
        "constraints": root / "constraints.txt",
        "extra": "test",
    }
    venv = tmp_path / "venv"

    python = bootstrap.prepare(venv, **options)
    assert python == str(bootstrap.venv_python(venv))
    creation, installation = fake_install
    assert creation[1:3] == ["-m", "venv"]
    constraint = installation[installation.index("-c") + 1]
    assert constraint == str(root / "constraints.txt")
    assert installation[-2:] == ["-e", f"{root}[test]"]

    assert bootstrap.prepare(venv, **options) == python
    assert len(fake_install) == 2  # nothing to do

    (root / "constraints.txt").write_text("numpy==2.4.6\n")
    bootstrap.prepare(venv, **options)
    assert len(fake_install) == 3  # pip again, in the same environment
    assert "install" in fake_install[-1]


def test_keeps_an_environment_that_it_did_not_make(bootstrap, fake_install, tmp_path):
    root = write_project(tmp_path / "project", [])
    venv = tmp_path / "venv"
    python = bootstrap.venv_python(venv)
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (venv / "keep").touch()

    bootstrap.prepare(
        venv, root=root, constraints=root / "constraints.txt", extra="test"
    )
    assert len(fake_install) == 1
    assert "install" in fake_install[0]
    assert (venv / "keep").exists()


def test_refuses_to_replace_a_folder_of_the_user(bootstrap, fake_install, tmp_path):
    root = write_project(tmp_path / "project", [])
    with pytest.raises(bootstrap.BootstrapError, match="VENV="):
        bootstrap.prepare(
            root, root=root, constraints=root / "constraints.txt", extra="test"
        )
    assert fake_install == []


# -- Outcomes 2 and 3: nothing can be installed -------------------------------


@pytest.mark.parametrize("python_extra", ["test", "plot"])
def test_falls_back_to_the_current_interpreter(
    bootstrap, fail_install, tmp_path, capsys, python_extra
):
    root = write_project(tmp_path / "project", ["numpy>=1.26"])
    python = bootstrap.prepare(
        tmp_path / "venv",
        root=root,
        constraints=root / "constraints.txt",
        extra="test",
        needs=python_extra,
    )
    assert python == sys.executable
    said = capsys.readouterr()
    assert said.out == ""
    assert "Nothing can be installed (ERROR: No matching" in said.err
    assert f"Using {sys.executable}" in said.err


def test_no_fallback_on_request(bootstrap, fail_install, tmp_path):
    root = write_project(tmp_path / "project", ["numpy>=1.26"])
    with pytest.raises(bootstrap.BootstrapError, match="cannot install into"):
        bootstrap.prepare(
            tmp_path / "venv",
            root=root,
            constraints=root / "constraints.txt",
            extra="test",
            fallback=False,
        )


def test_says_in_one_line_what_is_missing(bootstrap, fail_install, tmp_path):
    root = write_project(
        tmp_path / "project", ["numpy>=999", "scikit-learn>=1.6", "no-such-thing>=2"]
    )
    with pytest.raises(bootstrap.BootstrapError) as caught:
        bootstrap.prepare(
            tmp_path / "venv",
            root=root,
            constraints=root / "constraints.txt",
            extra="test",
        )
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(r"numpy>=999 \(found \d[\d.]*\); no-such-thing>=2", message)
    assert "no-such-thing>=2 (not installed)" in message
    assert "scikit-learn" not in message


@pytest.mark.parametrize(
    ("dependencies", "status"), [(["numpy>=1.26"], 0), (["numpy>=999"], 1)]
)
def test_command_without_an_index(tmp_path, dependencies, status):
    """The real pip, without an index, in an environment that is there already."""
    root = write_project(tmp_path / "project", dependencies)
    venv = tmp_path / "venv"
    # Without its own packages an environment is made in no time; it borrows pip.
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True
    )
    site = next((venv / "lib").glob("python*/site-packages"))
    pip = Path(importlib.util.find_spec("pip").origin).parent
    (site / "pip").symlink_to(pip, target_is_directory=True)
    environment = os.environ | {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": os.devnull,
    }
    command = [sys.executable, str(SCRIPT), "--venv", str(venv), "--root", str(root)]
    command += ["--constraints", str(root / "constraints.txt")]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    last = done.stderr.splitlines()[-1]
    if status == 0:
        assert done.stdout == sys.executable + "\n"
        assert last.startswith("Nothing can be installed (ERROR: ")
    else:
        assert done.stdout == ""
        assert last.startswith("error: nothing can be installed (ERROR: ")
        assert "numpy>=999 (found " in last


# -- Parts --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirement", "version", "admitted"),
    [
        ("torch>=2.13", "2.13.0+cpu", True),
        ("torch>=2.13", "2.12.1", False),
        ("torch>=2.13", "2.13", True),
        ("numpy>=1.26,<3", "2.4.6", True),
        ("numpy>=1.26, <3", "3.0.0", False),
        ("numpy != 2.0", "2.0.0", False),
        ("numpy==1.26.4", "1.26.4", True),
        ("numpy>1.9", "1.10", True),
        ("pandas<=2.2", "2.2.1", False),
        ("scipy>=1.12", "1.12.0.post1", True),
        ("ruff", "0.0.1", True),
    ],
)
def test_admits_what_packaging_admits(bootstrap, requirement, version, admitted):
    name, bounds = bootstrap.split_requirement(requirement)
    assert bootstrap.admits(bounds, version) is admitted
    parsed = Requirement(requirement)
    assert name == parsed.name
    assert parsed.specifier.contains(version) is admitted


@pytest.mark.parametrize(
    "requirement", ["numpy~=1.26", "numpy; python_version < '4'", "a @ file:///b"]
)
def test_requirements_beyond_plain_bounds_are_refused(bootstrap, requirement):
    with pytest.raises(ValueError, match="cannot read"):
        bootstrap.split_requirement(requirement)


def test_a_package_that_cannot_be_imported_is_missing(bootstrap, monkeypatch):
    def fail(module):
        raise ImportError("libgomp is not there")

    monkeypatch.setattr(bootstrap.importlib, "import_module", fail)
    (phrase,) = bootstrap.missing_requirements(["numpy>=1.26"])
    assert phrase == "numpy>=1.26 (import numpy fails: libgomp is not there)"


def test_an_interpreter_that_does_not_start_lacks_everything(bootstrap):
    (phrase,) = bootstrap.check_interpreter(sys.executable, ["numpy~=1"])
    assert phrase.startswith("a working Python (ValueError: cannot read")


def test_an_unknown_extra_is_an_error(bootstrap, tmp_path):
    root = write_project(tmp_path / "project", [])
    with pytest.raises(bootstrap.BootstrapError, match="no optional dependencies"):
        bootstrap.read_requirements(root / "pyproject.toml", "typo")


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-oldest.txt"])
def test_constraints_pin_every_dependency_at_an_admitted_version(bootstrap, name):
    lines = (ROOT / name).read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    versions = {
        bootstrap.canonical(package): version
        for package, version in (pin.split("==") for pin in pins)
    }
    required = bootstrap.read_requirements(ROOT / "pyproject.toml", "test")
    for requirement in required:
        package, bounds = bootstrap.split_requirement(requirement)
        assert bootstrap.admits(bounds, versions[bootstrap.canonical(package)])


def test_oldest_constraints_are_the_floors(bootstrap):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = (ROOT / "constraints-oldest.txt").read_text().splitlines()
    versions = dict(pin.split("==") for pin in pins if "==" in pin)
    for requirement in project["dependencies"]:
        package, ((operator, floor),) = bootstrap.split_requirement(requirement)
        assert operator == ">="
        assert bootstrap.release(versions[package]) == bootstrap.release(floor)
