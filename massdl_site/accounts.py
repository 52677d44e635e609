"""The admin of users and groups: staff get a role, and rights one by one are for superusers alone.

Unfold's forms, as Django's own would stand unstyled among the other pages.
"""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as PlainGroupAdmin
from django.contrib.auth.admin import UserAdmin as PlainUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

admin.site.unregister(User)
admin.site.unregister(Group)

LABELS = {"is_staff": "May sign in", "is_active": "In use", "groups": "Roles", "email": "E-mail"}
HELP_TEXTS = {
    "is_staff": "Without this nobody gets in, whatever the roles below allow.",
    "is_active": "Untick this instead of deleting somebody: what they did stays on record under their name.",
    "groups": "Viewers look, operators also import sheets and steer the work, administrators also change limits and users.",
}


@admin.register(User)
class UserAdmin(PlainUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    actions = None  # nobody is deleted along with others
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who it is", {"fields": (("first_name", "last_name"), "email")}),
        ("What they may do", {"fields": ("is_staff", "groups", "is_active")}),
        ("When", {"fields": (("last_login", "date_joined"),)}),
    )
    beyond_roles = ("Rights beyond the roles", {"fields": ("is_superuser", "user_permissions"), "classes": ("collapse",)})
    readonly_fields: ClassVar = ("last_login", "date_joined")
    list_display = ("username", "full_name", "email", "roles", "may_sign_in", "last_login")
    list_filter = ("groups", "is_staff", "is_active")
    filter_horizontal = ("user_permissions",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @display(description="name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or "-"

    @display(description="roles")
    def roles(self, user: User) -> str:
        return "Superuser" if user.is_superuser else ", ".join(group.name for group in user.groups.all()) or "None"

    @display(description="may sign in", boolean=True)
    def may_sign_in(self, user: User) -> bool:
        return user.is_staff and user.is_active

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return (*fieldsets, self.beyond_roles) if obj and request.user.is_superuser else fieldsets

    def get_form(self, request: HttpRequest, obj: User | None = None, **kwargs: Any) -> Any:
        words = {"labels": LABELS, "help_texts": HELP_TEXTS} if obj else {}
        return super().get_form(request, obj, **words, **kwargs)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Whoever is added here is staff: there is nothing else to sign in to."""
        obj.is_staff = obj.is_staff or not change
        super().save_model(request, obj, form, change)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A superuser is changed by superusers only: else an administrator could take the place of one by a new password."""
        return super().has_change_permission(request, obj) and _is_no_higher(obj, request)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_no_higher(obj, request)


def _is_no_higher(user: User | None, request: HttpRequest) -> bool:
    return request.user.is_superuser or not (user and user.is_superuser)


@admin.register(Group)
class GroupAdmin(PlainGroupAdmin, ModelAdmin):
    pass
