"""`python -m tests.chaos.planted serve …`: Headrace, with what HEADRACE_PLANT names planted in it."""

from __future__ import annotations

import os

from headrace.__main__ import main
from tests.chaos.plants import PLANTS

if __name__ == "__main__":
    PLANTS[os.environ["HEADRACE_PLANT"]]()
    main()
