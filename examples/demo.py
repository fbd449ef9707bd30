"""Meta-learning against what one would do without it, in three minutes.

Runs the quick start, then one comparison per family: a table against the alternatives,
and a figure in the folder ``output``. ``python examples/demo.py gas`` runs one of them.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib.util
import runpy
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PARTS = {
    "quickstart": "quickstart",
    "drug": "demo_drug_curve",
    "gas": "demo_gas_sensors",
    "parkinsons": "demo_parkinsons",
}


def check_dependencies() -> None:
    """Leave with one clear line where something is missing."""
    if importlib.util.find_spec("sklmeta") is None:
        sys.exit(
            "sklmeta is not installed: run `make demo`, or `pip install -e .[plot]`."
        )
    if importlib.util.find_spec("matplotlib") is None:
        sys.exit("The figures need matplotlib: run `pip install 'sklmeta[plot]'`.")


def main(names: list[str]) -> None:
    """Run the parts that are named, or all of them."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        sys.exit(
            f"There is no part {', '.join(unknown)}; there are {', '.join(PARTS)}."
        )
    check_dependencies()
    import matplotlib

    matplotlib.use("Agg")
    start = time.perf_counter()
    for name in names or PARTS:
        print(f"=== {name} " + "=" * (68 - len(name)), flush=True)
        if name == "quickstart":
            runpy.run_path(str(HERE / "quickstart.py"), run_name="__main__")
        else:
            importlib.import_module(PARTS[name]).run()
        print(f"[{time.perf_counter() - start:.0f} s since the start]\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
