"""`python -m mtpsl`."""

from mtpsl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
