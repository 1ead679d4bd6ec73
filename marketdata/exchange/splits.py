"""Splits and bonus issues of the simulated market: a share's prices divide, its volumes multiply.

POST /simulator/splits {"id": …, "key": …, "numerator": …, "denominator": …} (units after for units
before), DELETE the same with its id, GET lists. Kept in a file, since prices are a function of the
seed and of these; the same id again changes nothing.
"""

from pathlib import Path
from typing import Final

import msgspec

from marketdata.exchange import envelope
from marketdata.exchange.envelope import Answer, Refusal
from marketdata.exchange.prices import Market
from marketdata.exchange.requests import Request

KEPT_MAX: Final = 10_000
RATIO_MAX: Final = 1_000_000


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`numerator` shares after for each `denominator` before."""

    id: str
    key: str
    numerator: int
    denominator: int


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class Splits:
    """The splits in force on `market`, by id, kept at `path`."""

    def __init__(self, market: Market, path: Path) -> None:
        self._market = market
        self._path = path
        self._kept: dict[str, Split] = {}
        if path.exists():
            for split in msgspec.json.decode(path.read_bytes(), type=list[Split]):
                self._put(split)

    def control(self, request: Request) -> Answer:
        """The control endpoint."""
        try:
            if request.method == "POST":
                self._add(msgspec.json.decode(request.body, type=Split))
            elif request.method == "DELETE":
                self._remove(msgspec.json.decode(request.body, type=_Named).id)
        except msgspec.DecodeError as error:
            raise Refusal(400, "UDAPI100036", str(error)) from error
        return envelope.success({"splits": msgspec.to_builtins(list(self._kept.values()))})

    def _add(self, split: Split) -> None:
        if split.id in self._kept:
            return
        ratio = min(split.numerator, split.denominator), max(split.numerator, split.denominator)
        if ratio[0] < 1 or ratio[1] > RATIO_MAX or len(self._kept) >= KEPT_MAX:
            raise Refusal(400, "UDAPI100038", f"a ratio of 1 to {RATIO_MAX}")
        if split.key not in self._market.rows:
            return  # not listed here: a contract, or a share beyond --instruments
        self._put(split)
        self._save()

    def _remove(self, name: str) -> None:
        split = self._kept.pop(name, None)
        if split is not None:
            self._market.split(split.key, split.denominator / split.numerator)
            self._save()

    def _put(self, split: Split) -> None:
        self._kept[split.id] = split
        if split.key in self._market.rows:
            self._market.split(split.key, split.numerator / split.denominator)

    def _save(self) -> None:
        """Whole or not at all: a crash leaves the file of before."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(list(self._kept.values())))
        fresh.replace(self._path)
