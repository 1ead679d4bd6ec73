"""Contests in the admin: their form, their life, their rosters, dashboards and results."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from mockmarket.core import clock
from mockmarket.core.admin_base import AuditedAdmin, list_link, reasoned
from mockmarket.core.formats import rupees
from mockmarket.core.models import User
from portfolios import admin_rules, contests, selectors, services, staff
from portfolios.models import Contest, Portfolio

BREAK = SafeString("<wbr>")
STATE_LABELS = {
    "DRAFT": "default",
    "OPEN": "info",
    "RUNNING": "success",
    "FROZEN": "warning",
    "FINISHED": "default",
    "ARCHIVED": "default",
}


def _move(state: str) -> str:
    """The name of the action that moves a contest to `state`."""
    return f"to_{state.lower()}"


def _state_action(state: str, title: str, text: str, icon: str) -> Any:
    """An action of a contest's page that moves it to `state`, with a reason."""

    def move(
        self: "ContestAdmin", actor: User, given: dict[str, Any], target: Any, at: datetime
    ) -> None:
        services.change_state(
            contest=Contest.objects.get(pk=target),
            state=state,
            actor=actor,
            reason=given["reason"],
            at=at,
        )

    move.__name__ = _move(state)
    return reasoned(
        title=title,
        text=text,
        path=f"to-{state.lower()}",
        permission="change",
        icon=icon,
        done=f"{title}: done.",
    )(move)


def _template_action(name: str) -> Any:
    """An action of the list that opens the form with a template's rules."""

    def begin(self: "ContestAdmin", request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:portfolios_contest_add')}?template={name}")

    begin.__name__ = f"from_{name}"
    return action(description=name.capitalize(), url_path=f"new-{name}", permissions=["add"])(begin)


@admin.register(Contest)
class ContestAdmin(AuditedAdmin):
    """Contests. State moves by its actions; rules lock at the start."""

    form = admin_rules.ContestForm
    list_display = [
        "name",
        "state_label",
        "members",
        "starts_at",
        "ends_at",
        "cash",
        "join_code",
    ]
    list_filter = ["state", "is_practice"]
    search_fields = ["name", "slug", "join_code"]
    date_hierarchy = "starts_at"
    ordering = ["-starts_at"]
    prepopulated_fields = {"slug": ["name"]}
    fieldsets = [
        ("Contest", {"fields": ["name", "slug", "description", "state"]}),
        ("Dates", {"fields": ["starts_at", "ends_at"]}),
        (
            "Entry",
            {"fields": ["join_code", "audience", "capacity", "starting_cash"]},
        ),
    ]
    actions_list = [
        "import_roster",
        {
            "title": "New from a template",
            "icon": "add",
            "items": [f"from_{name}" for name in contests.TEMPLATES],
        },
    ]
    actions_detail = [
        "dashboard",
        "to_open",
        "to_running",
        "to_frozen",
        "to_finished",
        "to_archived",
        {
            "title": "Export",
            "icon": "download",
            "items": ["results_csv", "results_xlsx", "roster_csv"],
        },
    ]

    to_open = _state_action("OPEN", "Open to join", "Students with the code may join.", "door_open")
    to_running = _state_action(
        "RUNNING",
        "Start or resume",
        "Trading begins; at the first start the rules are locked and hashed.",
        "play_arrow",
    )
    to_frozen = _state_action(
        "FROZEN", "Freeze", "No order is accepted or filled until it is resumed.", "pause"
    )
    to_finished = _state_action(
        "FINISHED", "Finish", "Trading ends for good; the result stands.", "flag"
    )
    to_archived = _state_action(
        "ARCHIVED", "Archive", "It leaves the lists; its books stay.", "archive"
    )
    from_practice, from_classroom, from_intraday, from_investing, from_derivatives = (
        _template_action(name) for name in contests.TEMPLATES
    )

    def has_roster_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return bool(request.user.has_perm("core.add_user"))

    @action(
        description="Import a roster",
        url_path="roster",
        permissions=["roster"],
        icon="group_add",
    )
    def import_roster(self, request: HttpRequest) -> HttpResponse:
        return staff.roster_view(request, context=self.admin_site.each_context(request))

    @action(description="Dashboard", url_path="dashboard", permissions=["view"], icon="monitoring")
    def dashboard(self, request: HttpRequest, object_id: int) -> HttpResponse:
        contest = get_object_or_404(Contest, pk=object_id)
        return staff.dashboard_view(
            request, contest=contest, context=self.admin_site.each_context(request)
        )

    @action(description="Results as CSV", url_path="csv", permissions=["view"], icon="table")
    def results_csv(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return staff.results_file(contest=get_object_or_404(Contest, pk=object_id), kind="csv")

    @action(description="Results as XLSX", url_path="xlsx", permissions=["view"], icon="table")
    def results_xlsx(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return staff.results_file(contest=get_object_or_404(Contest, pk=object_id), kind="xlsx")

    @action(
        description="Roster as CSV", url_path="roster-csv", permissions=["roster"], icon="groups"
    )
    def roster_csv(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return staff.roster_file(contest=get_object_or_404(Contest, pk=object_id))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Contest]:
        rows: QuerySet[Contest] = super().get_queryset(request)
        return rows.annotate(member_count=selectors.MEMBERS)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Of the moves only those that may follow the contest's state. One that was shown before
        somebody else moved it is refused by the service, in its words."""
        state = Contest.objects.filter(pk=object_id).values_list("state", flat=True).first()
        never = {_move(name) for name in contests.STATE_TABLE}
        never -= {_move(name) for name in contests.STATE_TABLE.get(state or "", ())}
        found = super().get_actions_detail(request, object_id)
        return [shown for shown in found if shown.method.__name__ not in never]

    @admin.display(description="Starting cash", ordering="starting_cash")
    def cash(self, obj: Contest) -> str:
        return rupees(obj.starting_cash, places=0)

    @display(description="State", ordering="state", label=STATE_LABELS)
    def state_label(self, obj: Contest) -> tuple[str, str]:
        return obj.state, obj.get_state_display()

    @admin.display(description="Members", ordering="member_count")
    def members(self, obj: Any) -> SafeString:
        return list_link(Portfolio, obj.member_count, {"contest__id__exact": obj.pk})

    @admin.display(description="See also")
    def related(self, obj: Contest) -> SafeString:
        return list_link(Portfolio, "Its portfolios", {"contest__id__exact": obj.pk})

    @admin.display(description="Rules, as they were at the start")
    def rules_shown(self, obj: Contest) -> SafeString:
        """Every rule by name, once they are locked."""
        return format_html_join(
            "", "<div>{}: <b>{}</b></div>", admin_rules.in_words(contests.rules_of(obj))
        )

    @admin.display(description="SHA-256 of the rules")
    def hash_shown(self, obj: Contest) -> SafeString:
        # In parts that may stand on lines of their own: a phone is narrower than the whole.
        parts = [(obj.rules_hash[at : at + 8],) for at in range(0, len(obj.rules_hash), 8)]
        return format_html("<code>{}</code>", format_html_join(BREAK, "{}", parts) or "—")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        [(title, about), *fieldsets] = super().get_fieldsets(request, obj)
        linked = [] if obj is None else ["related"]
        fieldsets = [(title, {"fields": [*about["fields"], *linked]}), *fieldsets]
        editable = self.has_change_permission(request, obj)
        if obj is not None and (obj.state in contests.LOCKED or not editable):
            rules = [("Rules", {"fields": ["rules_shown", "rules_version", "hash_shown"]})]
        else:
            rules = list(admin_rules.FIELDSETS)
            if obj is not None:
                rules.append(("Version of the rules", {"fields": ["rules_version"]}))
        why = 1 if fieldsets[-1][0] == "Why" else 0
        return [*fieldsets[: len(fieldsets) - why], *rules, *fieldsets[len(fieldsets) - why :]]

    def get_readonly_fields(self, request: HttpRequest, obj: Contest | None = None) -> Any:
        fixed = ["state", "rules_version", "rules_shown", "hash_shown", "related"]
        if obj is not None:
            fixed += ["slug"]
        if obj is not None and obj.state in contests.LOCKED:
            fixed += ["starting_cash", "starts_at"]
        return fixed

    def get_prepopulated_fields(self, request: HttpRequest, obj: Contest | None = None) -> Any:
        return self.prepopulated_fields if obj is None else {}

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        template = contests.TEMPLATES.get(request.GET.get("template", ""), {})
        return {
            "join_code": services.new_join_code(),
            "starts_at": clock.now(),
            "rules": dict(template),
        }

    def audited(self, form: Any, *, change: bool) -> list[str]:
        """Without changed rules: `set_rules` records them."""
        names = super().audited(form, change=change)
        return [name for name in names if not (change and name.startswith(admin_rules.PREFIX))]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        rules: contests.Rules | None = form.cleaned_data.get("rules")
        if not change:
            assert rules is not None, "a new contest has rules"
            obj.created_at = clock.now()
            obj.rules = rules.as_json()
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if change and rules is not None and rules != contests.rules_of(obj):
                services.set_rules(
                    contest=obj,
                    rules=rules,
                    actor=request.user,  # type: ignore[arg-type]
                    reason=form.cleaned_data["reason"],
                    at=clock.now(),
                )
