"""Accounts and the records that keep the product honest."""

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from mockmarket.core import passwords
from mockmarket.core.admin_base import ReadOnlyAdmin, StaffAdmin, link, list_link
from mockmarket.core.models import (
    ApiToken,
    AuditEntry,
    IdempotencyRecord,
    JobRun,
    OutboxEvent,
    User,
    UserStream,
    Webhook,
    WebhookDelivery,
)

for library_model in (
    Group,
    AccessAttempt,
    AccessFailureLog,
    AccessLog,
    OutstandingToken,
    BlacklistedToken,
):
    if admin.site.is_registered(library_model):
        admin.site.unregister(library_model)

PRIVILEGES = ("is_staff", "is_superuser", "groups", "user_permissions")


@admin.register(User)
class UserAdmin(DjangoUserAdmin, StaffAdmin):  # type: ignore[type-arg]
    """People. Only a superuser grants privileges or touches another member of staff."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "full_name", "alias", "email", "kind", "last_login", "active"]
    list_filter = ["is_active", "is_staff", "is_superuser", "groups"]
    search_fields = ["username", "first_name", "last_name", "email", "alias"]
    date_hierarchy = "date_joined"
    ordering = ["username"]
    readonly_fields = ["last_login", "date_joined", "related"]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "alias", "email", "related"]}),
        ("Privileges", {"fields": ["is_active", *PRIVILEGES]}),
        ("Display", {"fields": ["theme", "colour_blind"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]

    @admin.display(description="Name", ordering="last_name")
    def full_name(self, obj: User) -> str:
        return obj.get_full_name() or "—"

    @display(
        description="Kind",
        label={"Administrator": "danger", "Staff": "warning", "Student": "info"},
    )
    def kind(self, obj: User) -> str:
        if obj.is_superuser:
            return "Administrator"
        return "Staff" if obj.is_staff else "Student"

    @display(description="Active", boolean=True)
    def active(self, obj: User) -> bool:
        return obj.is_active

    @admin.display(description="Audit log")
    def related(self, obj: User) -> SafeString:
        return list_link(AuditEntry, "What this person changed", {"actor__id__exact": obj.pk})

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = list(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else [*fields, *PRIVILEGES]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and _is_protected(obj, request):
            return False
        return bool(super().has_change_permission(request, obj))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Django calls this after every change, of the password too: open sockets were
        authenticated as the person was, so they end."""
        transaction.on_commit(lambda: passwords.end_sockets(user=obj, reason="account changed"))
        return super().log_change(request, obj, message)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        # People have books; they are deactivated, never removed.
        return False


def _is_protected(obj: User, request: HttpRequest) -> bool:
    """Whether the row is a member of staff and the asker neither a superuser nor the same."""
    privileged = obj.is_staff or obj.is_superuser
    return privileged and not request.user.is_superuser and obj.pk != request.user.pk


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, StaffAdmin):
    """Roles of staff; membership is on the person's page. Superusers only."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def _superuser(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_superuser)

    has_add_permission = _superuser
    has_change_permission = _superuser
    has_delete_permission = _superuser
    has_view_permission = _superuser


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens of programs. The text is kept nowhere; their owner makes and revokes them."""

    list_display = ["name", "owner", "scope", "ending", "created_at", "expires_at", "last_used_at"]
    list_filter = ["scope", "revoked_at", "expires_at"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username", "last_four"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    exclude = ["digest"]

    @admin.display(description="Owner", ordering="user__username")
    def owner(self, obj: ApiToken) -> str | SafeString:
        return link(obj.user, obj.user.username)

    @admin.display(description="Ends with")
    def ending(self, obj: ApiToken) -> str:
        return f"…{obj.last_four}"


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who changed what, when and why. Nobody can edit it, the database sees to that."""

    list_display = ["at", "who", "action", "object_type", "object_id", "reason"]
    list_filter = ["action", "object_type", "actor"]
    list_select_related = ["actor"]
    search_fields = ["reason", "action", "object_id", "actor__username"]
    date_hierarchy = "at"
    ordering = ["-at", "-pk"]

    @admin.display(description="Who", ordering="actor__username")
    def who(self, obj: AuditEntry) -> str | SafeString:
        return link(obj.actor, obj.actor.username) if obj.actor else "the system"


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    """Private events in the order of their numbers; unpublished ones wait for the relay."""

    list_display = ["id", "owner", "seq", "type", "created_at", "published_at"]
    list_filter = ["type", "published_at"]
    list_select_related = ["user"]
    search_fields = ["user__username", "type"]
    date_hierarchy = "created_at"
    ordering = ["-id"]

    @admin.display(description="User", ordering="user__username")
    def owner(self, obj: OutboxEvent) -> str | SafeString:
        return link(obj.user, obj.user.username)


@admin.register(UserStream)
class UserStreamAdmin(ReadOnlyAdmin):
    """The number of each user's newest private event."""

    list_display = ["user", "seq", "epoch"]
    list_select_related = ["user"]
    search_fields = ["user__username"]
    ordering = ["user__username"]


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    """What ran for which session, and how it ended."""

    list_display = ["job", "key", "state_label", "attempts", "started_at", "finished_at"]
    list_filter = ["state", "job"]
    search_fields = ["job", "key"]
    date_hierarchy = "started_at"
    ordering = ["-started_at"]

    @display(
        description="State",
        ordering="state",
        label={"RUNNING": "info", "DONE": "success", "FAILED": "danger"},
    )
    def state_label(self, obj: JobRun) -> tuple[str, str]:
        return obj.state, obj.get_state_display()


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    """Answers kept for a day, by Idempotency-Key."""

    list_display = ["key", "owner", "status", "created_at"]
    list_filter = ["status"]
    list_select_related = ["user"]
    search_fields = ["key", "user__username"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    exclude = ["request_hash"]

    @admin.display(description="User", ordering="user__username")
    def owner(self, obj: IdempotencyRecord) -> str | SafeString:
        return link(obj.user, obj.user.username)


@admin.register(AccessAttempt)
class AccessAttemptAdmin(StaffAdmin):
    """Failed sign-ins. Removing a row unlocks that account for that address."""

    list_display = ["attempt_time", "username", "ip_address", "failures_since_start", "user_agent"]
    search_fields = ["username", "ip_address"]
    date_hierarchy = "attempt_time"
    ordering = ["-attempt_time"]

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(AccessLog)
class AccessLogAdmin(ReadOnlyAdmin):
    """Sign-ins and sign-outs."""

    list_display = ["attempt_time", "username", "ip_address", "logout_time", "path_info"]
    search_fields = ["username", "ip_address"]
    date_hierarchy = "attempt_time"
    ordering = ["-attempt_time"]


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """Addresses of users' programs; their owners make and remove them."""

    list_display = ["url", "owner", "active", "failures", "created_at"]
    list_filter = ["active"]
    list_select_related = ["user"]
    search_fields = ["url", "user__username"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    exclude = ["nonce"]

    @admin.display(description="Owner", ordering="user__username")
    def owner(self, obj: Webhook) -> str | SafeString:
        return link(obj.user, obj.user.username)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """What was sent to whom, and what came of it."""

    list_display = ["created_at", "address", "type", "state_label", "attempts", "status", "error"]
    list_filter = ["state", "type"]
    list_select_related = ["webhook"]
    search_fields = ["webhook__url", "webhook__user__username"]
    date_hierarchy = "created_at"
    ordering = ["-id"]

    @admin.display(description="Address")
    def address(self, obj: WebhookDelivery) -> str | SafeString:
        return link(obj.webhook, obj.webhook.url)

    @display(
        description="State",
        ordering="state",
        label={"PENDING": "info", "DELIVERED": "success", "FAILED": "danger"},
    )
    def state_label(self, obj: WebhookDelivery) -> tuple[str, str]:
        return obj.state, obj.get_state_display()
