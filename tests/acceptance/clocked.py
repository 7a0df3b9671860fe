"""Services that the clock starts. A cron expression counts in minutes, so these are loaded early."""

from __future__ import annotations

from typing import Any

SERVICES: dict[str, Any] = {
    "TAG_cron": {"manifest.json": {"schedule": "* * * * *", "priority": 1}, "s.py": "print('by the clock')"},
    "TAG_asks": {
        "manifest.json": {"trigger_events": ["TAG.ask"]},
        "s.py": """
            from datetime import datetime, timedelta, timezone
            from ferris_ef import context

            at = datetime.now(timezone.utc) + timedelta(minutes=1)
            once = f"{at.minute} {at.hour} {at.day} {at.month}"
            print(context.scheduler.schedule("TAG_asked", "TAG.later", {"n": 7}, once))
        """,
    },
    "TAG_asked": {
        "s.py": """
            from ferris_ef import context
            print(context.params.get("n"), context.params.get("origin_event_type"))
        """
    },
    "TAG_again": {
        "manifest.json": {"trigger_events": ["TAG.ask"]},
        "s.py": """
            from ferris_ef import context
            if context.params.get("round", 1) == 1:
                context.scheduler.retry(minutes=1, parameters={"round": 2})
            print("round", context.params.get("round", 1))
        """,
    },
}
