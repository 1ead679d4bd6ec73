"""The only writers of instruments and index members."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import requests
from django.conf import settings
from django.db import connection, transaction

from marketdata import instruments, universe
from marketdata.exchange import hours, instrument_file, listing, splits
from marketdata.exchange.derivatives import Board
from marketdata.exchange.prices import Market
from marketdata.instruments import InstrumentRow
from marketdata.models import IndexMember, Instrument
from marketdata.upstox.rest import USER_AGENT
from mockmarket.core import clock
from mockmarket.core.errors import DomainError

UPSTOX_INSTRUMENTS_URL: Final = "https://assets.upstox.com/market-quote/instruments/exchange"
ROWS_PER_BATCH: Final = 2_000
# A file that would retire more than this share of a segment is more likely damaged than right.
RETIRED_SHARE_MAX: Final = 0.5


class ShrunkFile(DomainError):
    """The file lists so few of the known instruments that it is probably not complete."""

    code = "shrunk_file"


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What an instrument file changed. `skipped` counts rows by reason."""

    added: int
    changed: int
    unchanged: int
    retired: int
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SeedResult:
    """How many rows the bundled universe added, and how many it has."""

    added: int
    total: int


def seed_universe() -> SeedResult:
    """Write the bundled universe; repeating it changes nothing.

    An instrument that a real instrument file already brought keeps its facts (tick, lot, name)
    and only gets its sector and its place in the universe.
    """
    rows = universe.load()
    with transaction.atomic(durable=True):
        known = {
            found.key: found for found in Instrument.objects.filter(key__in=[r.key for r in rows])
        }
        fresh = [_from_universe(row) for row in rows if row.key not in known]
        Instrument.objects.bulk_create(fresh)
        changed = []
        for row in rows:
            found = known.get(row.key)
            if found is not None and (found.sector != row.sector or not found.in_universe):
                found.sector = row.sector or found.sector
                found.in_universe = True
                changed.append(found)
        Instrument.objects.bulk_update(changed, ["sector", "in_universe"])
        _seed_members(rows)
    return SeedResult(added=len(fresh), total=len(rows))


def seed_derivatives(*, at: datetime) -> SyncResult:
    """List the simulated exchange's futures and options of the day; safe to repeat.

    They are those of its default seed. With another seed, or another day's strikes, import the
    exchange's own instrument file with `sync_instruments`.
    """
    market = Market(listings=listing.from_universe(universe.load()), seed=1, hours=hours.hours())
    market.put_splits(splits.kept(settings.VAR_DIR / splits.FILE))
    day, _ = market.hours.position(clock.to_ms(at))
    board = Board(market=market, seed=1, day=day)
    return sync_instruments(data=instrument_file.build([], board.contracts), segments={"NSE_FO"})


def refresh_instruments() -> SyncResult:
    """The source's own instrument files of today: new contracts listed, expired ones retired.

    SENSEX's contracts stand in BSE's file. Raises requests.RequestException, UnreadableFile or
    ShrunkFile; then that file and those after it have changed nothing.
    """
    if settings.MARKET_SOURCE == "simulated":
        base = f"{settings.UPSTOX_REST_URL}/market-quote/instruments/exchange"
        files: dict[str, Collection[str]] = {"NSE": {"NSE_FO"}}
    else:
        base = UPSTOX_INSTRUMENTS_URL
        files = {"NSE": {*instruments.SHARES, "NSE_FO"}, "BSE": {"BSE_FO"}}
    total = SyncResult(added=0, changed=0, unchanged=0, retired=0, skipped={})
    for exchange, segments in files.items():
        url = f"{base}/{exchange}.json.gz"
        response = requests.get(url, headers={"User-Agent": USER_AGENT}, timeout=(5, 60))
        response.raise_for_status()
        found = sync_instruments(data=response.content, segments=segments)
        total = SyncResult(
            added=total.added + found.added,
            changed=total.changed + found.changed,
            unchanged=total.unchanged + found.unchanged,
            retired=total.retired + found.retired,
            skipped=Counter(total.skipped) + Counter(found.skipped),
        )
    return total


def _from_universe(row: universe.UniverseRow) -> Instrument:
    return Instrument(
        key=row.key,
        symbol=row.symbol,
        name=row.name,
        isin=row.isin,
        exchange=row.exchange,
        segment=row.segment,
        instrument_type=row.instrument_type,
        exchange_token=row.exchange_token,
        sector=row.sector,
        tick_size=row.tick_size,
        lot_size=row.lot_size,
        freeze_quantity=row.freeze_quantity,
        cas_eligible=not row.is_index and row.fo_lot_size > 0,
        in_universe=True,
    )


def _seed_members(rows: tuple[universe.UniverseRow, ...]) -> None:
    ids = dict(Instrument.objects.filter(key__in=[r.key for r in rows]).values_list("key", "id"))
    # Staff may correct weights: existing rows stay as they are.
    IndexMember.objects.bulk_create(
        [
            IndexMember(index_id=ids[index], instrument_id=ids[row.key], weight=weight)
            for row in rows
            for index, weight in row.weights.items()
        ],
        ignore_conflicts=True,
    )


def sync_instruments(
    *,
    data: bytes,
    segments: Collection[str] = instruments.SHARES,
    extend_universe: bool = False,
    allow_shrink: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SyncResult:
    """Make the instruments of `segments` those of Upstox's instrument file, in one transaction.

    What the file no longer lists is retired (`active` off), never deleted: orders name it. Our
    own fields (sector, halts, place in the universe) stay. `extend_universe` lists every
    ordinary share of the file on the market page. `progress` gets (rows written, rows to write).
    Raises instruments.UnreadableFile and ShrunkFile; then nothing has changed.
    """
    parsed = instruments.parse(data, segments=segments)
    names = [field.name for field in dataclasses.fields(InstrumentRow)]
    with transaction.atomic(durable=True):
        if connection.vendor == "postgresql":
            # Two imports at once would retire each other's rows: one after the other.
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('sync_instruments'))")
        present = {row.segment for row in parsed.rows}
        known = {
            values[0]: values[1:]
            for values in Instrument.objects.filter(segment__in=present).values_list(
                "key", "active", "in_universe", "segment", *names
            )
        }
        write, added = _differences(parsed, known, names, extend_universe)
        listed = {row.key for row in parsed.rows}
        gone = [key for key, values in known.items() if values[0] and key not in listed]
        if not allow_shrink:
            _refuse_shrinking(gone, known)
        fields = [*names, "active", "in_universe"]
        for start in range(0, len(write), ROWS_PER_BATCH):
            Instrument.objects.bulk_create(
                write[start : start + ROWS_PER_BATCH],
                update_conflicts=True,
                unique_fields=["key"],
                update_fields=[name for name in fields if name != "key"],
            )
            if progress is not None:
                progress(min(start + ROWS_PER_BATCH, len(write)), len(write))
        for start in range(0, len(gone), ROWS_PER_BATCH):
            Instrument.objects.filter(key__in=gone[start : start + ROWS_PER_BATCH]).update(
                active=False
            )
    return SyncResult(
        added=added,
        changed=len(write) - added,
        unchanged=len(parsed.rows) - len(write),
        retired=len(gone),
        skipped=parsed.skipped,
    )


def _differences(
    parsed: instruments.ParsedFile,
    known: Mapping[str, tuple[Any, ...]],
    names: list[str],
    extend_universe: bool,
) -> tuple[list[Instrument], int]:
    """(rows to write, how many of them are new). `known` maps a key to (active, in_universe,
    segment, *names)."""
    tells = any(row.cas_eligible is not None for row in parsed.rows)
    place = 3 + names.index("cas_eligible")
    # The bundled table spells names for people; the file shouts and abbreviates.
    spelled = {row.key: row.name for row in universe.load()}
    write: list[Instrument] = []
    added = 0
    for row in parsed.rows:
        before = known.get(row.key)
        if tells:
            eligible = bool(row.cas_eligible)
        elif parsed.fo_underlyings:
            # The closing auction is for shares with derivatives; older files do not say it.
            eligible = row.segment.endswith("_EQ") and row.key in parsed.fo_underlyings
        else:
            eligible = bool(before[place]) if before else False
        in_universe = bool(before[1]) if before else False
        in_universe = in_universe or (extend_universe and _ordinary(row))
        values = [getattr(row, name) for name in names[:-1]] + [eligible]
        values[names.index("name")] = spelled.get(row.key, row.name)
        if before is not None and before == (True, in_universe, row.segment, *values):
            continue
        added += before is None
        facts = dict(zip(names, values, strict=True))
        write.append(Instrument(**facts, active=True, in_universe=in_universe))
    return write, added


def _ordinary(row: InstrumentRow) -> bool:
    """A share that a student would look for: no bond, no fund unit, no small-company board."""
    return (
        row.segment == "NSE_EQ"
        and row.instrument_type in {"EQ", "BE"}
        and row.security_type in {"", "NORMAL"}
    )


def _refuse_shrinking(gone: Collection[str], known: Mapping[str, tuple[Any, ...]]) -> None:
    active: dict[str, int] = {}
    leaving: dict[str, int] = {}
    for values in known.values():
        active[values[2]] = active.get(values[2], 0) + bool(values[0])
    for key in gone:
        segment = known[key][2]
        leaving[segment] = leaving.get(segment, 0) + 1
    for segment, count in leaving.items():
        # Derivatives expire by thousands; shares and indices do not.
        if not segment.endswith("_FO") and count > max(50, active[segment] * RETIRED_SHARE_MAX):
            raise ShrunkFile(
                f"The file would retire {count} of {active[segment]} instruments of {segment}:"
                " it is probably incomplete. Nothing was changed."
            )
