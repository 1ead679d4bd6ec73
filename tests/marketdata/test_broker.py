"""The broker's token: encrypted, single-use state, known end, alarm in time."""

import base64
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from cryptography.fernet import Fernet
from django.core.cache import cache
from django.db import IntegrityError, connection, transaction

from marketdata import broker
from marketdata.models import BrokerToken
from mockmarket.core import alarms
from mockmarket.core.models import AuditEntry, User
from tests.support.exchange import Running, exchange

AT = datetime(2026, 11, 20, 3, 30, tzinfo=UTC)  # Friday 09:00 in India
SECRET = "eyJhbGciOi.canary-token-never-to-be-seen.x9Qz"
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def upstox() -> Iterator[Running]:
    with exchange() as running:
        yield running


@pytest.fixture(autouse=True)
def _live(settings: Any, upstox: Running) -> Iterator[None]:
    settings.MARKET_SOURCE = "upstox"
    settings.BROKER_TOKEN_KEYS = [Fernet.generate_key().decode()]
    settings.UPSTOX_CLIENT_ID, settings.UPSTOX_CLIENT_SECRET = "campus", "client-secret"
    settings.UPSTOX_REDIRECT_URL = "https://campus.example/back"
    settings.UPSTOX_REST_URL = upstox.rest_url
    alarms.clear(name=broker.ALARM)
    yield
    alarms.clear(name=broker.ALARM)


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", is_staff=True)


def analytics(ends: datetime) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": ends.timestamp()}).encode()).decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{claims.rstrip('=')}.signature0000"


def connect(user: User, *, at: datetime = AT) -> tuple[str, str]:
    """Walk through the dialog as the browser would; the code and the state that come back."""
    answer = requests.get(broker.begin_oauth(user=user, at=at), allow_redirects=False, timeout=10)
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return query["code"][0], query["state"][0]


@pytest.mark.parametrize(
    ("made", "ends"),
    [
        ((2026, 11, 20, 14, 30), (2026, 11, 20, 22, 0)),  # 20:00 IST → 03:30 next day
        ((2026, 11, 20, 21, 0), (2026, 11, 20, 22, 0)),  # 02:30 IST → 03:30 the same day
        ((2026, 11, 20, 22, 0), (2026, 11, 21, 22, 0)),  # 03:30 IST itself → the next
    ],
)
def test_a_token_dies_at_half_past_three(made: Any, ends: Any) -> None:
    instants = [datetime(*parts).replace(tzinfo=UTC) for parts in (made, ends)]  # noqa: DTZ001
    assert broker.daily_expiry(at=instants[0]) == instants[1]


class TestConnecting:
    def test_login_keeps_an_encrypted_token(self, alice: User) -> None:
        code, state = connect(alice)
        row = broker.complete_oauth(user=alice, code=code, state=state, at=AT)
        broker.acknowledge_live(user=alice, text=broker.ACKNOWLEDGEMENT, at=AT)
        token = broker.current_token(at=AT)
        assert token[-4:] == row.last_four
        assert token not in row.ciphertext
        assert row.expires_at == broker.daily_expiry(at=AT)

    def test_a_state_works_once(self, alice: User) -> None:
        code, state = connect(alice)
        broker.complete_oauth(user=alice, code=code, state=state, at=AT)
        with pytest.raises(broker.BadState):
            broker.complete_oauth(user=alice, code=code, state=state, at=AT)

    def test_another_administrators_state_is_refused(self, alice: User) -> None:
        code, state = connect(alice)
        with pytest.raises(broker.BadState):
            broker.complete_oauth(
                user=User.objects.create_user("mallory"), code=code, state=state, at=AT
            )

    @pytest.mark.parametrize("state", ["", "invented"])
    def test_an_unknown_state_is_refused(self, alice: User, state: str) -> None:
        code, _ = connect(alice)
        with pytest.raises(broker.BadState):
            broker.complete_oauth(user=alice, code=code, state=state, at=AT)

    def test_a_state_grows_old(self, alice: User) -> None:
        code, state = connect(alice)
        cache.touch(broker._state_key(state), 0)
        with pytest.raises(broker.BadState):
            broker.complete_oauth(user=alice, code=code, state=state, at=AT)

    def test_a_wrong_code_keeps_nothing(self, alice: User) -> None:
        _, state = connect(alice)
        with pytest.raises(broker.BrokerRefused, match="Invalid Auth code"):
            broker.complete_oauth(user=alice, code="invented", state=state, at=AT)
        assert not BrokerToken.objects.exists()

    def test_an_analytics_token_tells_its_own_end(self, alice: User) -> None:
        ends = AT + timedelta(days=200)
        row = broker.paste_analytics_token(user=alice, token=f" {analytics(ends)}\n", at=AT)
        assert row.expires_at == ends

    @pytest.mark.parametrize("token", ["", "short", "two words " * 5, "x" * 5_000])
    def test_what_is_no_token_is_refused(self, alice: User, token: str) -> None:
        with pytest.raises(broker.BadBrokerToken):
            broker.paste_analytics_token(user=alice, token=token, at=AT)

    def test_an_expired_token_is_refused(self, alice: User) -> None:
        with pytest.raises(broker.BadBrokerToken):
            broker.paste_analytics_token(user=alice, token=analytics(AT - timedelta(days=1)), at=AT)

    def test_without_a_key_nothing_is_kept(self, alice: User, settings: Any) -> None:
        for keys in ([], ["not a key"]):
            settings.BROKER_TOKEN_KEYS = keys
            with pytest.raises(broker.NoKey):
                broker.paste_analytics_token(user=alice, token=SECRET, at=AT)
        assert not BrokerToken.objects.exists()


class TestKeeping:
    def test_the_token_is_nowhere_in_plain_text(
        self, alice: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        broker.paste_analytics_token(user=alice, token=SECRET, at=AT)
        with connection.cursor() as cursor:
            cursor.execute("SELECT ciphertext, last_four FROM marketdata_brokertoken")
            stored = str(cursor.fetchall())
        audit = str(list(AuditEntry.objects.values()))
        for place in (stored, audit, caplog.text, repr(BrokerToken.objects.get())):
            assert SECRET not in place
        assert "x9Qz" in stored  # the control: the four characters that may be seen

    def test_a_new_token_replaces_the_old_one(self, alice: User) -> None:
        broker.paste_analytics_token(user=alice, token="a" * 40, at=AT)
        broker.paste_analytics_token(user=alice, token="b" * 40, at=AT)
        old, new = BrokerToken.objects.order_by("pk")
        assert (old.ended_at, old.ciphertext) == (AT, "")
        assert new.ended_at is None

    def test_the_database_holds_one_at_a_time(self, alice: User) -> None:
        broker.paste_analytics_token(user=alice, token="a" * 40, at=AT)
        row = BrokerToken.objects.get()
        row.pk = None
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save(force_insert=True)

    def test_keys_rotate_without_losing_the_token(self, alice: User, settings: Any) -> None:
        broker.acknowledge_live(user=alice, text=broker.ACKNOWLEDGEMENT, at=AT)
        broker.paste_analytics_token(user=alice, token=SECRET, at=AT)
        old = settings.BROKER_TOKEN_KEYS
        fresh = Fernet.generate_key().decode()
        settings.BROKER_TOKEN_KEYS = [fresh, *old]
        assert broker.current_token(at=AT) == SECRET
        assert broker.rotate_keys() == 1
        settings.BROKER_TOKEN_KEYS = [fresh]
        assert broker.current_token(at=AT) == SECRET
        settings.BROKER_TOKEN_KEYS = old
        with pytest.raises(broker.NoKey):
            broker.current_token(at=AT)

    def test_disconnecting_forgets_the_secret(self, alice: User) -> None:
        broker.paste_analytics_token(user=alice, token=SECRET, at=AT)
        broker.disconnect(user=alice, reason="term ends", at=AT)
        assert BrokerToken.objects.get().ciphertext == ""
        assert broker.status(at=AT).kind == ""


class TestLiveSource:
    def test_it_is_off_until_acknowledged(self, alice: User) -> None:
        broker.paste_analytics_token(user=alice, token=SECRET, at=AT)
        with pytest.raises(broker.NotAcknowledged):
            broker.current_token(at=AT)
        with pytest.raises(broker.NotAcknowledged):
            broker.acknowledge_live(user=alice, text="yes", at=AT)
        broker.acknowledge_live(user=alice, text=broker.ACKNOWLEDGEMENT, at=AT)
        assert broker.current_token(at=AT) == SECRET
        broker.withdraw_live(user=alice, reason="no longer", at=AT)
        with pytest.raises(broker.NotAcknowledged):
            broker.current_token(at=AT)

    def test_the_simulator_needs_neither(self, settings: Any) -> None:
        settings.MARKET_SOURCE = "simulated"
        assert broker.current_token() == settings.UPSTOX_ACCESS_TOKEN


class TestAlarm:
    def names(self) -> set[str]:
        return {alarm.name for alarm in alarms.current()}

    @pytest.mark.parametrize(
        ("clock", "stands"), [((2, 59), False), ((3, 0), True), ((9, 0), True), ((10, 30), False)]
    )
    def test_it_stands_from_half_past_eight_in_india(
        self, clock: tuple[int, int], stands: bool
    ) -> None:
        broker.watch(at=AT.replace(hour=clock[0], minute=clock[1]))
        assert (broker.ALARM in self.names()) == stands

    def test_a_token_that_lasts_the_session_clears_it(self, alice: User) -> None:
        broker.watch(at=AT)
        assert broker.ALARM in self.names()
        broker.paste_analytics_token(user=alice, token=SECRET, at=AT)
        assert broker.ALARM not in self.names()

    def test_a_token_that_ends_before_the_close_does_not(self, alice: User) -> None:
        broker.keep_token(
            token=SECRET,
            kind=BrokerToken.Kind.OAUTH,
            user=alice,
            at=AT,
            expires_at=AT + timedelta(hours=1),
        )
        assert broker.ALARM in self.names()

    def test_the_simulator_has_no_alarm(self, settings: Any) -> None:
        settings.MARKET_SOURCE = "simulated"
        broker.watch(at=AT)
        assert broker.ALARM not in self.names()
