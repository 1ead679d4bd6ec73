"""The subscription matrix: everyone gets the newest of what they follow, and only that."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.board import COLUMN, FIELDS
from marketdata.stream import encode, fanout
from marketdata.stream.fanout import Fanout, Floats

KEYS = [f"NSE_EQ|{number}" for number in range(8)]


def values(**fields: float) -> Floats:
    row = np.full((1, len(FIELDS)), np.nan)
    for name, value in fields.items():
        row[0, COLUMN[name]] = value
    return row


def put(fan: Fanout, key: str, **fields: float) -> None:
    fan.update(np.array([fan.row(key)]), values(**fields))


def got(pieces: list[bytes]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(fanout.batch(pieces))["data"]
    return data


class TestCollect:
    def test_gives_each_slot_what_it_follows_once(self) -> None:
        fan = Fanout(width=4)
        alice, bob = fan.open_slot(), fan.open_slot()
        fan.follow(alice, KEYS[:2])
        fan.follow(bob, KEYS[1:3])
        put(fan, KEYS[1], last_price=101.0, previous_close=100.0)
        put(fan, KEYS[3], last_price=5.0)
        assert fan.encode() == 1  # nobody follows the other
        found = dict(fan.collect([alice, bob]))
        assert set(got(found[alice])) == {KEYS[1]}
        assert got(found[bob])[KEYS[1]]["change_percent"] == 1.0
        assert fan.collect([alice, bob]) == []

    def test_a_skipped_slot_gets_the_newest_only(self) -> None:
        fan = Fanout(width=4)
        slot = fan.open_slot()
        fan.follow(slot, KEYS[:1])
        for price in (1.0, 2.0, 3.0):
            put(fan, KEYS[0], last_price=price)
            fan.encode()
        ((_, pieces),) = fan.collect([slot])
        assert got(pieces)[KEYS[0]]["last_price"] == 3.0

    def test_day_fields_come_first_and_when_they_change(self) -> None:
        fan = Fanout(width=4)
        slow, quick = fan.open_slot(), fan.open_slot()
        fan.snapshot(KEYS[:1])
        for slot in (slow, quick):
            fan.follow(slot, KEYS[:1])

        def step(**fields: float) -> dict[str, Any]:
            put(fan, KEYS[0], **fields)
            fan.encode()
            shown: dict[str, Any] = got(dict(fan.collect([quick]))[quick])[KEYS[0]]
            return shown

        assert step(last_price=1.0, high=1.0)["high"] == 1.0
        assert "high" not in step(last_price=0.5, high=1.0)
        assert step(last_price=2.0, high=2.0)["high"] == 2.0
        assert "high" not in step(last_price=1.5, high=2.0)
        # Who slept through the change of the day's range hears of it.
        assert got(dict(fan.collect([slow]))[slow])[KEYS[0]]["high"] == 2.0

    def test_a_slot_of_somebody_who_left_is_clean(self) -> None:
        fan = Fanout(width=2)
        slot = fan.open_slot()
        fan.follow(slot, KEYS[:2])
        fan.close_slot(slot)
        again = fan.open_slot()
        assert again == slot
        put(fan, KEYS[0], last_price=1.0)
        assert fan.encode() == 0
        assert fan.collect([again]) == []

    def test_grows_past_its_first_size(self) -> None:
        fan = Fanout(width=3)
        slots = [fan.open_slot() for _ in range(200)]
        keys = [f"K{number}" for number in range(300)]
        for number, slot in enumerate(slots):
            fan.follow(slot, keys[number : number + 3])
        for number, key in enumerate(keys):
            put(fan, key, last_price=float(number))
        fan.encode()
        for number, (slot, pieces) in enumerate(fan.collect(slots)):
            assert slot == slots[number]
            assert set(got(pieces)) == set(keys[number : number + 3])

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_a_reader_that_merges_frames_always_holds_the_board(self, data: st.DataObject) -> None:
        """Model: whatever is subscribed, published, skipped, the merged frames equal the truth."""
        fan = Fanout(width=len(KEYS))
        truth = dict.fromkeys(KEYS, float("nan"))
        slots = [fan.open_slot() for _ in range(3)]
        follows: list[set[str]] = [set(), set(), set()]
        views: list[dict[str, Any]] = [{}, {}, {}]
        for step in range(data.draw(st.integers(1, 25))):
            kind = data.draw(st.sampled_from(["tick", "follow", "pass", "pass"]))
            if kind == "tick":
                key = data.draw(st.sampled_from(KEYS))
                truth[key] = float(step)
                put(fan, key, last_price=float(step))
            elif kind == "follow":
                n = data.draw(st.integers(0, 2))
                wanted = data.draw(st.sets(st.sampled_from(KEYS)))
                added = sorted(wanted - follows[n])
                snapshot = fan.snapshot(added) if added else b""
                fan.follow(slots[n], sorted(wanted))
                views[n] = {key: price for key, price in views[n].items() if key in wanted}
                if snapshot:
                    views[n] |= json.loads(snapshot)["data"]
                follows[n] = wanted
            else:
                served = data.draw(st.sets(st.integers(0, 2)))
                fan.encode()
                for slot, pieces in fan.collect([slots[n] for n in sorted(served)]):
                    frame = got(pieces)
                    assert set(frame) <= follows[slots.index(slot)]
                    views[slots.index(slot)] |= frame
        fan.encode()
        for slot, pieces in fan.collect(slots):
            views[slots.index(slot)] |= got(pieces)
        for view, followed in zip(views, follows, strict=True):
            shown = {key: fields["last_price"] for key, fields in view.items()}
            assert shown == {
                key: None if truth[key] != truth[key] else truth[key] for key in followed
            }


class TestPieces:
    def test_unknown_is_null_and_counts_are_whole(self) -> None:
        fan = Fanout(width=2)
        put(fan, KEYS[0], volume=12.0, timestamp_ms=1_750_000_000_123.0)
        data = json.loads(fan.snapshot(KEYS[:1]))["data"][KEYS[0]]
        assert data["last_price"] is None
        assert data["change_percent"] is None
        assert (data["volume"], data["timestamp"]) == (12, "2025-06-15T15:06:40.123Z")

    def test_singles_are_the_same_pieces(self) -> None:
        fan = Fanout(width=2)
        slot = fan.open_slot()
        fan.follow(slot, ['odd":{key', KEYS[1]])
        put(fan, 'odd":{key', last_price=1.0)
        put(fan, KEYS[1], last_price=2.0)
        fan.encode()
        ((_, pieces),) = fan.collect([slot])
        frames = [json.loads(frame) for frame in fanout.singles(pieces)]
        assert {frame["instrument_key"]: frame["data"]["last_price"] for frame in frames} == {
            'odd":{key': 1.0,
            KEYS[1]: 2.0,
        }

    def test_book_leaves_out_empty_levels(self) -> None:
        depth = [100.0, 5.0] + [float("nan")] * 8 + [101.0, 6.0, 102.0, 7.0] + [float("nan")] * 6
        frame = json.loads(encode.book("K", depth))
        assert frame["data"] == {"bids": [[100.0, 5]], "asks": [[101.0, 6], [102.0, 7]]}

    def test_more_than_the_width_is_a_bug(self) -> None:
        fan = Fanout(width=1)
        with pytest.raises(AssertionError):
            fan.follow(fan.open_slot(), KEYS[:2])
