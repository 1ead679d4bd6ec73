"""The broker's token in the admin: connect, paste, disconnect, and allow the live source."""

from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from marketdata import broker
from marketdata.models import BrokerToken, LiveAcknowledgement
from mockmarket.core import clock
from mockmarket.core.admin_base import ReadOnlyAdmin, reasoned, run
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User


class TokenDialog(BaseDialogForm):  # type: ignore[misc]
    """A pasted analytics token; it is encrypted at once and never shown again."""

    token = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}), max_length=4000
    )


class AcknowledgementDialog(BaseDialogForm):  # type: ignore[misc]
    """The stated acknowledgement, typed word for word."""

    text = forms.CharField(
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=broker.ACKNOWLEDGEMENT,
    )


@admin.register(BrokerToken)
class BrokerTokenAdmin(ReadOnlyAdmin):
    """Which token is in use and how long it lasts. The text itself is encrypted, never shown."""

    list_display = ["created_at", "kind", "ending", "expires_at", "ended_at", "created_by"]
    list_filter = ["kind"]
    list_select_related = ["created_by"]
    search_fields = ["last_four", "created_by__username"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    exclude = ["ciphertext"]
    actions_list = ["connect", "paste", "disconnect", "acknowledge", "withdraw"]

    def has_broker_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return bool(request.user.has_perm("marketdata.change_brokertoken"))

    @display(description="Ends with")
    def ending(self, obj: BrokerToken) -> str:
        return f"…{obj.last_four}"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.callback)
        name = "marketdata_brokertoken_callback"
        return [path("callback/", view, name=name), *super().get_urls()]

    @action(description="Connect", url_path="connect", permissions=["broker"], icon="login")
    def connect(self, request: HttpRequest) -> HttpResponse:
        try:
            url = broker.begin_oauth(user=cast("User", request.user), at=clock.now())
        except DomainError as refusal:
            messages.error(request, refusal.message)
            return HttpResponseRedirect(_list())
        return HttpResponseRedirect(url)

    def callback(self, request: HttpRequest) -> HttpResponse:
        """Where the broker sends the administrator back, with a code and our state."""
        if not self.has_broker_permission(request):
            return HttpResponse(status=403)
        return run(
            request=request,
            call=lambda: broker.complete_oauth(
                user=cast("User", request.user),
                code=request.GET.get("code", ""),
                state=request.GET.get("state", ""),
                at=clock.now(),
            ),
            done="Connected to the broker.",
            url=_list(),
        )

    @action(
        description="Paste an analytics token",
        url_path="paste",
        permissions=["broker"],
        icon="content_paste",
        dialog={
            "title": "Paste an analytics token",
            "description": "Lasts a year and can only read.",
            "form_class": TokenDialog,
            "form_submit_text": "Keep it",
        },
    )
    def paste(self, request: HttpRequest, form: TokenDialog) -> HttpResponse:
        return run(
            request=request,
            call=lambda: broker.paste_analytics_token(
                user=cast("User", request.user), token=form.cleaned_data["token"], at=clock.now()
            ),
            done="The token is kept, encrypted.",
            url=_list(),
        )

    @reasoned(
        title="Disconnect",
        text="The token is forgotten; live prices stop.",
        path="disconnect",
        permission="broker",
        icon="link_off",
        done="Disconnected.",
        url=lambda: _list(),
    )
    def disconnect(self, actor: User, given: dict[str, Any], target: Any, at: datetime) -> None:
        broker.disconnect(user=actor, reason=given["reason"], at=at)

    @action(
        description="Allow live prices",
        url_path="acknowledge",
        permissions=["broker"],
        icon="gavel",
        dialog={
            "title": "Allow live prices",
            "description": "Type the statement below word for word.",
            "form_class": AcknowledgementDialog,
            "form_submit_text": "I state this",
        },
    )
    def acknowledge(self, request: HttpRequest, form: AcknowledgementDialog) -> HttpResponse:
        return run(
            request=request,
            call=lambda: broker.acknowledge_live(
                user=cast("User", request.user), text=form.cleaned_data["text"], at=clock.now()
            ),
            done="The live source is allowed.",
            url=_list(),
        )

    @reasoned(
        title="Withdraw live prices",
        text="The live source stops until it is allowed again.",
        path="withdraw",
        permission="broker",
        icon="block",
        verb="Withdraw",
        done="The live source is withdrawn.",
        url=lambda: _list(),
    )
    def withdraw(self, actor: User, given: dict[str, Any], target: Any, at: datetime) -> None:
        broker.withdraw_live(user=actor, reason=given["reason"], at=at)


@admin.register(LiveAcknowledgement)
class LiveAcknowledgementAdmin(ReadOnlyAdmin):
    """Who allowed the live source, when, and in which words."""

    list_display = ["stated_at", "stated_by", "withdrawn_at"]
    list_select_related = ["stated_by"]
    search_fields = ["stated_by__username"]
    date_hierarchy = "stated_at"
    ordering = ["-stated_at"]


def _list() -> str:
    return reverse("admin:marketdata_brokertoken_changelist")
