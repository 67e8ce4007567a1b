"""The benchmark behind `./dev bench`: every figure of the README in one run, each beside a reference measured with it.

The server runs on one core and everything that loads it on another; data lies in a temporary directory; only
127.0.0.1 is used. `rows/` has one file for each group of figures, `load/` the clients, `reference/` what Headrace is
compared with. Nothing here is imported by the program.
"""
