"""Splits and bonus issues of the simulated market: a share's prices divide, its volumes multiply,
and its futures and options go on under their keys with new strikes and lots.

POST /simulator/splits {"id": …, "key": …, "numerator": …, "denominator": …} (units after for units
before), DELETE the same with its id, GET lists. Kept in a file, since prices are a function of the
seed and of these; the same id again changes nothing.
"""

from pathlib import Path
from typing import Final

import msgspec

from marketdata.exchange import envelope
from marketdata.exchange.envelope import Answer, Refusal
from marketdata.exchange.listing import Split
from marketdata.exchange.requests import Request
from marketdata.exchange.simulated import SimulatedSource

FILE: Final = Path("exchange") / "splits.json"  # in VAR_DIR
KEPT_MAX: Final = 10_000
RATIO_MAX: Final = 1_000_000


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    id: str


def kept(path: Path) -> list[Split]:
    """The splits in the file, oldest first."""
    return msgspec.json.decode(path.read_bytes(), type=list[Split]) if path.exists() else []


class Splits:
    """The splits in force on the market of `source`, by id, kept at `path`."""

    def __init__(self, source: SimulatedSource, path: Path) -> None:
        self._source = source
        self._path = path
        self._kept = {split.id: split for split in kept(path)}
        self._source.market.put_splits(list(self._kept.values()))

    def control(self, request: Request) -> Answer:
        """The control endpoint."""
        try:
            if request.method == "POST":
                split = msgspec.json.decode(request.body, type=Split)
                self._add(split, now_ms=request.now_ms)
            elif request.method == "DELETE":
                self._remove(msgspec.json.decode(request.body, type=_Named).id)
        except msgspec.DecodeError as error:
            raise Refusal(400, "UDAPI100036", str(error)) from error
        return envelope.success({"splits": msgspec.to_builtins(list(self._kept.values()))})

    def _add(self, split: Split, *, now_ms: int) -> None:
        if split.id in self._kept:
            return
        ratio = min(split.numerator, split.denominator), max(split.numerator, split.denominator)
        if ratio[0] < 1 or ratio[1] > RATIO_MAX or len(self._kept) >= KEPT_MAX:
            raise Refusal(400, "UDAPI100038", f"a ratio of 1 to {RATIO_MAX}")
        if split.key not in self._source.market.rows:
            return  # not listed here: a contract, or a share beyond --instruments
        day = self._source.board(now_ms=now_ms).day
        self._kept[split.id] = msgspec.structs.replace(split, day=day)
        self._changed()

    def _remove(self, name: str) -> None:
        if self._kept.pop(name, None) is not None:
            self._changed()

    def _changed(self) -> None:
        """Whole or not at all: a crash leaves the file of before."""
        self._source.market.put_splits(list(self._kept.values()))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(list(self._kept.values())))
        fresh.replace(self._path)
