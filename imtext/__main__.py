"""``python -m imtext`` is the command ``imtext``."""

import sys

from imtext.cli import main

if __name__ == "__main__":
    sys.exit(main())
