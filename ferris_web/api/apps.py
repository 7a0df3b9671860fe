from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "ferris_web.api"
    label = "api"
