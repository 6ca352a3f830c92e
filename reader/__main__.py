"""`python -m reader`: the command, where its script is not on the path."""

from reader.cli import main

if __name__ == "__main__":
    main()
