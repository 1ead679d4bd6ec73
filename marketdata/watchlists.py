"""Watchlists: a user's named, ordered lists, together at most as many as a socket may follow."""

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.db.models import Count, Max

from marketdata.models import Instrument, Watchlist, WatchlistItem
from marketdata.selectors import Facts
from mockmarket.core.errors import DomainError, NotFound
from mockmarket.core.models import User

LISTS_MAX = 5
INSTRUMENTS_MAX = 100
NAME_LENGTH_MAX = 40


class WatchlistFull(DomainError):
    """All lists of a user hold as many instruments as they may."""

    code = "watchlist_full"
    status = 409


class TooManyWatchlists(DomainError):
    code = "too_many_watchlists"
    status = 409


class InvalidName(DomainError):
    code = "invalid_name"


def lists(*, user: User) -> list[Watchlist]:
    """The user's lists in order, each with `size`."""
    return list(
        Watchlist.objects.filter(user=user).annotate(size=Count("items")).order_by("position", "pk")
    )


def access(*, user: User, watchlist_id: int) -> Watchlist:
    """One of the user's own lists; raises NotFound."""
    found = Watchlist.objects.filter(user=user, pk=watchlist_id).first()
    if found is None:
        raise NotFound("You have no such watchlist.")
    return found


def instruments(*, watchlist: Watchlist) -> list[Instrument]:
    """A list's instruments in its order."""
    items = watchlist.items.select_related("instrument").order_by("position", "pk")
    return [item.instrument for item in items]


def facts(*, watchlist: Watchlist) -> list[Facts]:
    """What a page shows of a list's instruments, in its order."""
    items = watchlist.items.order_by("position", "pk")
    columns = (f"instrument__{name}" for name in ("key", "symbol", "name", "segment", "sector"))
    return [Facts(*row) for row in items.values_list(*columns)]


def create(*, user: User, name: str) -> Watchlist:
    """A new, empty list. Raises InvalidName, TooManyWatchlists."""
    name = _checked(name)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        count = Watchlist.objects.filter(user=user).count()
        if count >= LISTS_MAX:
            raise TooManyWatchlists(f"You have {LISTS_MAX} watchlists, which is the most.")
        try:
            with transaction.atomic():
                return Watchlist.objects.create(user=user, name=name, position=count)
        except IntegrityError:
            raise _taken(name) from None


def rename(*, watchlist: Watchlist, name: str) -> None:
    """Raises InvalidName."""
    watchlist.name = _checked(name)
    try:
        with transaction.atomic():
            watchlist.save(update_fields=["name"])
    except IntegrityError:
        raise _taken(watchlist.name) from None


def delete(*, watchlist: Watchlist) -> None:
    """Removes a list with its items."""
    watchlist.delete()


def add(*, user: User, instrument: Instrument, watchlist: Watchlist | None = None) -> Watchlist:
    """Puts an instrument at the end of a list; the first list, made if missing, by default.

    Adding what is there changes nothing. Raises WatchlistFull.
    """
    with transaction.atomic():
        # The user's row serialises additions, so that the ceiling over all lists holds.
        User.objects.select_for_update().get(pk=user.pk)
        target = watchlist or Watchlist.objects.filter(user=user).order_by("position", "pk").first()
        if target is None:
            target = Watchlist.objects.create(user=user, name="Watchlist")
        if target.items.filter(instrument=instrument).exists():
            return target
        if WatchlistItem.objects.filter(watchlist__user=user).count() >= INSTRUMENTS_MAX:
            raise WatchlistFull(
                f"Your watchlists hold {INSTRUMENTS_MAX} shares, the most there may be. Remove one."
            )
        last = target.items.aggregate(last=Max("position"))["last"]
        WatchlistItem.objects.create(
            watchlist=target, instrument=instrument, position=0 if last is None else last + 1
        )
        return target


def remove(*, watchlist: Watchlist, instrument_key: str) -> None:
    """Takes an instrument off a list; nothing happens when it is not there."""
    watchlist.items.filter(instrument__key=instrument_key).delete()


def reorder(*, watchlist: Watchlist, keys: Sequence[str]) -> None:
    """Puts a list in the order of `keys`; instruments not named keep their order at the end."""
    place = {key: number for number, key in enumerate(keys)}
    with transaction.atomic():
        items = list(watchlist.items.select_related("instrument").order_by("position", "pk"))
        items.sort(key=lambda item: place.get(item.instrument.key, len(place)))
        for number, item in enumerate(items):
            item.position = number
        WatchlistItem.objects.bulk_update(items, ["position"])


def _checked(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > NAME_LENGTH_MAX:
        message = f"Give the list a name of 1 to {NAME_LENGTH_MAX} characters."
        raise InvalidName(message, fields={"name": message})
    return name


def _taken(name: str) -> InvalidName:
    message = f"You already have a list called {name}."
    return InvalidName(message, fields={"name": message})
