"""Property tests: no deadline, because machines are busy; no folder of examples beside the code."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ferris", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ferris")
