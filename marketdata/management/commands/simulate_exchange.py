"""`manage.py simulate_exchange`: an exchange that speaks Upstox's wire."""

import argparse
import logging
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketdata import universe
from marketdata.exchange import hours, listing, recordings, splits
from marketdata.exchange.app import Exchange
from marketdata.exchange.feed_server import FeedServer
from marketdata.exchange.prices import Market
from marketdata.exchange.replay import ReplaySource
from marketdata.exchange.rest_server import Rest
from marketdata.exchange.simulated import SimulatedSource
from marketdata.exchange.source import Source
from marketdata.exchange.splits import Splits
from mockmarket.core import clock


class Command(BaseCommand):
    help = "Run the simulated exchange: Upstox's V3 feed and REST over seeded prices."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8765)
        parser.add_argument("--seed", type=int, default=1, help="the same seed repeats a day")
        parser.add_argument("--instruments", type=int, default=0, help="shares listed; 0: all")
        parser.add_argument("--tick-rate", type=float, default=3.0, help="a second and instrument")
        parser.add_argument("--speed", type=float, default=1.0, help="how fast prices live")
        parser.add_argument(
            "--replay",
            metavar="DAY",
            help="serve a recorded day instead: a date in VAR_DIR/recordings, a file or a folder",
        )
        parser.add_argument(
            "--original-times", action="store_true", help="replay with the times of the recording"
        )
        parser.add_argument("--beat-ms", type=int, default=50, help="time between frames")
        parser.add_argument("--token", help="the only bearer token accepted; any when left out")
        parser.add_argument("--latency-ms", type=int, default=0, help="added to frames and answers")
        parser.add_argument(
            "--rate-limits", action="store_true", help="answer 429 where Upstox would"
        )
        parser.add_argument(
            "--connections-max", type=int, help="feed connections a token may hold (Upstox: 2)"
        )
        parser.add_argument("--tls-certificate", help="PEM file; serves wss and https")
        parser.add_argument("--tls-key", help="PEM file of the certificate's key")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["beat_ms"] < 5 or options["tick_rate"] <= 0 or options["speed"] <= 0:
            raise CommandError("--beat-ms must be 5 or more, --tick-rate and --speed positive.")
        source = _replayed(options) if options["replay"] else _simulated(options)
        feed = FeedServer(source=source, now_ms=clock.now_ms, beat_ms=options["beat_ms"])
        app = Exchange(
            feed=feed,
            rest=Rest(source),
            now_ms=clock.now_ms,
            token=options["token"],
            latency_ms=options["latency_ms"],
            rate_limits=options["rate_limits"],
            connections_max=options["connections_max"],
            splits=_splits(source),
        )
        config = uvicorn.Config(
            app,
            host=options["host"],
            port=options["port"],
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            log_level="warning",
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=2,
            ssl_certfile=options["tls_certificate"],
            ssl_keyfile=options["tls_key"],
        )
        logging.getLogger("uvicorn.error").addFilter(_not_a_redirect)
        what = f"seed {options['seed']}"
        if isinstance(source, ReplaySource):
            what = f"replay of {source.recorded_on} at {options['speed']:g}x"
        self.stdout.write(
            f"Exchange on {options['host']}:{options['port']}: {len(source.listings)} instruments,"
            f" {what}"
        )
        uvicorn.Server(config).run()


def _splits(source: Source) -> Splits | None:
    """A recorded day is as it was; only the simulated market can be split."""
    if not isinstance(source, SimulatedSource):
        return None
    return Splits(source, settings.VAR_DIR / splits.FILE)


def _not_a_redirect(record: logging.LogRecord) -> bool:
    """uvicorn calls every handshake that is answered by HTTP (our 302) an error."""
    return "without completing handshake" not in record.getMessage()


def _replayed(options: dict[str, Any]) -> Source:
    names = {row.key: row for row in listing.from_universe(universe.load())}
    path = recordings.find(options["replay"], recordings=settings.VAR_DIR / "recordings")
    try:
        return ReplaySource(
            recording=recordings.load(path),
            speed=options["speed"],
            original_times=options["original_times"],
            names=names,
        )
    except recordings.NoRecording as error:
        raise CommandError(str(error)) from error


def _simulated(options: dict[str, Any]) -> Source:
    listings = listing.from_universe(universe.load())
    shares = [row for row in listings if not row.is_index]
    if 0 < options["instruments"] < len(shares):
        shares = shares[: options["instruments"]]
    market = Market(
        listings=[row for row in listings if row.is_index] + shares,
        seed=options["seed"],
        hours=hours.hours(),
    )
    return SimulatedSource(
        market=market,
        seed=options["seed"],
        tick_rate=options["tick_rate"],
        beat_ms=options["beat_ms"],
        speed=options["speed"],
        started_ms=clock.now_ms(),
    )
