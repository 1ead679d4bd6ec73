"""Staff pages beyond lists: class rosters in and out, a contest's dashboard, its results."""

import base64
import binascii
from typing import Any, cast

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldBooleanSwitchWidget,
)

from mockmarket.core import clock
from mockmarket.core.admin_base import reason_field
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios import dashboard, enrolment, results, tables
from portfolios.models import Contest

# Rows shown of a preview; an import takes them all.
PREVIEW_ROWS = 50
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class RosterForm(forms.Form):
    """A file, and the contest whose roster it is."""

    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget,
        help_text="CSV: username or email, first_name, last_name, alias. At most 5,000 rows.",
    )
    contest = forms.ModelChoiceField(
        Contest.objects.order_by("-starts_at"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="Empty: accounts only.",
    )
    join = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        label="Open their portfolios now",
    )


class ConfirmForm(forms.Form):
    """The same file again, with a reason."""

    roster = forms.CharField(widget=forms.HiddenInput, max_length=1_600_000)
    contest = forms.ModelChoiceField(
        Contest.objects.all(), required=False, widget=forms.HiddenInput
    )
    join = forms.BooleanField(required=False, widget=forms.HiddenInput)
    reason = reason_field()

    def clean_roster(self) -> bytes:
        try:
            return base64.b64decode(self.cleaned_data["roster"], validate=True)
        except binascii.Error as error:
            raise forms.ValidationError("Choose the file again.") from error


def roster_view(request: HttpRequest, *, context: dict[str, Any]) -> TemplateResponse:
    """Upload, preview, import: nothing is written before the preview is confirmed."""
    if "roster" in request.POST:
        return _confirm(request, context)
    form = RosterForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data["file"].read()
        try:
            seen = enrolment.preview(data=data, contest=form.cleaned_data["contest"])
        except DomainError as refusal:
            form.add_error("file", refusal.message)
        else:
            confirm = ConfirmForm(
                initial={
                    "roster": base64.b64encode(data).decode(),
                    "contest": form.cleaned_data["contest"],
                    "join": form.cleaned_data["join"],
                }
            )
            chosen = form.cleaned_data
            return _page(
                request, context, form=confirm, preview=seen, contest=chosen["contest"],
                joins=chosen["contest"] and chosen["join"],
            )  # fmt: skip
    return _page(request, context, form=form)


def _confirm(request: HttpRequest, context: dict[str, Any]) -> TemplateResponse:
    form = ConfirmForm(request.POST)
    if not form.is_valid():
        return _page(request, context, form=form)
    given = form.cleaned_data
    try:
        done = enrolment.apply(
            data=given["roster"],
            contest=given["contest"],
            join=given["join"],
            actor=cast("User", request.user),
            reason=given["reason"],
            at=clock.now(),
        )
    except DomainError as refusal:
        form.add_error(None, refusal.message)
        return _page(request, context, form=form)
    response = _page(request, context, imported=done, contest=given["contest"])
    # First passwords stand on this page once.
    response["Cache-Control"] = "no-store"
    return response


def _page(request: HttpRequest, context: dict[str, Any], **more: Any) -> TemplateResponse:
    shown = {**context, **more, "title": "Import a roster", "preview_rows": PREVIEW_ROWS}
    return TemplateResponse(request, "admin/portfolios/roster.html", shown)


def dashboard_view(
    request: HttpRequest, *, contest: Contest, context: dict[str, Any]
) -> TemplateResponse:
    """One contest at a glance."""
    shown = {
        **context,
        "title": f"{contest.name}: dashboard",
        "contest": contest,
        "board": dashboard.dashboard(contest=contest, at=clock.now()),
    }
    return TemplateResponse(request, "admin/portfolios/dashboard.html", shown)


def results_file(*, contest: Contest, kind: str) -> HttpResponse:
    """A contest for grading as CSV or XLSX; texts that a spreadsheet would run are neutralised."""
    rows = results.export_rows(contest=contest, at=clock.now())
    name = f"{contest.slug}-results.{kind}"
    if kind == "xlsx":
        sheet = tables.as_xlsx(title=contest.name, header=results.EXPORT_HEADER, rows=rows)
        return _attachment(sheet, name=name, content_type=XLSX)
    return _attachment(tables.as_csv(header=results.EXPORT_HEADER, rows=rows), name=name)


def roster_file(*, contest: Contest) -> HttpResponse:
    """A contest's roster as CSV, in the form that the import reads again."""
    rows = enrolment.export_rows(contest=contest)
    text = tables.as_csv(header=enrolment.ROSTER_HEADER, rows=rows)
    return _attachment(text, name=f"{contest.slug}-roster.csv")


def _attachment(
    content: str | bytes, *, name: str, content_type: str = "text/csv; charset=utf-8"
) -> HttpResponse:
    return HttpResponse(
        content,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
