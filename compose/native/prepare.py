"""Makes what the platform needs inside the servers that the environment names: topics, bucket, templates.

Everything is made by the platform's own adapters, so that nothing is described twice.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ferris import adapters
from ferris.config import PACKAGES_BUCKET, TOPICS
from ferris.errors import FerrisError


def main() -> int:
    try:
        if url := os.environ.get("FERRIS_EVENT_LOG"):
            adapters.open_event_log(url).prepare(TOPICS)  # type: ignore[attr-defined]
        if url := os.environ.get("FERRIS_OBJECT_STORE"):
            adapters.open_object_store(url).prepare([PACKAGES_BUCKET])  # type: ignore[attr-defined]
        if url := os.environ.get("FERRIS_CONFIG_STORE"):
            adapters.open_config_store(url).index()
        if url := os.environ.get("FERRIS_OPS_STORE"):
            adapters.open_ops_store(url).prepare()  # type: ignore[attr-defined]
    except FerrisError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
