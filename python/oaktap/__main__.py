"""The program `oaktap`: `python -m oaktap`."""

import signal
import sys

from ._oaktap import main as run


def main():
    # The program ends properly by itself. Python's handler would also run, and raise KeyboardInterrupt afterwards.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(run(sys.argv))


if __name__ == "__main__":
    main()
