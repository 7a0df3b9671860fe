from django.apps import AppConfig


class ExecutionsConfig(AppConfig):
    name = "ferris_web.executions"
    label = "executions"
