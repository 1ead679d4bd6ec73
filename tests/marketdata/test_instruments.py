"""Upstox's instrument file: facts in our units, refusals before anything is touched."""

import gzip
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketdata import instruments, services, universe
from marketdata.models import IndexMember, Instrument
from marketdata.services import ShrunkFile, seed_universe, sync_instruments

SHARE = {
    "segment": "NSE_EQ",
    "name": "RELIANCE INDUSTRIES LTD",
    "exchange": "NSE",
    "isin": "INE002A01018",
    "instrument_type": "EQ",
    "instrument_key": "NSE_EQ|INE002A01018",
    "lot_size": 1,
    "freeze_quantity": 100000.0,
    "exchange_token": "2885",
    "tick_size": 10.0,
    "trading_symbol": "RELIANCE",
    "short_name": "Reliance",
    "security_type": "NORMAL",
}
INDEX = {
    "segment": "NSE_INDEX",
    "name": "Nifty 50",
    "exchange": "NSE",
    "instrument_type": "INDEX",
    "instrument_key": "NSE_INDEX|Nifty 50",
    "exchange_token": "26000",
    "trading_symbol": "NIFTY",
}
OPTION = {
    "weekly": False,
    "segment": "NSE_FO",
    "name": "RELIANCE INDUSTRIES LTD",
    "exchange": "NSE",
    "expiry": 1774895399000,
    "instrument_type": "CE",
    "underlying_symbol": "RELIANCE",
    "instrument_key": "NSE_FO|50911",
    "lot_size": 500,
    "freeze_quantity": 20000.0,
    "exchange_token": "50911",
    "underlying_key": "NSE_EQ|INE002A01018",
    "tick_size": 5.0,
    "trading_symbol": "RELIANCE 1300 CE 30 MAR 26",
    "strike_price": 1300.0,
}


def packed(*rows: Any) -> bytes:
    return gzip.compress(json.dumps(rows).encode())


class TestParse:
    def test_ticks_are_rupees_and_expiries_are_dates(self) -> None:
        parsed = instruments.parse(packed(SHARE, INDEX, OPTION), segments=instruments.SEGMENTS)
        share, index, option = parsed.rows
        assert share.tick_size == Decimal("0.1")
        assert index.lot_size == 1
        assert option.expiry_date == date(2026, 3, 30)
        assert option.strike_price == 1300
        assert parsed.fo_underlyings == {"NSE_EQ|INE002A01018"}

    def test_of_bse_only_index_contracts_are_taken(self) -> None:
        sensex = {
            **OPTION,
            "segment": "BSE_FO",
            "instrument_key": "BSE_FO|1",
            "underlying_key": "BSE_INDEX|SENSEX",
        }
        share = {**sensex, "instrument_key": "BSE_FO|2", "underlying_key": "BSE_EQ|INE002A01018"}
        parsed = instruments.parse(packed(sensex, share), segments={"BSE_FO"})
        assert [row.key for row in parsed.rows] == ["BSE_FO|1"]
        assert parsed.skipped == {"BSE derivative of a share": 1}

    def test_plain_json_is_read_too(self) -> None:
        assert len(instruments.parse(json.dumps([SHARE]).encode()).rows) == 1

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"tick_size": 0}, "no tick size"),
            ({"lot_size": 0}, "no lot size"),
            ({"lot_size": 1.5}, "no lot size"),
            ({"trading_symbol": ""}, "no trading symbol"),
            ({"instrument_key": "NSE_FO|1"}, "instrument key does not fit its segment"),
            ({"segment": "MARS_EQ", "instrument_key": "MARS_EQ|1"}, "segment MARS_EQ not known"),
        ],
    )
    def test_what_cannot_be_used_is_skipped_with_its_reason(
        self, change: dict[str, Any], reason: str
    ) -> None:
        parsed = instruments.parse(packed(INDEX, {**SHARE, **change}))
        assert len(parsed.rows) == 1
        assert dict(parsed.skipped) == {reason: 1}

    def test_a_key_stands_once(self) -> None:
        assert dict(instruments.parse(packed(SHARE, SHARE)).skipped) == {"key twice in the file": 1}

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"<html>",
            b"{}",
            b"[]",
            b"[1, 2, 3]",
            json.dumps([{"symbol": "X"}] * 5).encode(),
            json.dumps([OPTION]).encode(),
            packed(SHARE, INDEX)[:-20],
            packed(SHARE)[:10],
            b"\x1f\x8b" + b"x" * 50,
            json.dumps([SHARE, INDEX]).encode()[:-5],
        ],
        # Named: a gzip carries the second it was made in, and xdist compares names.
        ids=[
            "empty",
            "html",
            "object",
            "no rows",
            "numbers",
            "other rows",
            "no shares",
            "gzip cut",
            "gzip cut early",
            "not gzip",
            "json cut",
        ],
    )
    def test_a_truncated_or_foreign_file_is_refused(self, data: bytes) -> None:
        with pytest.raises(instruments.UnreadableFile):
            instruments.parse(data)


@pytest.mark.django_db
class TestSync:
    def test_repeating_an_import_changes_nothing(self) -> None:
        data = packed(SHARE, INDEX)
        first = sync_instruments(data=data)
        assert (first.added, first.changed, first.retired) == (2, 0, 0)
        again = sync_instruments(data=data)
        assert (again.added, again.changed, again.unchanged) == (0, 0, 2)

    def test_facts_change_and_our_own_fields_stay(self) -> None:
        sync_instruments(data=packed(SHARE))
        Instrument.objects.update(sector="Oil", halted=True, halt_reason="x", in_universe=True)
        result = sync_instruments(data=packed({**SHARE, "tick_size": 50.0}))
        assert (result.added, result.changed) == (0, 1)
        share = Instrument.objects.get()
        assert share.tick_size == Decimal("0.5")
        assert (share.sector, share.halted, share.in_universe) == ("Oil", True, True)

    def test_what_is_gone_is_retired_and_comes_back(self) -> None:
        other = {**SHARE, "instrument_key": "NSE_EQ|INE1", "trading_symbol": "OTHER"}
        sync_instruments(data=packed(SHARE, other))
        assert sync_instruments(data=packed(SHARE)).retired == 1
        assert not Instrument.objects.get(symbol="OTHER").active
        assert sync_instruments(data=packed(SHARE)).retired == 0
        assert sync_instruments(data=packed(SHARE, other)).changed == 1
        assert Instrument.objects.get(symbol="OTHER").active

    def test_a_segment_that_the_file_does_not_have_is_left_alone(self) -> None:
        sync_instruments(data=packed(SHARE, INDEX))
        assert sync_instruments(data=packed(SHARE)).retired == 0

    def test_a_shrunken_file_changes_nothing(self) -> None:
        many = [
            {**SHARE, "instrument_key": f"NSE_EQ|INE{n}", "trading_symbol": f"S{n}"}
            for n in range(200)
        ]
        sync_instruments(data=packed(*many))
        with pytest.raises(ShrunkFile):
            sync_instruments(data=packed({**SHARE, "tick_size": 5.0}, *many[:20]))
        assert Instrument.objects.filter(active=True).count() == 200
        assert sync_instruments(data=packed(*many[:20]), allow_shrink=True).retired == 180

    def test_a_failure_half_way_leaves_the_old_table(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sync_instruments(data=packed(SHARE))
        monkeypatch.setattr(services, "ROWS_PER_BATCH", 1)

        def fail(done: int, total: int) -> None:
            raise RuntimeError("disk full")

        with pytest.raises(RuntimeError):
            sync_instruments(data=packed({**SHARE, "tick_size": 5.0}, INDEX), progress=fail)
        assert Instrument.objects.get().tick_size == Decimal("0.1")

    def test_the_auction_is_for_shares_with_derivatives(self) -> None:
        other = {**SHARE, "instrument_key": "NSE_EQ|INE1", "trading_symbol": "OTHER"}
        sync_instruments(data=packed(SHARE, other, OPTION))
        assert Instrument.objects.get(symbol="RELIANCE").cas_eligible
        assert not Instrument.objects.get(symbol="OTHER").cas_eligible

    def test_the_universe_can_be_extended_to_ordinary_shares(self) -> None:
        bond = {**SHARE, "instrument_type": "SG", "instrument_key": "NSE_EQ|IN1"}
        sync_instruments(data=packed(SHARE, bond), extend_universe=True)
        assert list(Instrument.objects.filter(in_universe=True).values_list("symbol")) == [
            ("RELIANCE",)
        ]

    def test_the_real_file(self, shared_data: Path) -> None:
        seed_universe()
        data = (shared_data / "NSE_2026-02-23.json.gz").read_bytes()
        result = sync_instruments(data=data)
        counts = {
            segment: Instrument.objects.filter(segment=segment, active=True).count()
            for segment in ("NSE_EQ", "NSE_INDEX")
        }
        assert counts == {"NSE_EQ": 8_841, "NSE_INDEX": 135}
        # The bundled facts are the file's: nothing but tokens and freeze quantities may differ.
        for row in universe.load():
            if row.segment == "NSE_EQ":
                share = Instrument.objects.get(key=row.key)
                assert row.symbol in {share.symbol, "LTM"}  # LTIM until 2026-03
                assert (share.isin, share.tick_size, share.lot_size) == (
                    row.isin,
                    row.tick_size,
                    row.lot_size,
                )
        assert sum(result.skipped.values()) == 49_011 + 48_780 + 9_878


@pytest.mark.django_db
def test_seeding_the_universe_twice_changes_nothing() -> None:
    assert seed_universe().added == len(universe.load())
    members = IndexMember.objects.count()
    assert seed_universe().added == 0
    assert IndexMember.objects.count() == members


def test_the_bundled_universe_is_as_promised() -> None:
    rows = universe.load()
    shares = [row for row in rows if not row.is_index]
    nifty = [row for row in shares if "NSE_INDEX|Nifty 50" in row.weights]
    assert len(universe.indices()) == 9
    assert len(nifty) == 50
    assert len(shares) - len(nifty) >= 150
    assert len({row.key for row in rows}) == len(rows)
    for row in shares:
        assert row.key == f"NSE_EQ|{row.isin}"
        assert row.sector
        assert row.close > 0
    for index in universe.indices():
        total = sum(row.weights.get(index.key, 0) for row in shares)
        assert total == pytest.approx(100, abs=0.01) or index.symbol == "INDIA VIX"
