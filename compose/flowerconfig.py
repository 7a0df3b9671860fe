"""Flower's configuration: `celery -A celery_app flower --conf=compose/flowerconfig.py`.

Flower looks and does not touch: what a person wants changed, the console changes, which also records it. Nothing
of it is open, and it does not start without a password. A line of this file that Flower knows by name is an option.
"""

import sys

from flower.views.monitor import Metrics
from tornado.web import authenticated

from ferris.config import Settings

_settings = Settings.from_env()
if not _settings.flower_password:
    sys.exit("FERRIS_FLOWER_PASSWORD is not set: set it to a random text, Flower asks for it (user admin)")

address = _settings.host
port = _settings.flower_port
basic_auth = [f"admin:{_settings.flower_password}"]
read_only = True
inspect_timeout = 3000.0  # milliseconds that a busy worker may take to answer
Metrics.get = authenticated(Metrics.get)  # the one page with figures that Flower leaves open

# The lengths of the queues come from RabbitMQ's management API.
broker_api = _settings.broker_api_url or None

tasks_columns = "name,args,state,result,exception,received,runtime,worker"
max_tasks = 10_000  # in memory; the console has all of them
purge_offline_workers = 3600
