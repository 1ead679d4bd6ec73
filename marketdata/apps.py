from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MarketDataConfig(AppConfig):
    name = "marketdata"
    verbose_name = "Market data"

    def ready(self) -> None:
        from marketdata import timescale

        post_migrate.connect(timescale.after_migrate, sender=self)
