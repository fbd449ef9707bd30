"""``python -m sklmeta``."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import sys

from sklmeta.cli import main

if __name__ == "__main__":
    sys.exit(main())
