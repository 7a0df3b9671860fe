"""What an executor counts. With Celery's pool of threads (`-P threads`) all of it is in one process."""

from __future__ import annotations

from ferris.adapters.prometheus import counter, gauge, histogram

CLAIM_SECONDS = histogram("ferris_claim_seconds", "From a doorbell to the answer to its claim.")
REFUSED = counter("ferris_claims_refused_total", "Doorbells for what was not to be run any more.")
UNCLAIMED = counter("ferris_claims_failed_total", "Doorbells that the web process did not answer.")
START_SECONDS = histogram(
    "ferris_script_start_seconds", "From a doorbell to the first line of the first script."
)
ATTEMPT_SECONDS = histogram(
    "ferris_attempt_seconds",
    "From a claim to the last report.",
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600),
)
ATTEMPTS = counter("ferris_attempts_total", "Attempts that ended, by how.", ("outcome",))
RUNNING = gauge("ferris_attempts_running", "Attempts that run now.")
REPORTER = gauge("ferris_reporter_records", "Records that wait to be written to the event log.")
HEARTBEATS = counter("ferris_heartbeats_failed_total", "Heartbeats that the web process did not answer.")
