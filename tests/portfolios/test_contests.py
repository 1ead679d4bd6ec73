"""Contest rules: what is accepted, what is refused and by which name."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolios import contests
from portfolios.contests import InvalidRules, Rules
from portfolios.models import Contest


class TestParse:
    def test_nothing_said_is_the_defaults(self) -> None:
        assert Rules.parse({}) == Rules.parse(None) == Rules()

    @pytest.mark.parametrize("name", sorted(contests.TEMPLATES))
    def test_every_template_is_valid_and_survives_storage(self, name: str) -> None:
        rules = Rules.parse(contests.TEMPLATES[name])
        assert Rules.parse(rules.as_json()) == rules

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("shorts", "yes"),
            ("leverage_max", "0.5"),
            ("leverage_max", 5.0),
            ("leverage_max", "NaN"),
            ("products", []),
            ("products", ["FUTURES"]),
            ("universe", "everything"),
            ("universe", []),
            ("universe", [1]),
            ("min_price", "-1"),
            ("position_percent_max", "101"),
            ("orders_per_minute_max", True),
            ("orders_per_minute_max", 0),
            ("square_off", "25:00"),
            ("settlement", "t2"),
            ("prize", "1000"),
            ("version", 2),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidRules) as refusal:
            Rules.parse({name: value})
        assert list(refusal.value.fields) == [name]

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        stored=st.dictionaries(
            st.sampled_from([*Rules.__slots__, "else"]),
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
        )
    )
    def test_anything_is_either_refused_or_stable(self, stored: dict[str, Any]) -> None:
        try:
            rules = Rules.parse(stored)
        except InvalidRules as refusal:
            named = set(refusal.fields)
        else:
            named = set()
            assert Rules.parse(rules.as_json()) == rules
        assert named <= set(stored)


class TestDigest:
    def test_says_the_same_of_the_same_rules_however_written(self) -> None:
        first = Rules.parse({"leverage_max": "5.0", "products": ["MIS", "CNC"]})
        assert first.digest() == Rules.parse({}).digest()

    def test_changes_with_any_rule(self) -> None:
        digests = {Rules().digest(), Rules(shorts=False).digest()}
        digests.add(Rules(min_price=Decimal(10)).digest())
        assert len(digests) == 3


class TestStates:
    def test_every_state_has_a_row_and_leads_only_to_states(self) -> None:
        states = set(Contest.State.values)
        assert set(contests.STATE_TABLE) == states
        assert set().union(*contests.STATE_TABLE.values()) <= states
