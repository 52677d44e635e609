"""The pages of users: roles for administrators to give, rights one by one for superusers, who are changed by nobody else."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from ingestion.roles import ADMINISTRATOR, OPERATOR, ROLES
from tests.pages import groups_of_roles

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator(client):
    user = User.objects.create_user("ada", is_staff=True)
    user.groups.add(groups_of_roles()[ADMINISTRATOR])
    client.force_login(user)
    return user


@pytest.fixture
def somebody():
    return User.objects.create_user("bob", password="kept as it is")


def page_of(user: User, step: str = "change") -> str:
    return reverse(f"admin:auth_user_{step}", args=[user.pk])


def sent(page, **changes) -> dict:
    """What a browser would send of the page's form."""
    form = page.context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in {**values, **changes}.items() if value not in (None, False)}


def test_an_administrator_gives_a_role_and_lets_in(client, administrator, somebody):
    page = client.get(page_of(somebody))
    assert [text for text in ("May sign in", "Roles", *ROLES) if text not in page.text] == []
    answer = client.post(page_of(somebody), sent(page, is_staff="on", groups=[groups_of_roles()[OPERATOR].pk]))
    assert answer.status_code == 302
    somebody.refresh_from_db()
    assert somebody.is_staff and [group.name for group in somebody.groups.all()] == [OPERATOR]
    assert somebody.check_password("kept as it is")


def test_an_administrator_neither_sees_nor_gives_more_than_roles(client, administrator, somebody):
    page = client.get(page_of(somebody))
    assert "user_permissions" not in page.context["adminform"].form.fields
    client.post(page_of(somebody), sent(page, is_superuser="on", user_permissions=["1"]))
    somebody.refresh_from_db()
    assert not somebody.is_superuser and not somebody.user_permissions.exists()


@pytest.mark.parametrize("step", ["change", "delete", "password"])
def test_an_administrator_does_not_take_the_place_of_a_superuser(client, administrator, admin_user, step):
    address = reverse("admin:auth_user_password_change", args=[admin_user.pk]) if step == "password" else page_of(admin_user, step)
    password = {"password1": "taken over 1", "password2": "taken over 1", "usable_password": "true"}
    assert client.post(address, {"post": "yes", "username": "taken", **password}).status_code == 403
    admin_user.refresh_from_db()
    assert (admin_user.username, admin_user.check_password("taken over 1")) == ("admin", False)


def test_the_list_tells_who_may_do_what(client, administrator, somebody, admin_user, django_assert_max_num_queries):
    with django_assert_max_num_queries(10):
        page = client.get(reverse("admin:auth_user_changelist"))
    model_admin = page.context["cl"].model_admin
    told = {user.username: (model_admin.roles(user), model_admin.may_sign_in(user)) for user in page.context["cl"].result_list}
    assert told == {"ada": (ADMINISTRATOR, True), "admin": ("Superuser", True), "bob": ("None", False)}


def test_a_superuser_gives_rights_one_by_one(admin_client, somebody):
    page = admin_client.get(page_of(somebody))
    assert admin_client.post(page_of(somebody), sent(page, is_superuser="on")).status_code == 302
    somebody.refresh_from_db()
    assert somebody.is_superuser


def test_a_new_user_is_asked_for_a_name_and_a_password_first_and_may_sign_in(client, administrator):
    address = reverse("admin:auth_user_add")
    assert "user_permissions" not in client.get(address).text
    answer = client.post(
        address, {"username": "eve", "usable_password": "true", "password1": "long enough 1", "password2": "long enough 1"}
    )
    assert answer.status_code == 302
    eve = User.objects.get(username="eve")
    assert (eve.is_staff, eve.is_superuser, eve.groups.count()) == (True, False, 0)
    client.post(page_of(eve), {"username": "eve", "is_active": "on"})
    eve.refresh_from_db()
    assert not eve.is_staff, "it can be taken away"
