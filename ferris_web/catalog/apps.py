from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "ferris_web.catalog"
    label = "catalog"
