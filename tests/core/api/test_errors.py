"""The envelope of every refusal under /api/."""

import pytest
from django.db import OperationalError
from redis import RedisError
from rest_framework import serializers
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate

from mockmarket.core import clock
from mockmarket.core.api.errors import flatten
from mockmarket.core.api.views import ApiView
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User

pytestmark = pytest.mark.django_db


def error(answer: object, code: str) -> dict[str, object]:
    body = answer.json()  # type: ignore[attr-defined]
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "fields", "request_id"}
    assert body["error"]["code"] == code
    assert body["error"]["message"]
    assert body["error"]["request_id"] == answer["X-Request-ID"]  # type: ignore[index]
    found: dict[str, object] = body["error"]
    return found


@pytest.fixture
def client() -> APIClient:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(User.objects.create_user("alice"))
    return client


def test_unknown_address(client: APIClient) -> None:
    for path in ("/api/", "/api/v1/nothing/", "/api/v2/me/", "/api/v1/me"):
        answer = client.get(path)
        assert answer.status_code == 404
        error(answer, "not_found")


def test_no_credential() -> None:
    answer = APIClient().get("/api/v1/me/")
    assert answer.status_code == 401
    error(answer, "not_authenticated")


def test_method(client: APIClient) -> None:
    answer = client.put("/api/v1/me/")
    assert answer.status_code == 405
    assert "GET" in answer["Allow"]
    error(answer, "method_not_allowed")


def test_input_names_its_fields(client: APIClient) -> None:
    answer = client.post("/api/v1/tokens/", {"scope": "ALL", "nmae": "x"}, format="json")
    assert answer.status_code == 400
    assert set(error(answer, "invalid_input")["fields"]) == {"nmae"}  # type: ignore[call-overload]
    answer = client.post("/api/v1/tokens/", {"scope": "ALL"}, format="json")
    assert set(error(answer, "invalid_input")["fields"]) == {"name", "scope"}  # type: ignore[call-overload]


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"3", b"\xff", b"[" * 100_000, b"NaN"])
def test_body_that_is_no_object(client: APIClient, body: bytes) -> None:
    answer = client.post("/api/v1/tokens/", body, content_type="application/json")
    assert answer.status_code == 400
    error(answer, "invalid_request")


def test_body_of_another_type(client: APIClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = client.post("/api/v1/tokens/", b'{"name":"x"}', content_type=kind)
        assert answer.status_code == 415
        error(answer, "unsupported_media_type")


def test_body_too_large(client: APIClient) -> None:
    body = b'{"name":"' + b"x" * 300_000 + b'"}'
    answer = client.post("/api/v1/tokens/", body, content_type="application/json")
    assert answer.status_code == 413
    error(answer, "body_too_large")


@pytest.mark.parametrize(
    "query", ["cursor=zzz", "limit=0", "limit=-1", "limit=abc", "cursor=bz0tMQ=="]
)
def test_page_parameters(client: APIClient, query: str) -> None:
    answer = client.get(f"/api/v1/tokens/?{query}")
    assert answer.status_code == 400
    error(answer, "invalid_input")


class TooBold(DomainError):
    code = "too_bold"
    status = 409


class Refusing(ApiView):
    raises: Exception = RuntimeError()

    def get(self, request: object) -> None:
        raise self.raises


class TestExceptions:
    def answer(self, raised: Exception) -> tuple[int, dict[str, object]]:
        request = APIRequestFactory().get("/api/v1/x/")
        force_authenticate(request, User.objects.get_or_create(username="carol")[0])
        response = Refusing.as_view(raises=raised)(request)
        body: dict[str, object] = response.data["error"]
        return response.status_code, body

    def test_domain_error(self) -> None:
        status, body = self.answer(TooBold("No.", fields={"quantity": "less"}))
        assert (status, body["code"], body["fields"]) == (409, "too_bold", {"quantity": "less"})

    def test_store_that_is_away(self) -> None:
        for away in (OperationalError("lock timeout"), RedisError("gone")):
            status, body = self.answer(away)
            assert (status, body["code"]) == (503, "service_unavailable")

    def test_fault_is_a_500_that_tells_nothing(self) -> None:
        status, body = self.answer(RuntimeError("canary-secret"))
        assert (status, body["code"]) == (500, "server_error")
        assert "canary" not in str(body)


def test_flatten_names_nested_fields() -> None:
    class Leg(serializers.Serializer[dict[str, int]]):
        quantity = serializers.IntegerField()

    class Basket(serializers.Serializer[dict[str, object]]):
        legs = Leg(many=True)

    form = Basket(data={"legs": [{"quantity": 1}, {"quantity": "x"}]})
    assert not form.is_valid()
    assert list(flatten(form.errors)) == ["legs.1.quantity"]


def test_times_are_utc(client: APIClient) -> None:
    answer = client.post("/api/v1/tokens/", {"name": "bot"}, format="json")
    created_at = answer.json()["created_at"]
    assert created_at.endswith("Z")
    assert created_at[:13] == clock.now().isoformat()[:13]
