"""Sign-in of programs: JWT pairs, API tokens, tickets."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from mockmarket.core import accounts, clock, tokens
from mockmarket.core.api import idempotency
from mockmarket.core.models import ApiToken, IdempotencyRecord, User

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password=PASSWORD)


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("bob", password=PASSWORD)


def signed_in(user: User) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.issue_pair(user=user).access}")
    return client


def sign_in(username: str, password: str) -> tuple[int, dict[str, object]]:
    response = APIClient().post(
        "/api/v1/auth/token/", {"username": username, "password": password}, format="json"
    )
    return response.status_code, response.json()


class TestJwt:
    def test_opens_the_api(self, alice: User) -> None:
        status, pair = sign_in("alice", PASSWORD)
        assert status == 200
        me = APIClient().get("/api/v1/me/", HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
        assert me.status_code == 200
        assert me.json()["username"] == "alice"

    def test_says_the_same_for_a_wrong_name_and_a_wrong_password(self, alice: User) -> None:
        wrong_name = sign_in("nobody", PASSWORD)
        wrong_password = sign_in("alice", "wrong")
        assert wrong_name[0] == wrong_password[0] == 401
        codes = [answer[1]["error"] for answer in (wrong_name, wrong_password)]
        assert all(isinstance(code, dict) and code.pop("request_id") for code in codes)
        assert codes[0] == codes[1]

    def test_ends_with_the_password(self, alice: User) -> None:
        access = tokens.issue_pair(user=alice).access
        alice.set_password("another pass phrase")
        alice.save()
        with pytest.raises(tokens.InvalidToken):
            tokens.authenticate_token(header=f"Bearer {access}", at=NOW)

    def test_ends_with_the_user(self, alice: User) -> None:
        access = tokens.issue_pair(user=alice).access
        User.objects.filter(pk=alice.pk).update(is_active=False)
        with pytest.raises(tokens.InvalidToken):
            tokens.authenticate_token(header=f"Bearer {access}", at=NOW)

    def test_is_refreshed_once(self, alice: User) -> None:
        pair = tokens.issue_pair(user=alice)
        tokens.authenticate_token(
            header=f"Bearer {tokens.rotate_pair(refresh=pair.refresh).access}", at=NOW
        )
        with pytest.raises(tokens.InvalidToken):
            tokens.rotate_pair(refresh=pair.refresh)

    def test_refresh_is_no_access(self, alice: User) -> None:
        pair = tokens.issue_pair(user=alice)
        with pytest.raises(tokens.InvalidToken):
            tokens.authenticate_token(header=f"Bearer {pair.refresh}", at=NOW)
        with pytest.raises(tokens.InvalidToken):
            tokens.rotate_pair(refresh=pair.access)

    def test_locks_an_account_with_its_address_after_ten_failures(self, alice: User) -> None:
        statuses = [sign_in("alice", "wrong")[0] for _ in range(10)]
        status, body = sign_in("alice", PASSWORD)
        assert 401 in statuses
        assert status == 429
        assert body["error"]["code"] == "too_many_attempts"  # type: ignore[index]


class TestApiTokens:
    def create(self, user: User, **given: object) -> dict[str, str]:
        response = signed_in(user).post("/api/v1/tokens/", {"name": "bot", **given}, format="json")
        assert response.status_code == 201, response.content
        body: dict[str, str] = response.json()
        return body

    def test_work_and_are_kept_as_a_digest_only(self, alice: User) -> None:
        text = self.create(alice)["token"]
        assert text.startswith("mm_")
        assert tokens.authenticate_token(header=f"Bearer {text}", at=NOW).user == alice
        assert not any(text in str(value) for value in ApiToken.objects.values_list().get())

    def test_of_scope_read_may_not_write(self, alice: User) -> None:
        text = self.create(alice)["token"]
        refused = APIClient().post(
            "/api/v1/tokens/", {"name": "x"}, format="json", HTTP_AUTHORIZATION=f"Bearer {text}"
        )
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "token_read_only"

    def test_of_scope_read_may_open_a_socket(self, alice: User) -> None:
        text = self.create(alice)["token"]
        answer = APIClient().post("/api/v1/ws-ticket/", HTTP_AUTHORIZATION=f"Bearer {text}")
        assert answer.status_code == 201
        assert set(answer.json()) == {"ticket", "expires_at"}

    def test_expire(self, alice: User) -> None:
        _, text = tokens.create_token(
            user=alice, name="short", scope="READ", expires_at=NOW + timedelta(hours=1), at=NOW
        )
        tokens.authenticate_token(header=f"Bearer {text}", at=NOW + timedelta(minutes=59))
        with pytest.raises(tokens.InvalidToken):
            tokens.authenticate_token(header=f"Bearer {text}", at=NOW + timedelta(hours=1))

    def test_note_their_last_use_to_the_minute(self, alice: User) -> None:
        row, text = tokens.create_token(
            user=alice, name="bot", scope="READ", expires_at=None, at=NOW
        )
        for seconds in (0, 30, 90):
            tokens.authenticate_token(header=f"Bearer {text}", at=NOW + timedelta(seconds=seconds))
        row.refresh_from_db()
        assert row.last_used_at == NOW + timedelta(seconds=90)

    def test_are_revoked_by_their_owner_only(self, alice: User, bob: User) -> None:
        created = self.create(alice)
        url = f"/api/v1/tokens/{created['id']}/"
        assert signed_in(bob).delete(url).status_code == 404
        assert signed_in(alice).delete(url).status_code == 204
        assert signed_in(alice).delete(url).status_code == 404
        with pytest.raises(tokens.InvalidToken):
            tokens.authenticate_token(header=f"Bearer {created['token']}", at=NOW)

    def test_have_a_ceiling(self, alice: User, settings: Settings) -> None:
        settings.API_TOKENS_PER_USER_MAX = 1
        self.create(alice)
        refused = signed_in(alice).post("/api/v1/tokens/", {"name": "two"}, format="json")
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "too_many_tokens"


class TestSession:
    def test_needs_its_csrf_token_to_write(self, alice: User) -> None:
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(alice)
        assert browser.get("/api/v1/me/").status_code == 200
        refused = browser.post("/api/v1/ws-ticket/")
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "csrf_failed"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic abc", "Bearer a b", "Bearer mm_none", "Bearer x.y.z"]
)
def test_a_malformed_header_is_refused(header: str) -> None:
    answer = APIClient().get("/api/v1/me/", HTTP_AUTHORIZATION=header)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_token"
    assert answer["WWW-Authenticate"].startswith("Bearer")


class TestMe:
    def test_changes_what_is_given(self, alice: User) -> None:
        client = signed_in(alice)
        body = client.patch(
            "/api/v1/me/", {"alias": " Night  Owl ", "theme": "DARK"}, format="json"
        ).json()
        assert (body["alias"], body["theme"], body["colour_blind"]) == ("Night Owl", "DARK", False)

    def test_leaves_what_another_tab_has_changed(self, alice: User) -> None:
        stale = User.objects.get(pk=alice.pk)
        accounts.change(user=alice, alias="Owl")
        accounts.change(user=stale, theme="DARK")
        alice.refresh_from_db()
        assert (alice.alias, alice.theme) == ("Owl", "DARK")

    def test_an_alias_belongs_to_one(self, alice: User, bob: User) -> None:
        signed_in(alice).patch("/api/v1/me/", {"alias": "Owl"}, format="json")
        answer = signed_in(bob).patch("/api/v1/me/", {"alias": "oWL"}, format="json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "alias_taken")


class TestIdempotentSecrets:
    def test_a_token_is_made_once_and_kept_unreadable(self, alice: User) -> None:
        client, body = signed_in(alice), {"name": "bot"}
        first, again = (
            client.post("/api/v1/tokens/", body, format="json", HTTP_IDEMPOTENCY_KEY="k")
            for _ in range(2)
        )
        assert first.status_code == again.status_code == 201
        assert first.content == again.content
        assert ApiToken.objects.count() == 1
        kept = IdempotencyRecord.objects.get()
        assert first.json()["token"] not in str(kept.body)

    @pytest.mark.parametrize(("age", "made"), [(23.9, 1), (24.1, 2)])
    def test_a_key_is_remembered_for_a_day(self, alice: User, age: float, made: int) -> None:
        client, body = signed_in(alice), {"name": "bot"}
        for _ in range(2):
            client.post("/api/v1/tokens/", body, format="json", HTTP_IDEMPOTENCY_KEY="k")
            IdempotencyRecord.objects.update(created_at=clock.now() - timedelta(hours=age))
        assert ApiToken.objects.count() == made

    def test_control_without_a_key_there_are_two(self, alice: User) -> None:
        for _ in range(2):
            signed_in(alice).post("/api/v1/tokens/", {"name": "bot"}, format="json")
        assert ApiToken.objects.count() == 2

    def test_work_and_answer_are_kept_together_or_not_at_all(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(**_: object) -> None:
            raise SystemExit

        monkeypatch.setattr(idempotency, "_complete", die)
        with pytest.raises(SystemExit):
            signed_in(alice).post(
                "/api/v1/tokens/", {"name": "bot"}, format="json", HTTP_IDEMPOTENCY_KEY="k"
            )
        assert ApiToken.objects.count() == 0
