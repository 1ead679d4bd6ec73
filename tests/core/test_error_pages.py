"""What a browser is shown when a page cannot be: in the product's own words, without the desk."""

import pytest
from django.db import OperationalError
from django.http import HttpRequest
from django.test import Client
from django.test.utils import override_settings
from django.utils import translation

from mockmarket.core import views
from mockmarket.core.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def strict() -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("alice", password="a long secret"))
    return client


def test_an_old_form_is_refused_in_plain_words(strict: Client) -> None:
    answer = strict.post("/logout/")
    html = answer.content.decode()
    assert answer.status_code == 403
    assert "This page was too old to send" in html
    assert "CSRF" not in html


def test_a_part_of_a_page_gets_no_second_page_around_it(strict: Client) -> None:
    answer = strict.post("/orders/ticket/", {}, headers={"HX-Request": "true"})
    html = answer.content.decode()
    assert "This page was too old to send" in html
    assert "<html" not in html


def test_a_stranger_who_is_lost_sees_no_desk(client: Client) -> None:
    html = client.get("/nowhere/").content.decode()
    assert "There is no such page" in html
    assert "data-instrument" not in html


def test_a_name_that_the_server_does_not_go_by_is_explained(client: Client) -> None:
    with override_settings(ALLOWED_HOSTS=["trade.example.edu"]):
        answer = client.get("/", headers={"host": "10.0.0.7"})
    assert answer.status_code == 400
    assert "names the server by a name" in answer.content.decode()


@pytest.mark.parametrize(
    ("failure", "status", "said"),
    [
        (ValueError("broken"), 500, "हमारी ओर कुछ टूट गया"),
        (OperationalError("away"), 503, "सर्वर साँस ले रहा है"),
    ],
)
def test_the_last_page_is_in_the_readers_language_and_names_the_request(
    failure: Exception, status: int, said: str, django_assert_num_queries
) -> None:
    request = HttpRequest()
    request.id = "r-17"
    with translation.override("hi"), django_assert_num_queries(0):
        try:
            raise failure
        except type(failure):
            answer = views.server_error(request)
    html = answer.content.decode()
    assert answer.status_code == status
    assert said in html
    assert "r-17" in html
