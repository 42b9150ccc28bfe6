"""`python -m slokit` is the `slokit` command."""

from slokit.cli import main

if __name__ == "__main__":
    main()
