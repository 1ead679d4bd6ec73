"""MockMarket: a campus paper-trading platform for the Indian market."""

from mockmarket.celery import app as celery_app

__version__ = "0.1.0"
__all__ = ["celery_app"]
