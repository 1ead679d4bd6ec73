"""The sanity gate with its memory: references by instrument, counts by reason. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from marketdata.quotes import NO_REFERENCE, Reference, Tick, check

# The widest band NSE sets for a share; F&O shares flex towards it within a day.
BAND_EQUITY = 0.20
# Indices have no band, but market-wide halts stop them at 20 %.
BAND_INDEX = 0.20
# India VIX may double within a day.
BAND_WIDE = 2.0


class Gate:
    """Judges ticks by what is known of each instrument. One owner: the engine."""

    def __init__(self) -> None:
        self.rejects: Counter[str] = Counter()
        self.accepted = 0
        self._references: dict[str, Reference] = {}

    def learn(self, references: Mapping[str, Reference]) -> None:
        """Take over references (at start-up and each session)."""
        self._references.update(references)

    def learn_closes(self, closes: Mapping[str, float]) -> None:
        """Previous closes for instruments that have none yet."""
        for key, close in closes.items():
            known = self._references.get(key)
            if known is not None and known.previous_close is None:
                self._references[key] = replace(known, previous_close=close)

    def begin_session(self) -> None:
        """Forget the previous closes: the first told of the new session becomes the measure.

        A split changes the close overnight; yesterday's would refuse every price of today.
        """
        self._references = {
            key: replace(known, previous_close=None) for key, known in self._references.items()
        }

    def forget_close(self, key: str) -> None:
        """The next close told of `key` is its measure: a split has changed it."""
        known = self._references.get(key)
        if known is not None:
            self._references[key] = replace(known, previous_close=None)

    def sift(self, ticks: Iterable[Tick], *, now_ms: int) -> list[Tick]:
        """The ticks that may be true; the others are counted by reason."""
        passed: list[Tick] = []
        for tick in ticks:
            reference = self._references.get(tick.instrument_key, NO_REFERENCE)
            reject = check(tick, reference=reference, now_ms=now_ms)
            if reject is not None:
                self.rejects[reject.value] += 1
                continue
            passed.append(tick)
            if reference.previous_close is None and reference.band is not None:
                self._first_close(tick, reference)
        self.accepted += len(passed)
        return passed

    def count(self, reason: str) -> None:
        """Count something refused before it became a tick (a frame that cannot be decoded)."""
        self.rejects[reason] += 1

    def _first_close(self, tick: Tick, reference: Reference) -> None:
        # The first close told of an instrument is the measure of all that follows.
        if tick.previous_close is not None:
            known = replace(reference, previous_close=tick.previous_close)
            self._references[tick.instrument_key] = known


def reference_for(
    *, segment: str, symbol: str, grid: float | None, previous_close: float | None
) -> Reference:
    """What bounds an instrument's prices: shares by band and grid, derivatives by neither."""
    if segment.endswith("_EQ"):
        return Reference(previous_close=previous_close, band=BAND_EQUITY, grid=grid)
    if segment.endswith("_INDEX"):
        band = BAND_WIDE if "VIX" in symbol else BAND_INDEX
        return Reference(previous_close=previous_close, band=band, grid=None)
    return Reference(previous_close=None, band=None, grid=grid)
