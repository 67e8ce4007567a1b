"""`python -m tests.chaos.planted serve …`: Headrace, with what HEADRACE_PLANT names planted in it (`one,another`)."""

from __future__ import annotations

import os

from headrace.__main__ import main
from tests.chaos.plants import PLANTS

if __name__ == "__main__":
    for name in os.environ["HEADRACE_PLANT"].split(","):
        PLANTS[name]()
    main()
