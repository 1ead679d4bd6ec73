"""Who may open a socket, and for how long (S1, T17): on both servers."""

import contextlib
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mockmarket.core import bus, clock, tickets, tokens
from mockmarket.core.models import User
from portfolios import services
from tests.portfolios.support import contest
from tests.support import stream
from tests.support.stream import Client, WebServer, bearer, join

pytestmark = pytest.mark.django_db(transaction=True)
web = stream.web


class TestAuthentication:
    def test_session_with_its_origin(self, web: WebServer) -> None:
        _, cookie = stream.session(stream.user())
        with Client(web.url, additional_headers=cookie, origin=web.origin) as client:
            assert client.next()["type"] == "welcome"

    def test_token_and_jwt_in_the_header(self, web: WebServer) -> None:
        alice = stream.user()
        _, text = tokens.create_token(
            user=alice, name="bot", scope="READ", expires_at=None, at=clock.now()
        )
        for header in (bearer(alice), {"Authorization": f"Bearer {text}"}):
            with Client(web.url, additional_headers=header) as client:
                assert client.next()["type"] == "welcome"

    def test_ticket_in_the_first_message_works_once(self, web: WebServer) -> None:
        ticket, _ = tickets.issue_ticket(user=stream.user(), at=clock.now())
        with Client(web.url) as client:
            client.send("subscribe", instruments=["x"])
            assert client.next()["code"] == "not_authenticated"
            client.send("authenticate", ticket=ticket)
            assert client.next()["type"] == "welcome"
        with Client(web.url) as client:
            client.send("authenticate", ticket=ticket)
            assert client.close_code() == 4401

    def test_lapsed_credentials_close_4401(self, web: WebServer) -> None:
        alice = stream.user()
        _, cookie = stream.session(alice)
        header = bearer(alice)
        alice.set_password("another horse")
        alice.save()
        for options in (
            {"additional_headers": cookie, "origin": web.origin},
            {"additional_headers": header},
            {"additional_headers": {"Authorization": "Bearer nonsense"}},
        ):
            with Client(web.url, **options) as client:
                assert client.close_code() == 4401
                assert client.seen == []

    def test_inactive_users_are_refused(self, web: WebServer) -> None:
        alice = stream.user()
        header = bearer(alice)
        User.objects.filter(pk=alice.pk).update(is_active=False)
        with Client(web.url, additional_headers=header) as client:
            assert client.close_code() == 4401


class TestSignOut:
    """Sockets end within five seconds of the right to them."""

    def test_logout_closes_that_session_only(self, web: WebServer) -> None:
        alice = stream.user()
        key, cookie = stream.session(alice)
        with (
            Client(web.url, additional_headers=cookie, origin=web.origin) as page,
            join(web, alice) as program,
        ):
            page.wait("welcome")
            bus.close_sockets(user_id=alice.pk, session_key=key)
            assert page.close_code(5) == 4401
            program.send("ping", id=1)
            assert program.wait("pong")["id"] == 1

    def test_leaving_a_contest_ends_what_was_told_of_it(self, web: WebServer) -> None:
        alice, where = stream.user(), contest()
        services.join_contest(user=alice, code=where.join_code, at=clock.now())
        with join(web, alice) as client, join(web, stream.user("control")) as control:
            told = {"portfolio_id": 7, "contest": str(where.pk)}
            bus.publish_live([(alice.pk, "portfolio_update", told)])
            client.wait("portfolio_update")
            services.leave_contest(user=alice, contest=where, at=clock.now())
            assert client.close_code(5) == 1012
            control.send("ping")
            assert control.wait("pong")
        with join(web, alice) as back:
            assert "portfolio_update" not in {frame["type"] for frame in back.drain()}

    def test_unannounced_ends_are_found_by_the_audit(self, web: WebServer) -> None:
        alice, bob, carol, dave = (stream.user(name) for name in ("alice", "bob", "carol", "dave"))
        session_key, cookie = stream.session(dave)
        row, text = tokens.create_token(
            user=carol, name="bot", scope="READ", expires_at=None, at=clock.now()
        )
        removed = stream.user("removed")
        clients = [
            join(web, alice),
            join(web, bob),
            join(web, removed),
            Client(web.url, additional_headers={"Authorization": f"Bearer {text}"}),
            Client(web.url, additional_headers=cookie, origin=web.origin),
        ]
        control = join(web, stream.user("control"))
        for client in clients[3:]:
            client.wait("welcome")
        removed.delete()
        User.objects.filter(pk=alice.pk).update(is_active=False)
        bob.set_password("another horse")
        bob.save()
        type(row).objects.filter(pk=row.pk).update(revoked_at=clock.now())
        from django.contrib.sessions.models import Session

        Session.objects.filter(session_key=session_key).delete()
        started = clock.monotonic()
        assert [client.close_code(6) for client in clients] == [4401] * 5
        assert clock.monotonic() - started <= 5
        control.send("ping")
        assert control.wait("pong")
        control.socket.close()


@pytest.mark.parametrize("server", stream.SERVERS)
def test_an_hour_without_action_closes_4408(server: str, db: None) -> None:
    """With two seconds for an hour. A ping is no action; what is one keeps the socket."""
    web = WebServer(server, STREAM_IDLE_SECONDS="2")
    try:
        with join(web, stream.user()) as idle, join(web, stream.user("control")) as control:
            began = clock.monotonic()
            while clock.monotonic() - began < 4:
                control.send("options", updates="batch")
                control.wait("options_confirmed")
                with contextlib.suppress(ConnectionClosed):
                    idle.send("ping")
                time.sleep(0.5)
            assert idle.close_code() == 4408
            control.send("ping")
            assert control.wait("pong")
    finally:
        web.stop()


class TestOrigin:
    """S1: only the exact origin, whatever the cookie."""

    @pytest.mark.parametrize(
        "origin",
        [
            "null",
            "https://127.0.0.1:{port}",
            "http://127.0.0.1",
            "http://127.0.0.1:1",
            "http://localhost:{port}",
            "http://evil127.0.0.1:{port}",
            "http://127.0.0.1.evil.example:{port}",
            "http://sub.127.0.0.1:{port}",
            "http://127.0.0.1:{port}@evil.example",
            "http://evil.example@127.0.0.1:{port}",
            "http://127.0.0.1.:{port}",
            "HTTP://127.0.0.1:{port}",
            "http://[::1]:{port}",
            "http://2130706433:{port}",
        ],
    )
    def test_other_origins_get_403(self, web: WebServer, origin: str) -> None:
        _, cookie = stream.session(stream.user())
        with pytest.raises(InvalidStatus) as refused:
            Client(web.url, additional_headers=cookie, origin=origin.format(port=web.port))
        assert refused.value.response.status_code == 403

    def test_a_cookie_without_an_origin_gets_403(self, web: WebServer) -> None:
        _, cookie = stream.session(stream.user())
        with pytest.raises(InvalidStatus) as refused:
            Client(web.url, additional_headers=cookie)
        assert refused.value.response.status_code == 403
