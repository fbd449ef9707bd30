"""Write the three example tables that ship with the package.

    python examples/data/make_tables.py [folder]

They are generated, and look as tables do that people bring: dates, words, gaps, tasks
of different sizes. What is common to all tasks and what is a task's own is written
here; see ``sklmeta.datasets.load_store_sales`` and its neighbours for the columns.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).resolve().parents[2] / "sklmeta" / "datasets" / "tables"
PLACES = [
    "Aspen",
    "Birch",
    "Cedar",
    "Dover",
    "Elgin",
    "Fargo",
    "Galway",
    "Hilo",
    "Ithaca",
    "Jena",
    "Kells",
    "Lugo",
    "Malmo",
    "Nantes",
    "Oslo",
    "Pisa",
    "Quito",
    "Reims",
    "Sligo",
    "Tours",
    "Ulm",
    "Vigo",
    "Wels",
    "York",
    "Zug",
    "Arles",
    "Bari",
    "Cork",
    "Derry",
    "Evora",
    "Faro",
    "Graz",
    "Hove",
    "Imola",
    "Jaca",
]
START = pd.Timestamp("2022-03-01")


def store_sales(rng: np.random.Generator) -> pd.DataFrame:
    """Weekly sales of one product: level, price and promotions work differently."""
    weeks = pd.date_range("2023-01-02", periods=104, freq="7D")
    parts = []
    for place in PLACES:
        n_weeks = int(rng.integers(14, 40))
        start = int(rng.integers(0, len(weeks) - n_weeks))
        date = weeks[start : start + n_weeks]
        price = np.round(rng.normal(4.0, 0.45, n_weeks).clip(2.8, 5.2), 2)
        promo = rng.choice(["none", "leaflet", "display"], n_weeks, p=[0.6, 0.25, 0.15])
        temperature = 12 - 10 * np.cos(
            2 * np.pi * (date.day_of_year.to_numpy() - 20) / 365
        )
        temperature = np.round(temperature + rng.normal(0, 3, n_weeks), 1)
        level = rng.normal(4.6, 0.45)
        elasticity = rng.normal(-1.8, 0.6)
        lifts = {"none": 0.0, "leaflet": rng.normal(0.15, 0.1)}
        lifts["display"] = rng.normal(0.35, 0.2)
        warmth = rng.normal(0.015, 0.008)
        log_sales = (
            level
            + elasticity * np.log(price / 4)
            + np.array([lifts[kind] for kind in promo])
            + warmth * (temperature - 12)
            + rng.normal(0, 0.12, n_weeks)
        )
        temperature[rng.random(n_weeks) < 0.07] = np.nan
        columns = {
            "store": place,
            "week": date.strftime("%Y-%m-%d"),
            "price": price,
            "promotion": promo,
            "temperature": temperature,
            "sales": np.round(np.exp(log_sales), 1),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def machine_states(rng: np.random.Generator) -> pd.DataFrame:
    """State of a machine by its sensors, each with an offset and a gain of its own."""
    states = ["idle", "normal", "worn", "jammed"]
    centres = np.array(
        [[30.0, 0.5, 2.0], [55.0, 2.0, 9.0], [62.0, 4.5, 10.0], [70.0, 3.0, 16.0]]
    )
    spread = np.array([4.0, 0.6, 1.2])
    parts = []
    for number in range(1, 31):
        n_rows = int(rng.integers(24, 48))
        frequency = rng.dirichlet([3.0, 8.0, 2.5, 1.5])
        state = rng.choice(4, n_rows, p=frequency)
        gain = np.exp(rng.normal(0, 0.15, 3))
        offset = rng.normal(0, 1.5, 3) * spread
        sensors = centres[state] + rng.normal(0, 1, (n_rows, 3)) * spread
        sensors = np.round(sensors * gain + offset, 2)
        sensors[rng.random((n_rows, 3)) < 0.03] = np.nan
        columns = {
            "machine": f"M{number:02d}",
            "temperature": sensors[:, 0],
            "vibration": sensors[:, 1],
            "current": sensors[:, 2],
            "shift": rng.choice(["early", "late", "night"], n_rows),
            "state": np.array(states)[state],
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def patient_outcomes(rng: np.random.Generator) -> pd.DataFrame:
    """Visits of patients: a pain score, and whether there was a flare."""
    parts = []
    for number in range(101, 149):
        n_visits = int(rng.integers(8, 18))
        age = int(rng.integers(24, 79))
        first = pd.Timestamp("2022-03-01") + pd.Timedelta(
            days=int(rng.integers(0, 400))
        )
        days = np.cumsum(rng.integers(14, 45, n_visits))
        drug = rng.choice(["methotrexate", "sulfasalazine", "placebo"], n_visits)
        dose = np.where(drug == "placebo", 0.0, rng.choice([10.0, 15, 20], n_visits))
        crp = np.round(np.exp(rng.normal(rng.normal(1.8, 0.5), 0.5, n_visits)), 1)
        relief = {"placebo": 0.0, "methotrexate": abs(rng.normal(0.09, 0.06))}
        relief["sulfasalazine"] = abs(rng.normal(0.06, 0.06))
        pain = (
            rng.normal(5.5, 1.2)
            + rng.normal(0.9, 0.3) * (np.log(crp) - 1.8)
            - np.array([relief[name] for name in drug]) * dose
            + rng.normal(0, 0.5, n_visits)
        )
        flare = rng.random(n_visits) < 1 / (1 + np.exp(-1.4 * (pain - 5.5)))
        crp[rng.random(n_visits) < 0.1] = np.nan
        columns = {
            "patient": number,
            "visit": (first + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d"),
            "age": age,
            "sex": rng.choice(["f", "m"]),
            "drug": drug,
            "dose_mg": dose,
            "crp": crp,
            "pain": np.round(pain.clip(0, 10), 1),
            "flare": np.where(flare, "yes", "no"),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


TABLES = {
    "store_sales": store_sales,
    "machine_states": machine_states,
    "patient_outcomes": patient_outcomes,
}


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, make) in enumerate(TABLES.items()):
        table = make(np.random.default_rng(seed))
        table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
