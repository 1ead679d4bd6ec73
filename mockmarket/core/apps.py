from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "mockmarket.core"
    label = "core"
    verbose_name = "Accounts and operations"

    def ready(self) -> None:
        from mockmarket.core import checks  # noqa: F401 - importing registers them
