"""Headlines from the sources that administrators keep: fetched, cleaned, matched to shares."""

import calendar
import hashlib
import html
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import feedparser
import nh3
import structlog
from django.db import transaction
from django.db.models import QuerySet

from marketdata import broker, selectors
from marketdata.models import Instrument, NewsItem, NewsSource
from marketdata.safe_fetch import Document, FetchError, fetch
from marketdata.upstox import rest
from mockmarket.core.errors import DomainError

log = structlog.get_logger(__name__)

ENTRIES_MAX: Final = 100
TITLE_MAX: Final = 300
SUMMARY_MAX: Final = 600
LINK_MAX: Final = 1000
# A headline dated further ahead than this has a wrong clock behind it.
FUTURE_MAX: Final = timedelta(minutes=10)
# A call names this many instruments; a turn of the others is as long as the schedule's.
NEWS_KEYS: Final = 30
EVERY_SECONDS: Final = 120
PRESS: Final = (
    (
        "Economic Times, markets",
        "https://economictimes.indiatimes.com/markets/rssfeeds/1977021501.cms",
    ),
    ("Mint, markets", "https://www.livemint.com/rss/markets"),
    ("BusinessLine, markets", "https://www.thehindubusinessline.com/markets/feeder/default.rss"),
)
_SPACES: Final = re.compile(r"\s+")
# Words of a company's name that name no company.
_COMMON: Final = frozenset(
    {
        "limited", "ltd", "india", "indian", "company", "corporation", "corp", "industries",
        "bank", "and", "the", "of", "services", "finance", "financial", "enterprises",
        "international", "global", "power", "steel", "motors", "energy", "exchange",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Headline:
    """One parsed entry: text without markup, an http(s) link, an aware time.

    `keys` are the instruments that the source itself files it under.
    """

    guid: str
    title: str
    summary: str
    link: str
    published_at: datetime
    keys: frozenset[str] = frozenset()


def plain(text: str) -> str:
    """`text` without any markup: tags go, scripts go with their content, entities are read."""
    return _SPACES.sub(" ", html.unescape(nh3.clean(text, tags=set()))).strip()


def parse(document: bytes, *, at: datetime) -> list[Headline]:
    """The entries of an RSS or Atom document, newest first; what is unusable is left out."""
    found: dict[str, Headline] = {}
    for entry in feedparser.parse(document).entries[:ENTRIES_MAX]:
        headline = _headline(entry, at)
        if headline is not None:
            found.setdefault(headline.guid, headline)
    return sorted(found.values(), key=lambda one: one.published_at, reverse=True)


def _headline(entry: Mapping[str, Any], at: datetime) -> Headline | None:
    title = plain(str(entry.get("title") or ""))[:TITLE_MAX]
    link = str(entry.get("link") or "").strip()
    if not title or len(link) > LINK_MAX or urlsplit(link).scheme not in ("http", "https"):
        return None
    parsed = entry.get("published_parsed") or entry.get("updated_parsed")
    published = at if parsed is None else datetime.fromtimestamp(calendar.timegm(parsed), UTC)
    identity = str(entry.get("id") or link)
    return Headline(
        guid=hashlib.sha256(identity.encode()).hexdigest(),
        title=title,
        summary=plain(str(entry.get("summary") or ""))[:SUMMARY_MAX],
        link=link,
        published_at=at if published > at + FUTURE_MAX else published,
    )


def from_exchange(
    rows: Mapping[str, Iterable[Mapping[str, Any]]], *, at: datetime
) -> list[Headline]:
    """Upstox's news by instrument as headlines: one a link, under every share it stands at."""
    keys: dict[str, set[str]] = {}
    entries: dict[str, dict[str, Any]] = {}
    for key, items in rows.items():
        for item in items:
            link = str(item.get("article_link") or "")
            keys.setdefault(link, set()).add(key)
            entries[link] = {
                "title": item.get("heading"),
                "summary": item.get("summary"),
                "link": link,
                "published_parsed": _utc_parts(item.get("published_time")),
            }
    found = [(link, _headline(entry, at)) for link, entry in entries.items()]
    return [replace(one, keys=frozenset(keys[link])) for link, one in found if one is not None]


def _utc_parts(milliseconds: Any) -> time.struct_time | None:
    """As feedparser gives times; None for what is no time."""
    try:
        return time.gmtime(int(milliseconds) / 1000)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


# --- Matching ---------------------------------------------------------------------------
def terms_of(*, symbol: str, name: str) -> tuple[str, ...]:
    """What names a share in a headline: its symbol, and its name without the common words."""
    words = [word for word in re.findall(r"[A-Za-z0-9&]+", name) if word.lower() not in _COMMON]
    terms = [symbol] if len(symbol) >= 3 else []
    if len(words) >= 2 or (words and len(words[0]) >= 5):
        terms.append(" ".join(words[:2]))
    return tuple(dict.fromkeys(terms))


def mentioned(*, text: str, terms: Mapping[int, tuple[str, ...]]) -> list[int]:
    """Ids of the shares that `text` names, as whole words: symbols as written, names in any
    case."""
    found = []
    for key, (*names,) in terms.items():
        for position, term in enumerate(names):
            flags = re.IGNORECASE if " " in term or position else 0
            if re.search(rf"(?<![\w&]){re.escape(term)}(?![\w&])", text, flags):
                found.append(key)
                break
    return found


# --- Sources ---------------------------------------------------------------------------------
def seed() -> int:
    """Write the first sources where there is none; how many were added.

    The price source's own news works without internet. The press stands by, switched off: a
    campus server calls nobody whom an administrator did not choose.
    """
    if NewsSource.objects.exists():
        return 0
    own = NewsSource(name="Price source", kind=NewsSource.Kind.EXCHANGE)
    press = [NewsSource(name=name, url=url, active=False) for name, url in PRESS]
    return len(NewsSource.objects.bulk_create([own, *press]))


# --- Fetching and storing ---------------------------------------------------------------
def refresh(*, at: datetime) -> int:
    """Fetch every active source; how many headlines are new. One bad source harms no other."""
    new = 0
    for source in NewsSource.objects.filter(active=True).order_by("pk"):
        new += refresh_source(source=source, at=at)
    return new


def refresh_source(*, source: NewsSource, at: datetime, client: rest.Client | None = None) -> int:
    """Fetch one source and store what is new; its error is kept on its row."""
    error, new = "", 0
    try:
        if source.kind == NewsSource.Kind.EXCHANGE:
            new = _take_exchange(source, client or rest.Client(token=broker.current_token), at)
        else:
            new = _take_feed(source, at)
    except (FetchError, rest.UpstoxError, DomainError) as failure:
        error = str(failure)[:200]
        log.warning("news source failed", source=source.name, error=error)
    source.fetched_at, source.last_error = at, error
    source.save(update_fields=["fetched_at", "last_error", "etag", "last_modified"])
    return new


def _take_exchange(source: NewsSource, client: rest.Client, at: datetime) -> int:
    """The most active shares each time, the others in turn: two calls."""
    shares = sorted(key for key, facts in selectors.universe().items() if facts.segment == "NSE_EQ")
    active = [
        row.instrument.key for row in selectors.movers(kind="active_value", at=at, limit=NEWS_KEYS)
    ]
    others = [key for key in shares if key not in active] or shares
    turns = max(1, -(-len(others) // NEWS_KEYS))
    turn = int(at.timestamp()) // EVERY_SECONDS % turns
    rows: dict[str, list[dict[str, Any]]] = {}
    for keys in (active, others[turn * NEWS_KEYS : (turn + 1) * NEWS_KEYS]):
        if keys:
            rows |= client.news(keys)
    return store(source=source, headlines=from_exchange(rows, at=at), at=at)


def _take_feed(source: NewsSource, at: datetime) -> int:
    headers = {}
    if source.etag:
        headers["If-None-Match"] = source.etag
    if source.last_modified:
        headers["If-Modified-Since"] = source.last_modified
    document = fetch(source.url, headers=headers)
    return _take(source, document, at) if document.status == 200 else 0


def _take(source: NewsSource, document: Document, at: datetime) -> int:
    headlines = parse(document.body, at=at)
    if not headlines:
        raise FetchError("it has no entries that can be read as RSS or Atom")
    source.etag = document.headers.get("etag", "")[:200]
    source.last_modified = document.headers.get("last-modified", "")[:80]
    return store(source=source, headlines=headlines, at=at)


def store(*, source: NewsSource, headlines: Iterable[Headline], at: datetime) -> int:
    """Store the headlines that are new, with the shares that they name."""
    headlines = list(headlines)
    with transaction.atomic():
        known = set(
            NewsItem.objects.filter(
                source=source, guid__in=[one.guid for one in headlines]
            ).values_list("guid", flat=True)
        )
        fresh = [one for one in headlines if one.guid not in known]
        if not fresh:
            return 0
        found = Instrument.objects.filter(in_universe=True, segment="NSE_EQ")
        rows = list(found.values_list("pk", "key", "symbol", "name"))
        keys = {key: pk for pk, key, _, _ in rows}
        terms = {pk: terms_of(symbol=symbol, name=name) for pk, _, symbol, name in rows}
        for one in fresh:
            item = NewsItem.objects.create(
                source=source,
                guid=one.guid,
                title=one.title,
                summary=one.summary,
                link=one.link,
                published_at=one.published_at,
                fetched_at=at,
            )
            named = {keys[key] for key in one.keys if key in keys}
            named.update(mentioned(text=f"{one.title} {one.summary}", terms=terms))
            item.instruments.set(named)
    return len(fresh)


def items(*, instrument: Instrument | None = None) -> QuerySet[NewsItem]:
    """Headlines, newest first: all, or those that name a share."""
    found = NewsItem.objects.select_related("source").order_by("-published_at", "-pk")
    return found if instrument is None else found.filter(instruments=instrument)
