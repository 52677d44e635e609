"""Who may do what: every address and every action of the site, asked as each role and as nobody."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client, RequestFactory
from django.urls import reverse

from ingestion import roles
from ingestion.roles import ADMINISTRATOR, EVERYBODY, MODELS, NOBODY, OPERATOR, ROLES, STAFF, VIEWER, may, permissions_of
from tests.addresses import ROUTES, place, row_of
from tests.pages import groups_of_roles, said

ROOT = Path(__file__).resolve().parents[2]
MIGRATION = importlib.import_module("ingestion.migrations.0006_roles")
LATER = importlib.import_module("ingestion.migrations.0009_roles_see_operations")
WHO = (EVERYBODY, STAFF, *ROLES, "Superuser")
FROM_LIST = "No action selected."

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_in_the_tests_transaction")]


class Schema:
    connection = connection


@pytest.fixture
def groups() -> dict[str, Group]:
    return groups_of_roles()


@pytest.fixture
def users(groups) -> dict[str, User | None]:
    made = {who: User.objects.create_user(who.lower(), is_staff=True, is_superuser=who == "Superuser") for who in WHO[1:]}
    for role in ROLES:
        made[role].groups.add(groups[role])
    return {EVERYBODY: None, **made}


def rank(who: str) -> str:
    """A superuser may do what an administrator may."""
    return ADMINISTRATOR if who == "Superuser" else who


def asked(users: dict[str, User | None], least: str) -> dict[str, User | None]:
    """Superusers are asked about what nobody may do; elsewhere they are as administrators."""
    return {who: user for who, user in users.items() if who != "Superuser" or least == NOBODY}


def client_of(user: User | None) -> Client:
    client = Client()
    if user:
        client.force_login(user)
    return client


# --- the addresses


PAGES = roles.pages()


def test_every_address_stands_in_the_matrix_and_nothing_else_does():
    assert sorted(ROUTES) == sorted(PAGES)


def outcome(response) -> str:
    """What came of it; a stranger's response has followed where it led."""
    if getattr(response, "redirect_chain", None) and response.request["PATH_INFO"] == reverse("admin:login"):
        return "sign in"
    if response.status_code in (403, 404):
        return "refused"
    if response.status_code == 405:
        return "no such form"
    assert response.status_code in (200, 302, 400), response.status_code
    if response.streaming:
        b"".join(response)  # which closes the file
    return "allowed"


def expected(who: str, least: str) -> str:
    if who == EVERYBODY:
        return "allowed" if least == EVERYBODY else "sign in"
    if not least:
        return "no such form"
    return "allowed" if may(rank(who), least) else "refused"


@pytest.mark.parametrize("key", sorted(PAGES))
def test_an_address_shows_its_page_to_those_of_the_matrix_only(key, users):
    address = place(key)
    found = {who: outcome(client_of(user).get(address, follow=user is None)) for who, user in asked(users, PAGES[key].see).items()}
    assert found == {who: expected(who, PAGES[key].see) for who in found}


@pytest.mark.parametrize("key", sorted(key for key, page in PAGES.items() if page.send))
def test_a_form_is_taken_from_those_of_the_matrix_only(key, users):
    """Sent empty, so that nothing comes of it where it is taken."""
    address = place(key)
    found = {who: outcome(client_of(user).post(address, follow=user is None)) for who, user in asked(users, PAGES[key].send).items()}
    assert found == {who: expected(who, PAGES[key].send) for who in found}


def test_the_pages_of_accounts_are_for_administrators(users):
    found = {who: outcome(client_of(user).get("/admin/auth/", follow=user is None)) for who, user in users.items()}
    assert found == {who: expected(who, ADMINISTRATOR) for who in WHO}


# --- the actions


def actions(model: str, user: User) -> set[str]:
    """What the list of the model offers to this user."""
    request = RequestFactory().get("/")
    request.user = user
    return set(admin.site.get_model_admin(apps.get_model(model)).get_actions(request))


def test_every_list_of_the_admin_stands_in_the_matrix():
    assert sorted(MODELS) == sorted(model._meta.label_lower for model in admin.site._registry)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_list_offers_each_role_the_actions_of_the_matrix(model, users):
    wanted = MODELS[model].actions
    offered = {who: actions(model, user) for who, user in users.items() if user}
    assert offered["Superuser"] == set(wanted), "an action that is not in the matrix, or is there no more"
    assert offered == {who: {name for name, least in wanted.items() if may(rank(who), least)} for who in offered}


ACTIONS = [(model, name) for model, pages in sorted(MODELS.items()) for name in sorted(pages.actions)]


@pytest.mark.parametrize(("model", "name"), ACTIONS, ids=[f"{model} {name}" for model, name in ACTIONS])
def test_an_action_is_done_for_those_of_the_matrix_only(model, name, users):
    least, row = MODELS[model].actions[name], row_of(model)
    address = reverse(f"admin:{model.replace('.', '_')}_changelist")
    done = {}
    for who, user in users.items():
        response = client_of(user).post(address, {"action": name, "_selected_action": row.pk})
        done[who] = outcome(response) == "allowed"
        done[who] = done[who] and (response.streaming or response.status_code == 302 or "post" in response.text)
        done[who] = done[who] and bool(user) and FROM_LIST not in said(response) and name in actions(model, user)
        if user and not may(rank(who), least):
            assert set(said(response)) <= {FROM_LIST}
    assert done == {who: bool(users[who]) and may(rank(who), least) for who in WHO}


# --- the permissions


def permissions() -> set[str]:
    """Of our apps and of accounts, whatever model they belong to."""
    rows = Permission.objects.filter(content_type__app_label__in=["people", "videos", "ingestion", "auth"])
    return {f"{row.content_type.app_label}.{row.codename}" for row in rows.select_related("content_type")}


def test_every_permission_stands_in_the_matrix():
    told = {f"{m.split('.')[0]}.{verb}_{m.split('.')[1]}" for m, verbs in roles.PERMISSIONS.items() for verb in verbs}
    assert permissions() == told


def test_each_role_may_what_the_one_before_it_may():
    assert permissions_of(VIEWER) < permissions_of(OPERATOR) < permissions_of(ADMINISTRATOR)
    assert not permissions_of(STAFF)
    assert not may(ADMINISTRATOR, NOBODY) and not may(ADMINISTRATOR, "")


@pytest.mark.parametrize("role", ROLES)
def test_the_groups_of_the_migration_have_the_permissions_of_the_matrix(role, users):
    assert {one for one in users[role].get_all_permissions() if one.split(".")[0] != "demo"} == permissions_of(role)


# --- the migration


def go_back() -> None:
    LATER.take_back(apps, Schema)
    MIGRATION.remove_groups(apps, Schema)


def group(name: str) -> Group | None:
    return Group.objects.filter(name=name).first()


def test_going_back_removes_groups_that_are_as_they_were_made(groups):
    go_back()
    assert not Group.objects.filter(name__in=ROLES).exists()


def test_going_back_leaves_what_staff_have_changed_or_use(groups):
    groups[VIEWER].permissions.add(Permission.objects.get(codename="change_video"))
    User.objects.create_user("somebody").groups.add(groups[OPERATOR])
    go_back()
    assert (bool(group(VIEWER)), bool(group(OPERATOR)), bool(group(ADMINISTRATOR))) == (True, True, False)


def test_a_group_of_that_name_that_was_there_before_is_left_as_it_is():
    Group.objects.filter(name__in=ROLES).delete()
    Group.objects.create(name=OPERATOR)
    MIGRATION.make_groups(apps, Schema)
    assert all(apps.get_app_config(label).models_module for label in ("people", "videos", "ingestion")), (
        "or no test after it has permissions"
    )
    assert not group(OPERATOR).permissions.exists() and group(VIEWER).permissions.exists()


def test_the_migration_makes_the_permissions_where_there_are_none_yet(groups):
    """As on an empty database, where Django makes them after all migrations only."""
    Group.objects.all().delete()
    before = permissions()
    Permission.objects.all().delete()
    executor = MigrationExecutor(connection)
    for name, make in (("0006_roles", MIGRATION.make_groups), ("0009_roles_see_operations", LATER.grant)):
        make(executor.loader.project_state(("ingestion", name)).apps, Schema)
    for role in ROLES:
        names = group(role).permissions.values_list("content_type__app_label", "codename")
        assert {".".join(name) for name in names} == permissions_of(role)
    assert permissions() <= before


# --- the documentation


def test_the_page_of_the_documentation_is_what_the_matrix_says():
    command = [sys.executable, "-m", "ingestion.roles", "--check"]
    result = subprocess.run(command, cwd=ROOT, env={"PATH": "/nonexistent"}, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_page_that_is_out_of_date_is_named_and_written(monkeypatch, tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    page = Path(shutil.copy(ROOT / "docs" / "roles.md", tmp_path / "docs"))
    monkeypatch.setitem(roles.OTHERS, "new", roles.Page(OPERATOR, words="A new page"))
    assert roles.main(["--check"], tmp_path) == 1
    assert "docs/roles.md is out of date: run `make docs`." in capsys.readouterr().err
    assert roles.main([], tmp_path) == 0
    assert "| A new page | see | no | yes | yes |" in page.read_text(encoding="utf-8")
