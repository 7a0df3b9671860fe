from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "ferris_web.accounts"
    label = "accounts"
