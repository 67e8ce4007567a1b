"""`headrace` and `python -m headrace`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from headrace.cli.app import run

    run()


if __name__ == "__main__":
    main()
