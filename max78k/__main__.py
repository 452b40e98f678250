"""``python -m max78k``: the same as the ``max78k`` command."""

from max78k.cli.main import main

if __name__ == "__main__":
    main()
