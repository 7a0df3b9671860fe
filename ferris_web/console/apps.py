from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "ferris_web.console"
    label = "console"
