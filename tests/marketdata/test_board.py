"""The board: newest truth by exchange time, whatever the order of arrival."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marketdata.board import COLUMN, DEPTH_COLUMNS, FIELDS, SOURCE_CODES, Board
from marketdata.mirror import Mirror
from marketdata.quotes import SOURCES, Tick

ACME = "NSE_EQ|INE000A01010"
BETA = "NSE_EQ|INE000B01018"
T0 = 1_770_000_000_000


def tick(key: str = ACME, at: int = 0, **fields: object) -> Tick:
    values = {"exchange_ms": T0 + at, "received_ms": T0 + at + 5, "source": "stream", **fields}
    return Tick(instrument_key=key, **values)


prices = st.integers(100, 100_000).map(lambda paise: paise / 100)
sides = st.lists(st.tuples(prices, st.integers(1, 10_000)), max_size=5).map(tuple)


@st.composite
def ticks(draw: st.DrawFn, *, count: int = 5) -> list[Tick]:
    """Ticks of two instruments with distinct frame times and arbitrary parts missing."""
    found = []
    times = draw(st.lists(st.integers(0, 100_000), min_size=1, max_size=count, unique=True))
    for at in times:
        fields: dict[str, object] = {}
        for name in ("last_price", "open", "high", "low", "average_price", "previous_close"):
            if draw(st.booleans()):
                fields[name] = draw(prices)
        if draw(st.booleans()):
            fields["volume"] = draw(st.integers(0, 10**9))
        if draw(st.booleans()):
            fields["bids"] = draw(sides)
        if draw(st.booleans()):
            fields["asks"] = draw(sides)
        if draw(st.booleans()):
            fields["last_trade_ms"] = T0 + draw(st.integers(0, 100_000))
        fields["source"] = draw(st.sampled_from(SOURCES))
        found.append(tick(draw(st.sampled_from([ACME, BETA])), at, **fields))
    return found


def state(board: Board) -> dict[str, tuple[list[float], list[float]]]:
    """What the board says, by key: rows are allotted in the order of arrival."""
    found = {}
    for row, key in enumerate(board.keys):
        values = board.values[row].copy()
        found[key] = (values.tolist(), board.depth[row].tolist())
    return found


def merged(sequence: list[Tick]) -> Board:
    board = Board(epoch="e", capacity=1)
    for one in sequence:
        board.merge([one])
    return board


class TestMerge:
    @given(ticks().flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
    def test_any_order_of_arrival_gives_the_same_board(self, orders):
        sequence, shuffled = orders
        assert repr(sorted(state(merged(sequence)).items())) == repr(
            sorted(state(merged(shuffled)).items())
        )

    @given(ticks())
    def test_a_second_delivery_changes_nothing(self, sequence):
        once, twice = merged(sequence), merged(sequence + sequence)
        assert repr(state(once)) == repr(state(twice))

    @given(ticks())
    def test_an_absent_field_leaves_what_is_known(self, sequence):
        board = merged(sequence)
        before = state(board)
        board.merge([tick(ACME, 200_000)])
        clocks = {COLUMN["timestamp_ms"], COLUMN["received_ms"]}
        for key, (values, depth) in before.items():
            now, now_depth = state(board)[key]
            assert repr(now_depth) == repr(depth)
            for column in set(range(len(FIELDS))) - clocks:
                assert repr(now[column]) == repr(values[column])

    def test_older_never_overwrites_newer(self):
        board = merged([tick(at=10, last_price=101.0), tick(at=5, last_price=99.0)])
        assert board.values[0, COLUMN["last_price"]] == 101.0

    def test_a_late_packet_with_an_old_trade_moves_only_the_book(self):
        board = merged(
            [
                tick(at=10, last_price=101.0, last_trade_ms=T0 + 9, bids=((100.0, 5),)),
                tick(at=12, last_price=99.0, last_trade_ms=T0 + 3, bids=((98.0, 7),)),
            ]
        )
        row = board.values[0]
        assert (row[COLUMN["last_price"]], row[COLUMN["bid"]]) == (101.0, 98.0)

    def test_volume_of_one_instant_only_grows(self):
        board = merged(
            [
                tick(at=10, last_trade_ms=T0 + 9, volume=500),
                tick(at=11, last_trade_ms=T0 + 9, volume=400),
            ]
        )
        assert board.values[0, COLUMN["volume"]] == 500

    def test_an_untimed_rest_price_does_not_shut_out_the_stream(self):
        board = merged(
            [
                tick(at=1_000, last_price=100.0, source="rest"),
                tick(at=1_100, last_price=100.5, last_trade_ms=T0 + 700),
            ]
        )
        assert board.values[0, COLUMN["last_price"]] == 100.5
        assert board.values[0, COLUMN["source"]] == SOURCE_CODES["stream"]

    def test_an_emptied_side_is_a_fact(self):
        board = merged([tick(at=1, bids=((100.0, 5),), asks=((101.0, 5),)), tick(at=2, bids=())])
        quote = board.quote(ACME)
        assert quote is not None
        assert quote.bids == ()
        assert quote.ask is not None

    def test_a_replay_that_begins_anew_wins_after_forgetting_times(self):
        board = merged([tick(at=100, last_price=101.0)])
        board.forget_times()
        board.merge([tick(at=1, last_price=99.0)])
        assert board.values[0, COLUMN["last_price"]] == 99.0

    def test_growth_keeps_every_row(self):
        board = Board(epoch="e", capacity=2)
        keys = [f"NSE_EQ|{number}" for number in range(100)]
        board.merge([tick(key, at, last_price=at + 1.0) for at, key in enumerate(keys)])
        assert board.keys == keys
        assert board.values[:, COLUMN["last_price"]].tolist() == [float(n + 1) for n in range(100)]


class TestQuote:
    def test_it_is_exact_and_keeps_five_levels(self):
        bids = tuple((100.1 - step / 20, 10 * step + 1) for step in range(7))
        board = merged([tick(at=1, last_price=100.05, bids=bids, volume=12)])
        quote = board.quote(ACME)
        assert quote is not None
        assert str(quote.last_price) == "100.0500"
        assert [str(level.price) for level in quote.bids][:2] == ["100.1000", "100.0500"]
        assert len(quote.bids) == 5
        assert quote.volume == 12
        assert quote.open is None

    def test_an_unknown_key_has_none(self):
        assert Board(epoch="e").quote(ACME) is None


def shown(mirror: Mirror) -> dict[tuple[str, str], float]:
    """The price and the best bid of each key that a mirror knows."""
    found = {}
    for key in mirror.table()[0]:
        depth = mirror.depth(key)
        assert depth is not None
        found["price", key] = mirror.last_price(key) or 0.0
        found["bid", key] = float(np.nan_to_num(depth[0]))
    return found


class TestBatches:
    @given(st.lists(ticks(count=4), max_size=6))
    def test_a_mirror_fed_by_batches_equals_the_board(self, rounds):
        board, mirror = Board(epoch="e", capacity=1), Mirror()
        assert mirror.load(board.snapshot(at_ms=T0))
        for sequence in rounds:
            board.merge(sequence)
            batch = board.drain(at_ms=T0)
            if batch is not None:
                assert mirror.apply(batch)
        keys, values = mirror.table()
        assert keys == board.keys
        assert np.array_equal(values, board.values, equal_nan=True)
        for row, key in enumerate(keys):
            depth = mirror.depth(key)
            assert depth is not None
            assert np.array_equal(depth, board.depth[row], equal_nan=True)

    def test_nothing_changed_means_no_batch(self):
        board = merged([tick(at=1, last_price=1.0)])
        assert board.drain(at_ms=T0) is not None
        assert board.drain(at_ms=T0) is None

    def test_a_missed_batch_is_noticed_and_a_snapshot_heals_it(self):
        board, mirror = Board(epoch="e"), Mirror()
        mirror.load(board.snapshot(at_ms=T0))
        board.merge([tick(at=1, last_price=1.0)])
        board.drain(at_ms=T0)
        board.merge([tick(at=2, last_price=2.0)])
        batch = board.drain(at_ms=T0)
        assert batch is not None
        assert not mirror.apply(batch)
        assert mirror.load(board.snapshot(at_ms=T0))
        assert mirror.apply(batch)  # already in it: skipped
        assert mirror.last_price(ACME) == 2.0

    @given(
        st.lists(st.tuples(st.sampled_from(["hear", "lose", "keep", "load"]), st.integers(0, 3)))
    )
    def test_late_snapshots_take_nothing_back(self, steps):
        """Snapshots are older than what was heard, and batches get lost: never backwards."""
        board, mirror = Board(epoch="e"), Mirror()
        kept = board.snapshot(at_ms=T0)
        mirror.load(kept)
        for at, (what, number) in enumerate(steps, start=1):
            before = shown(mirror)
            if what == "keep":
                kept = board.snapshot(at_ms=T0)
            elif what == "load":
                mirror.load(kept)
            else:
                key, price = f"NSE_EQ|{number}", float(at)
                # A price without a book: the book of the row may be of an older batch.
                bids = ((price, 5),) if at % 2 else None
                board.merge([tick(key, at=at, last_price=price, bids=bids)])
                batch = board.drain(at_ms=T0)
                if what == "hear":
                    mirror.apply(batch)
            after = shown(mirror)
            assert all(after[name] >= value for name, value in before.items()), (before, after)
        mirror.load(board.snapshot(at_ms=T0))
        board.merge([tick(at=1_000, last_price=1_000.0)])
        assert mirror.apply(board.drain(at_ms=T0)), "deaf after a snapshot that holds everything"
        assert mirror.table()[0] == board.keys
        assert np.array_equal(mirror.table()[1], board.values, equal_nan=True)
        books = np.array([mirror.depth(key) for key in board.keys])
        assert np.array_equal(books, board.depth, equal_nan=True)

    def test_another_epoch_is_refused(self):
        board, mirror = Board(epoch="new"), Mirror()
        mirror.load(Board(epoch="old").snapshot(at_ms=T0))
        board.merge([tick(at=1, last_price=1.0)])
        batch = board.drain(at_ms=T0)
        assert batch is not None
        assert not mirror.apply(batch)

    def test_a_foreign_layout_is_refused(self):
        snapshot = Board(epoch="e").snapshot(at_ms=T0)
        assert not Mirror().load({**snapshot, "fields": ["price"]})

    def test_the_layout_is_what_readers_were_told(self):
        assert len(FIELDS) == 15
        assert DEPTH_COLUMNS == 20
        board = merged([tick(at=1, bids=((9.0, 1),), asks=((10.0, 2),))])
        depth = board.depth[0]
        assert depth[[0, 1, 10, 11]].tolist() == [9.0, 1.0, 10.0, 2.0]
        assert math.isnan(depth[2])
