"""`python -m tasks.forkable INTERPRETER...`: can their scripts be forks of a warm interpreter? For `manage.py doctor`.

Prints a JSON object: for each, why not, or nothing.
"""

from __future__ import annotations

import json
import sys

from tasks.command import inherited
from tasks.warm import refusal


def main() -> None:
    found = {}
    for python in sys.argv[1:]:
        try:
            found[python] = refusal(python, inherited())
        except OSError as error:
            found[python] = f"it cannot be started ({error})"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
