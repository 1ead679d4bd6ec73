"""What clients may say: every action, every kind of nonsense."""

import json
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.stream import protocol


class TestParse:
    @pytest.mark.parametrize(
        ("said", "action"),
        [
            ({"action": "subscribe", "instruments": ["A"]}, protocol.Subscribe(instruments=["A"])),
            (
                {"action": "subscribe", "symbol": "X", "market": "india_bse"},
                protocol.Subscribe(symbol="X", market="india_bse"),
            ),
            ({"action": "set", "instruments": []}, protocol.Set(instruments=[])),
            (
                {"action": "unsubscribe", "unsubscribe_all": True},
                protocol.Unsubscribe(unsubscribe_all=True),
            ),
            ({"action": "unsubscribe_all"}, protocol.UnsubscribeAll()),
            ({"action": "ping", "id": 7, "extra": 1}, protocol.Ping(id=7)),
            ({"action": "resume", "epoch": "e", "seq": 3}, protocol.Resume(epoch="e", seq=3)),
            ({"action": "options", "updates": "single"}, protocol.Options(updates="single")),
            ({"action": "authenticate", "ticket": "t"}, protocol.Authenticate(ticket="t")),
            ({"action": "depth", "instrument": None}, protocol.Depth(instrument=None)),
            ({"action": "topics", "topics": ["a"]}, protocol.Topics(topics=["a"])),
        ],
    )
    def test_understands_every_action(self, said: object, action: protocol.Action) -> None:
        assert protocol.parse(json.dumps(said)) == action

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            ("", "malformed_json"),
            ('{"action":', "malformed_json"),
            ('{"action":"ping","id":NaN}', "malformed_json"),
            ('{"action":"ping","id":1e999}', "malformed_json"),
            ("[" * 60_000, "malformed_json"),
            (b"\xff\xfe", "malformed_json"),
            ("\ud800", "malformed_json"),
            ("null", "not_an_object"),
            ("[1,2]", "not_an_object"),
            ("{}", "unknown_action"),
            ('{"action":["ping"]}', "unknown_action"),
            ('{"action":"bus.close"}', "unknown_action"),
            ('{"action":"subscribe"}', "invalid_message"),
            ('{"action":"subscribe","instruments":["A"],"symbol":"B"}', "invalid_message"),
            ('{"action":"subscribe","instruments":"A"}', "invalid_message"),
            ('{"action":"subscribe","instruments":[1]}', "invalid_message"),
            ('{"action":"subscribe","symbol":"A","market":"mars"}', "invalid_message"),
            ('{"action":"resume","epoch":"e","seq":-1}', "invalid_message"),
            ('{"action":"resume","epoch":"e","seq":1.5}', "invalid_message"),
            ('{"action":"topics","topics":["a","b","c"]}', "invalid_message"),
            (json.dumps({"action": "set", "instruments": ["A"] * 501}), "invalid_message"),
            (json.dumps({"action": "set", "instruments": ["A" * 65]}), "invalid_message"),
        ],
    )
    def test_names_what_is_wrong(self, frame: str | bytes, code: str) -> None:
        with pytest.raises(protocol.BadMessage) as bad:
            protocol.parse(frame)
        assert bad.value.code == code

    @settings(max_examples=300, deadline=None)
    @given(
        st.one_of(
            st.text(),
            st.binary(),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=8,
            ).map(json.dumps),
        )
    )
    def test_never_raises_anything_else(self, frame: str | bytes) -> None:
        parsed_or_named(frame)

    def test_ten_thousand_generated_frames(self) -> None:
        random = Random(20261121)
        understood = sum(parsed_or_named(generated(random)) for _ in range(10_000))
        assert 500 < understood < 9_500  # the generator makes both kinds


def parsed_or_named(frame: str | bytes) -> bool:
    """Whether the frame was understood; anything but BadMessage fails the test."""
    try:
        action = protocol.parse(frame)
    except protocol.BadMessage as bad:
        error = protocol.Error(code=bad.code, message=bad.message, action=bad.action)
        assert json.loads(protocol.encode(error))["type"] == "error"
        return False
    assert isinstance(action, tuple(protocol.ACTIONS.values()))
    return True


def generated(random: Random) -> str | bytes:
    """A frame that is nearly right: actions with fields of any type, then some bytes changed."""
    atoms = [None, True, 0, -1, 2**70, 1.5, float("nan"), float("inf"), "", "A" * 65, "NSE_EQ|X"]
    fields = ["instruments", "symbol", "market", "id", "epoch", "seq", "ticket", "topics",
              "updates", "instrument", "unsubscribe_all", "\x00"]  # fmt: skip

    def value(depth: int = 0) -> object:
        kind = random.random()
        if depth > 40 or kind < 0.5:
            return random.choice(atoms)
        if kind < 0.8:
            return [value(depth + 1) for _ in range(random.choice([0, 1, 2]))]
        return {random.choice(fields): value(depth + 1)}

    said: dict[str, object] = {"action": random.choice([*protocol.ACTIONS, "fly", None])}
    said |= {random.choice(fields): value() for _ in range(random.randrange(4))}
    frame = json.dumps(said).encode()
    for _ in range(random.choice([0, 0, 0, 1, 3])):
        at = random.randrange(len(frame))
        frame = frame[:at] + random.randbytes(random.choice([0, 1, 2])) + frame[at + 1 :]
    return frame if random.random() < 0.5 else frame.decode(errors="surrogateescape")


class TestFrames:
    def test_events_are_json_around_json(self) -> None:
        frame = protocol.event(type="trade", seq=3, data='{"n":1}')
        assert msgspec.json.decode(frame) == {"type": "trade", "seq": 3, "data": {"n": 1}}
        live = protocol.live_event(type="rank_update", seq=3, data="{}")
        assert msgspec.json.decode(live)["live"] is True
        topic = protocol.topic_event(type="chain_update", topic='a"b', data="{}")
        assert msgspec.json.decode(topic)["topic"] == 'a"b'
