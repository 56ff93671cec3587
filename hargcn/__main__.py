"""`python -m hargcn` is `hargcn`."""

from hargcn.cli import main

if __name__ == "__main__":
    main()
