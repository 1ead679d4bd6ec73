"""Who may do what on every page of the administration and of staff. A view without a row fails."""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, reverse

from mockmarket.core import staff_groups
from mockmarket.core.models import User
from tests.support.api import student

pytestmark = pytest.mark.django_db

# What the teaching assistant | the administrator may do with a model's rows: look (v), add (a),
# change (c), delete (d).
MODELS = {
    "auth.group": " | ",  # superusers only
    "axes.accessattempt": "vd | vd",
    "axes.accesslog": " | v",
    "core.apitoken": "v | v",
    "core.auditentry": "v | v",
    "core.idempotencyrecord": "v | v",
    "core.jobrun": "v | v",
    "core.outboxevent": "v | v",
    "core.user": "vac | vac",
    "core.userstream": "v | v",
    "core.webhook": "v | v",
    "core.webhookdelivery": "v | v",
    "marketdata.brokertoken": "v | v",
    "marketdata.calendarday": "v | vac",
    "marketdata.candle": "v | v",
    "marketdata.closingprice": "v | v",
    "marketdata.indexmember": "v | v",
    "marketdata.instrument": "v | vc",
    "marketdata.lastprice": "v | v",
    "marketdata.liveacknowledgement": "v | v",
    "marketdata.newsitem": "v | vd",
    "marketdata.newssource": "v | vac",
    "marketdata.optionchainsnapshot": "v | v",
    "marketdata.watchlist": "v | v",
    "marketdata.watchlistitem": "v | v",
    "portfolios.announcement": "va | va",
    "portfolios.contest": "v | vac",
    "portfolios.contestclosing": "v | v",
    "portfolios.invitation": "v | v",
    "portfolios.journalentry": "v | v",
    "portfolios.ledgerentry": "v | v",
    "portfolios.portfolio": "v | v",
    "portfolios.portfoliometrics": "v | v",
    "portfolios.portfoliosnapshot": "v | v",
    "portfolios.position": "v | v",
    "portfolios.posting": "v | v",
    "portfolios.result": "v | v",
    "trading.alert": "v | v",
    "trading.alertevent": "v | v",
    "trading.chargeschedule": "v | vac",
    "trading.corporateaction": "v | va",
    "trading.corporateactionstep": "v | v",
    "trading.enginefence": "v | v",
    "trading.fill": "v | v",
    "trading.gtt": "v | v",
    "trading.order": "v | v",
    "trading.positionchange": "v | v",
}
BOTH, ADMINISTRATOR = (True, True), (False, True)
# Every other page, by its name: whether the assistant and the administrator may open it.
PAGES = {
    "index": BOTH,
    "search": BOTH,
    "autocomplete": None,  # names what it completes; refused without
    "jsi18n": BOTH,
    "login": None,
    "logout": None,
    "password_change": BOTH,
    "password_change_done": BOTH,
    "view_on_site": None,
    "app_list": BOTH,
    "auth_user_password_change": BOTH,
    "marketdata_brokertoken_callback": ADMINISTRATOR,
    "marketdata_brokertoken_connect": ADMINISTRATOR,
    "marketdata_brokertoken_paste": ADMINISTRATOR,
    "marketdata_brokertoken_disconnect": ADMINISTRATOR,
    "marketdata_brokertoken_acknowledge": ADMINISTRATOR,
    "marketdata_brokertoken_withdraw": ADMINISTRATOR,
    "marketdata_instrument_halt": ADMINISTRATOR,
    "marketdata_instrument_resume": ADMINISTRATOR,
    "portfolios_contest_import_roster": BOTH,
    "portfolios_contest_from_practice": ADMINISTRATOR,
    "portfolios_contest_from_classroom": ADMINISTRATOR,
    "portfolios_contest_from_intraday": ADMINISTRATOR,
    "portfolios_contest_from_investing": ADMINISTRATOR,
    "portfolios_contest_from_derivatives": ADMINISTRATOR,
    "portfolios_contest_dashboard": BOTH,
    "portfolios_contest_to_open": ADMINISTRATOR,
    "portfolios_contest_to_running": ADMINISTRATOR,
    "portfolios_contest_to_frozen": ADMINISTRATOR,
    "portfolios_contest_to_finished": ADMINISTRATOR,
    "portfolios_contest_to_archived": ADMINISTRATOR,
    "portfolios_contest_results_csv": BOTH,
    "portfolios_contest_results_xlsx": BOTH,
    "portfolios_contest_roster_csv": BOTH,
    "portfolios_portfolio_adjust_cash": ADMINISTRATOR,
    "portfolios_ledgerentry_reverse": ADMINISTRATOR,
    "trading_corporateaction_import_file": ADMINISTRATOR,
    "trading_corporateaction_apply_action": ADMINISTRATOR,
    "trading_corporateaction_reverse_action": ADMINISTRATOR,
    "trading_corporateaction_cancel_action": ADMINISTRATOR,
}
OF_MODELS = {"changelist": "v", "history": "v", "add": "a", "change": "c", "delete": "d"}
NOBODY = 0  # an id that no row has: permissions are asked before the row is


def patterns() -> Iterator[tuple[str, URLPattern]]:
    """Every named page of the administration."""

    def walk(found: list[URLPattern | URLResolver]) -> Iterator[tuple[str, URLPattern]]:
        for one in found:
            if isinstance(one, URLResolver):
                yield from walk(one.url_patterns)
            elif one.name:
                yield one.name, one

    return walk(admin.site.get_urls())


def model_of(name: str) -> tuple[str, str] | None:
    """The model and the kind of a model's own page; None for any other page."""
    for model in admin.site._registry:
        prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
        if name.startswith(prefix) and name.removeprefix(prefix) in OF_MODELS:
            return model._meta.label_lower, name.removeprefix(prefix)
    return None


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> dict[str, Client]:
    # A refusal without its page, which takes longer than everything else here.
    monkeypatch.setattr(
        "mockmarket.urls.handler403",
        lambda request, exception: HttpResponse(status=403),
        raising=False,
    )
    staff_groups.sync()
    made = {}
    for name, group in (
        ("assistant", staff_groups.ASSISTANTS),
        ("administrator", staff_groups.ADMINISTRATORS),
    ):
        user = User.objects.create(username=name, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        made[name] = Client()
        made[name].force_login(user)
    return made


def allowed(client: Client, url: str, *, post: bool) -> bool:
    answer = client.post(url) if post else client.get(url)
    assert answer.status_code in (200, 302, 400, 403, 404), f"{url}: {answer.status_code}"
    return answer.status_code != 403


def test_every_page_has_a_row() -> None:
    names = {name for name, _ in patterns()}
    own = {name: found for name in names if (found := model_of(name)) is not None}
    assert {label for label, _ in own.values()} == set(MODELS)
    assert names - set(own) == set(PAGES)


def test_every_model_is_open_to_whom_it_should_be(clients: dict[str, Client]) -> None:
    """Asked of the admin's own permissions, which each of its views asks before anything else."""
    asks = {"v": "view", "a": "add", "c": "change", "d": "delete"}
    wrong = []
    for model, model_admin in admin.site._registry.items():
        roles = MODELS[model._meta.label_lower].split("|")
        for role, may in zip(clients, roles, strict=True):
            request = RequestFactory().get("/")
            request.user = User.objects.get(username=role)
            for letter, verb in asks.items():
                if getattr(model_admin, f"has_{verb}_permission")(request) != (letter in may):
                    wrong.append(f"{role} {verb} {model._meta.label_lower}")
    assert wrong == []


WRITTEN = [label for label, roles in MODELS.items() if set(roles) & set("acd")]


def test_the_pages_of_what_staff_write_keep_to_it(clients: dict[str, Client]) -> None:
    """The same by requests, for every model that somebody may write."""
    wrong = []
    for label in WRITTEN:
        stem, roles = "admin:" + label.replace(".", "_"), MODELS[label].split("|")
        for (role, client), may in zip(clients.items(), roles, strict=True):
            for kind, letter in OF_MODELS.items():
                if kind == "history":  # redirects for a row that there is not, whoever asks
                    continue
                arguments = [NOBODY] if kind in ("change", "delete") else []
                url = reverse(f"{stem}_{kind}", args=arguments)
                # A list with a filter that there is not, which is refused before a row is read;
                # what writes by the POST that would write.
                listed = kind == "changelist"
                url = f"{url}?nothing=1" if listed else url
                if allowed(client, url, post=not listed) != (letter in may):
                    wrong.append(f"{role} {kind} {label}")
    assert wrong == []


def test_every_other_page_is_open_to_whom_it_should_be(clients: dict[str, Client]) -> None:
    by_name = dict(patterns())
    wrong = []
    for name, expected in PAGES.items():
        if expected is None:
            continue
        takes = by_name[name].pattern.converters
        known = {"app_label": "portfolios"} if name == "app_list" else dict.fromkeys(takes, NOBODY)
        url = reverse(f"admin:{name}", kwargs=known)
        for (role, client), may in zip(clients.items(), expected, strict=True):
            if allowed(client, url, post=bool(takes)) != may:
                wrong.append(f"{role} {name}")
    assert wrong == []


def test_students_and_strangers_are_sent_to_the_login(clients: dict[str, Client]) -> None:
    inside = Client()
    inside.force_login(student("alice"))
    for client in (inside, Client()):
        for name in ("index", *(f"{label.replace('.', '_')}_changelist" for label in MODELS)):
            answer = client.get(reverse(f"admin:{name}"))
            assert answer.status_code == 302, name
            assert "/login" in answer["Location"], name


@pytest.mark.parametrize(
    ("role", "status"), [("assistant", 200), ("administrator", 200), ("student", 403)]
)
def test_the_operations_page_is_for_staff(
    clients: dict[str, Client], role: str, status: int
) -> None:
    if role == "student":
        clients[role] = Client()
        clients[role].force_login(student("alice"))
    assert clients[role].get("/operations/").status_code == status
    assert Client().get("/operations/").status_code == 302
