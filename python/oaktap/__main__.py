"""The program `oaktap`: `python -m oaktap`."""

import sys

from ._oaktap import main as run


def main():
    sys.exit(run(sys.argv))


if __name__ == "__main__":
    main()
