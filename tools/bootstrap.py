"""Prepare the Python environment that the ``make`` targets run in.

Prints the path of the interpreter to use on standard output and everything else
on standard error, so that a Makefile can write ``py=$(python tools/bootstrap.py)``.

The environment is a virtual environment holding the project, its dependencies at
the versions pinned in a constraints file, and one extra. It is made once and again
whenever ``pyproject.toml`` or the constraints change. Where nothing can be
installed (no package index), an interpreter that already has every dependency at
an admitted version is used instead, and a line says so.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP = "installed-from"
LOG = "install-errors.log"

_COMPARISONS = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}


class BootstrapError(Exception):
    """No environment can be offered; the message is one line for the user."""


class InstallError(Exception):
    """The virtual environment could not be made or filled."""


# -- What pyproject.toml asks for ---------------------------------------------


def read_requirements(pyproject: Path, extra: str) -> list[str]:
    """Return the project's dependencies, those of `extra` included."""
    import tomllib  # Python >= 3.11, which main() has checked by now

    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    if extra not in extras:
        raise BootstrapError(f"error: {pyproject} has no optional dependencies {extra}")
    return [*project.get("dependencies", []), *extras[extra]]


def release(version: str) -> tuple[int, ...]:
    """Return the release numbers of a version: "2.13.0+cpu" gives (2, 13).

    Trailing zeros are dropped, so that 2.13 and 2.13.0 are equal. Pre-releases and
    local builds count as their release: whoever runs one has chosen it.
    """
    match = re.match(r"\d+(\.\d+)*", version)
    if match is None:
        raise ValueError(f"{version!r} is not a version number")
    numbers = [int(part) for part in match[0].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def split_requirement(requirement: str) -> tuple[str, list[tuple[str, str]]]:
    """Split "numpy>=1.26,<3" into "numpy" and [(">=", "1.26"), ("<", "3")]."""
    match = re.fullmatch(
        r"([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?([<>=!,.\d\s]*)", requirement.strip()
    )
    if match is None:
        raise ValueError(
            f"cannot read the requirement {requirement!r}: only a name and plain "
            "version bounds are understood here"
        )
    bounds = []
    for bound in filter(None, (part.strip() for part in match[2].split(","))):
        parsed = re.fullmatch(r"(>=|<=|==|!=|>|<)\s*(\d[\d.]*)", bound)
        if parsed is None:
            raise ValueError(f"cannot read the version bound {bound!r}")
        bounds.append((parsed[1], parsed[2]))
    return match[1], bounds


def admits(bounds: list[tuple[str, str]], version: str) -> bool:
    """Return whether a version lies within all bounds."""
    found = release(version)
    return all(_COMPARISONS[op](found, release(limit)) for op, limit in bounds)


# -- What an interpreter has --------------------------------------------------


def missing_requirements(requirements: list[str]) -> list[str]:
    """Say, one phrase each, which requirements this interpreter does not meet."""
    modules: dict[str, list[str]] = {}
    for module, owners in metadata.packages_distributions().items():
        for owner in owners:
            modules.setdefault(canonical(owner), []).append(module)
    phrases = (missing(requirement, modules) for requirement in requirements)
    return [phrase for phrase in phrases if phrase]


def missing(requirement: str, modules: dict[str, list[str]]) -> str | None:
    """Say why one requirement is not met; None when it is."""
    name, bounds = split_requirement(requirement)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{requirement} (not installed)"
    if not admits(bounds, version):
        return f"{requirement} (found {version})"
    # A broken install has metadata and cannot be imported.
    for module in importable(canonical(name), modules):
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            return f"{requirement} (import {module} fails: {error})"
    return None


def importable(name: str, modules: dict[str, list[str]]) -> list[str]:
    """Return the modules to import: the namesake if there is one, else all public.

    Names that are not identifiers are the stub packages of type checkers.
    """
    owned = modules.get(name, [])
    namesake = name.replace("-", "_")
    if namesake in owned:
        return [namesake]
    return [m for m in owned if m.isidentifier() and not m.startswith("_")]


def canonical(name: str) -> str:
    """Return the normalised name of a distribution."""
    return re.sub(r"[-_.]+", "-", name).lower()


def check_interpreter(python: str, requirements: list[str]) -> list[str]:
    """Run `missing_requirements` under another interpreter."""
    answer = subprocess.run(
        [python, str(Path(__file__).resolve()), "--check", *requirements],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        return [f"a working Python ({last})"]
    return json.loads(answer.stdout.splitlines()[-1])


# -- The virtual environment --------------------------------------------------


def venv_python(venv: Path) -> Path:
    """Return the path of the interpreter of a virtual environment."""
    if os.name == "nt":
        return venv / "Scripts" / "python.exe"
    return venv / "bin" / "python"


def fingerprint(python: str, sources: list[Path], extra: str) -> str:
    """Return a digest of everything that the installation depends on."""
    digest = hashlib.sha256()
    for text in (python, str(ROOT), extra, *(p.read_text("utf-8") for p in sources)):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def works(python: Path) -> bool:
    """Return whether an environment's interpreter starts and has pip."""
    try:
        command = [str(python), "-c", "import pip"]
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def make_venv(venv: Path) -> None:
    """Create the virtual environment, or keep the one that is there and works."""
    if works(venv_python(venv)):
        return
    if venv.exists() and any(venv.iterdir()) and not (venv / "pyvenv.cfg").exists():
        raise BootstrapError(
            f"error: {venv} exists and is no virtual environment; "
            "name another folder with VENV=..."
        )
    say(f"Creating a virtual environment in {venv}")
    run_logged([sys.executable, "-m", "venv", "--clear", str(venv)], venv)


def install(venv: Path, root: Path, constraints: Path, extra: str) -> None:
    """Install the project with one extra into the environment."""
    say(f"Installing the project into {venv} (minutes, the first time)")
    pip = [str(venv_python(venv)), "-m", "pip", "--disable-pip-version-check"]
    what = ["install", "-c", str(constraints), "-e", f"{root}[{extra}]"]
    run_logged([*pip, *what], venv)


def run_logged(command: list[str], venv: Path) -> None:
    """Run a command, show its downloads, and raise with its error if it fails."""
    lines = []
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in map(str.strip, process.stdout):
            lines.append(line)
            if line.startswith(("Downloading ", "Installing collected")):
                say("  " + (line if len(line) < 80 else line[:77] + "..."))
    if process.returncode != 0:
        if venv.is_dir():
            (venv / LOG).write_text("\n".join(lines) + "\n", encoding="utf-8")
        errors = [line for line in lines if line.startswith("ERROR:")]
        raise InstallError((errors or [*filter(None, lines)] or ["no message"])[-1])


def prepare(
    venv: Path,
    *,
    root: Path = ROOT,
    constraints: Path,
    extra: str,
    needs: str | None = None,
    fallback: bool = True,
) -> str:
    """Return the path of an interpreter that can run the project.

    Parameters
    ----------
    venv : Path
        Where the virtual environment is, or shall be.
    root : Path
        The folder with ``pyproject.toml``.
    constraints : Path
        The versions to install.
    extra : str
        The optional dependencies to install.
    needs : str or None, default=None
        The optional dependencies that must be there when nothing can be installed;
        None means `extra`.
    fallback : bool, default=True
        Whether another interpreter may be used when nothing can be installed.

    Raises
    ------
    BootstrapError
        If nothing can be installed and no interpreter has what is needed.
    """
    pyproject = root / "pyproject.toml"
    python = venv_python(venv)
    stamp = venv / STAMP
    wanted = fingerprint(str(python), [pyproject, constraints], extra)
    if stamp.is_file() and stamp.read_text("utf-8") == wanted and works(python):
        return str(python)
    try:
        make_venv(venv)
        install(venv, root, constraints, extra)
    except InstallError as error:
        if not fallback:
            raise BootstrapError(
                f"error: cannot install into {venv}: {error}"
            ) from None
        return fall_back(venv, pyproject, needs or extra, str(error))
    stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def fall_back(venv: Path, pyproject: Path, needs: str, reason: str) -> str:
    """Return an interpreter that has the dependencies already, or say what lacks."""
    requirements = read_requirements(pyproject, needs)
    candidates = [sys.executable]
    if venv_python(venv).exists():
        candidates.insert(0, str(venv_python(venv)))
    for python in candidates:
        lacking = check_interpreter(python, requirements)
        if not lacking:
            say(
                f"Nothing can be installed ({reason}). Using {python}, which has "
                "every dependency at an admitted version."
            )
            return python
    raise BootstrapError(
        f"error: nothing can be installed ({reason}) and {sys.executable} lacks: "
        + "; ".join(lacking)
    )


def say(message: str) -> None:
    """Print for the user, off the channel that the Makefile reads."""
    print(message, file=sys.stderr, flush=True)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Prepare the Python environment.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    parser.add_argument("--extra", default="test", help="what to install")
    parser.add_argument("--needs", help="what a fallback must have (default: extra)")
    parser.add_argument("--no-fallback", action="store_true")
    parser.add_argument("--check", nargs="+", metavar="REQUIREMENT")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parse_arguments(arguments)
    if options.check:
        print(json.dumps(missing_requirements(options.check)))
        return 0
    if sys.version_info < (3, 11):  # noqa: UP036 - the point is to say so
        found = f"{sys.executable} is Python {sys.version.split()[0]}"
        say(f"error: {found}; 3.11 or later is needed (make PYTHON=...)")
        return 1
    try:
        python = prepare(
            options.venv.absolute(),
            root=options.root.resolve(),
            constraints=options.constraints.resolve(),
            extra=options.extra,
            needs=options.needs,
            fallback=not options.no_fallback,
        )
    except BootstrapError as error:
        say(str(error))
        return 1
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
