"""Six ragged tasks with names, their rows in no order: what is split and judged."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

RNG = np.random.default_rng(0)
SIZES = [12, 20, 9, 15, 30, 11]
NAMES = np.array(["oslo", "bergen", "rome", "bari", "kyoto", "nara"])
TASK = RNG.permutation(np.repeat(NAMES, SIZES))
CODE = np.searchsorted(np.sort(NAMES), TASK)
X = RNG.normal(size=(len(TASK), 2))
Y = (X * RNG.normal(size=(6, 2))[CODE]).sum(1) + RNG.normal(size=6)[CODE]
LABELS = np.where((X * RNG.normal(size=(6, 2))[CODE]).sum(1) > 0, "well", "ill")
OWN = np.char.add(TASK, np.array(["-a", "-b", "-c"])[np.digitize(X[:, 0], [-0.4, 0.4])])
