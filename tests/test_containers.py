"""Dockerfile and docker-compose.yml compared with the code they run; no container engine is needed.

What could be wrong is told by functions that take the parsed files, so that the last part can show them wrong ones.
"""

import copy
import importlib.util
import json
import os
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import yaml
from django.core.management import get_commands

from deploy import check_web
from massdl_site.env import VARIABLES

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
GUNICORN = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))
# what the images and tools that are not ours read
THEIR_VARIABLES = {
    *("POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"),
    *("PATH", "HOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"),
    *("PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_CACHE_DIR", "PIP_NO_INPUT"),
}
PROGRAMS = {"db": {"pg_isready"}, "storage": {"wget"}}  # what those images are known to carry
ONE_SHOTS, SERVERS = {"migrate", "bucket"}, {"db", "storage", "web", "workers"}
OURS = {"migrate", "bucket", "web", "workers"}


def stages(dockerfile: str) -> list[list[tuple[str, str]]]:
    """(instruction, arguments) of each stage, comments dropped and continued lines joined."""
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
    found: list[list[tuple[str, str]]] = []
    for line in joined:
        instruction, _, arguments = line.strip().partition(" ")
        if instruction == "FROM":
            found.append([])
        found[-1].append((instruction, arguments.strip()))
    return found


def every(dockerfile: str, instruction: str, *, last_stage: bool = False) -> list[str]:
    chosen = stages(dockerfile)[-1:] if last_stage else stages(dockerfile)
    return [arguments for stage in chosen for name, arguments in stage if name == instruction]


def copied(dockerfile: str) -> list[str]:
    """What is taken from the repository, stage by stage."""
    return [source for arguments in every(dockerfile, "COPY") if "--from=" not in arguments for source in arguments.split()[:-1]]


def set_by_dockerfile(dockerfile: str) -> dict[str, str]:
    """Variables of ENV lines and those set for one RUN alone."""
    env_words = [word for arguments in every(dockerfile, "ENV") for word in shlex.split(arguments)]
    run_words = [word for arguments in every(dockerfile, "RUN") for word in shlex.split(arguments) if re.match(r"[A-Z_]+=", word)]
    return dict(word.split("=", 1) for word in env_words + run_words)


def used_by_compose(text: str) -> set[str]:
    """Names that compose takes from .env: ${NAME}, ${NAME:-default}, ${NAME:?sentence}."""
    return set(re.findall(r"(?<!\$)\$\{?([A-Za-z_]\w*)", "\n".join(line.partition(" #")[0] for line in text.splitlines())))


def command_of(service: dict) -> list[str]:
    return service.get("command") or json.loads(every(DOCKERFILE, "CMD", last_stage=True)[-1])


def command_problem(command: list[str]) -> str:
    """Why one of our commands could not run, or ""."""
    if command[:2] == ["python", "manage.py"]:
        return "" if command[2] in get_commands() else f"no management command {command[2]}"
    if command[:2] == ["python", "-m"]:
        return "" if importlib.util.find_spec(command[2]) else f"no module {command[2]}"
    if command[0] == "gunicorn":
        config = command[command.index("--config") + 1]
        module = importlib.util.find_spec(command[-1].partition(":")[0])
        return "" if module and (ROOT / config).is_file() else f"no {config} or no module {command[-1]}"
    return f"{command[0]} is not a program of the image"


def image_problem(image: str) -> str:
    """Why an image is not pinned, or ""."""
    name, _, tag = image.rpartition("/")[2].partition(":")
    return f"{name} is not pinned by a tag" if not tag or tag == "latest" or not re.search(r"\d|^local$", tag) else ""


def order_problems(services: dict) -> list[str]:
    """Dependencies that wait for something the other service never becomes."""
    found = []
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            if condition == "service_healthy" and not services[other].get("healthcheck", {}).get("test"):
                found.append(f"{name} waits for {other} to be healthy, and nothing checks it")
            if (condition == "service_completed_successfully") != (services[other].get("restart") == "no"):
                found.append(f"{name} waits for {other} as {condition}, which it never is")
    return found


def port_inside(service: dict) -> int:
    return int(service["ports"][0].rpartition(":")[2])


# --- Dockerfile -------------------------------------------------------------------------------------------------------


def test_everything_that_is_copied_exists():
    missing = [source for source in copied(DOCKERFILE) if not (ROOT / source).exists()]
    assert not missing


def test_only_named_parts_of_the_repository_are_copied():
    assert not {source for source in copied(DOCKERFILE) if source in {".", "./", "*"}}
    assert not {"demo", "tests", "bench", ".env"} & set(copied(DOCKERFILE))


def test_the_image_holds_the_locked_packages_and_nothing_else():
    installs = [run for run in every(DOCKERFILE, "RUN") if "pip install" in run]
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert installs[0].endswith("-r /build/requirements.txt")
    assert "requirements.txt" in copied(DOCKERFILE)


def test_the_last_stage_brings_no_compiler_and_no_package_manager_run():
    assert not re.search(r"apt|apk|gcc|build-essential|pip", " ".join(every(DOCKERFILE, "RUN", last_stage=True)))


def test_the_image_does_not_run_as_root():
    users = every(DOCKERFILE, "USER", last_stage=True)
    assert users
    assert users[-1].split(":")[0] not in {"root", "0"}
    made = " ".join(every(DOCKERFILE, "RUN", last_stage=True))
    assert re.search(rf"useradd .*\b{users[-1]}$", made), "the user is not made in the last stage"


def test_the_data_folder_belongs_to_the_user_and_is_the_one_the_settings_use():
    folder = set_by_dockerfile(DOCKERFILE)["MASSDL_VAR_DIR"]
    assert every(DOCKERFILE, "VOLUME") == [folder]
    assert f"--home-dir {folder} --create-home" in DOCKERFILE
    for name in OURS:
        service = COMPOSE["services"][name]
        assert service["environment"]["MASSDL_VAR_DIR"] == folder
        assert service["volumes"] == [f"var:{folder}"]


def test_every_base_image_is_pinned():
    assert not [problem for image in every(DOCKERFILE, "FROM") if (problem := image_problem(image.split()[0]))]


def test_the_image_runs_the_python_that_the_project_supports():
    versions = {re.search(r"python:(\d+\.\d+)", image).group(1) for image in every(DOCKERFILE, "FROM")}
    assert versions == {"3.12"}


def test_the_image_checks_its_health_by_a_module_that_exists():
    check = every(DOCKERFILE, "HEALTHCHECK")[-1].partition("CMD ")[2]
    assert command_problem(json.loads(check)) == ""


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory) -> Path:
    """A folder with just what the builder stage copies."""
    folder = tmp_path_factory.mktemp("app")
    for source in copied(DOCKERFILE):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, folder / source)
    return folder


def run_as_in_the_builder(words: list[str], folder: Path) -> subprocess.CompletedProcess:
    variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    command = [sys.executable, *[word for word in words if not re.match(r"[A-Z_]+=", word)][1:]]
    environment = {"PATH": os.environ["PATH"], "MASSDL_VAR_DIR": str(folder / "var"), **variables}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_static_files_are_collected_from_the_copied_parts_without_a_database(image_folder):
    runs = [shlex.split(run) for run in every(DOCKERFILE, "RUN") if "collectstatic" in run]
    assert len(runs) == 1
    result = run_as_in_the_builder(runs[0], image_folder)
    assert result.returncode == 0, result.stderr
    assert (image_folder / "staticfiles" / "admin" / "css" / "base.css").exists()
    assert not (image_folder / "var").exists(), "the build started a database or made a key"


def test_gunicorn_accepts_its_settings_and_finds_the_site(image_folder):
    words = [word for run in every(DOCKERFILE, "RUN") if "collectstatic" in run for word in shlex.split(run) if "=" in word]
    command = ["python", "-m", "gunicorn", "--check-config", *command_of(COMPOSE["services"]["web"])[1:]]
    result = run_as_in_the_builder([*words, *command], image_folder)
    assert result.returncode == 0, result.stderr


def test_no_page_is_cut_off_before_it_may_say_that_it_took_too_long():
    """Workers of threads are heard of by themselves; a sync worker is killed in the middle of what takes longer than `timeout`."""
    assert GUNICORN["worker_class"] == "gthread"
    assert GUNICORN["timeout"] > int(VARIABLES["MASSDL_WEB_STATEMENT_SECONDS"].default)


def test_whoever_starts_the_site_starts_it_with_its_settings():
    commands = re.findall(r"^\$ (gunicorn .*?)\s*(?:#|$)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert commands and all(command_problem(shlex.split(command)) == "" for command in commands)
    assert '"--config", "deploy/gunicorn.conf.py"' in (ROOT / "demo" / "management" / "commands" / "demo.py").read_text(encoding="utf-8")


def test_a_connection_on_which_nobody_reads_is_cut():
    with socket.create_server(("127.0.0.1", 0)) as listening, tempfile.TemporaryDirectory() as folder:
        with socket.socket(socket.AF_UNIX) as local:
            local.bind(f"{folder}/site")
            GUNICORN["when_ready"](SimpleNamespace(LISTENERS=[SimpleNamespace(sock=listening), SimpleNamespace(sock=local)]))
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == GUNICORN["timeout"] * 1000


# --- docker-compose.yml -----------------------------------------------------------------------------------------------


def test_the_services_are_those_of_one_whole_installation():
    assert set(COMPOSE["services"]) == ONE_SHOTS | SERVERS


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_of_ours_exists(name):
    assert command_problem(command_of(COMPOSE["services"][name])) == ""


def test_each_service_of_ours_runs_its_own_part():
    said = {name: " ".join(command_of(COMPOSE["services"][name])) for name in OURS}
    assert said["migrate"] == "python manage.py migrate --noinput"
    assert said["workers"] == "python manage.py workers"
    assert said["bucket"] == "python -m deploy.make_bucket"
    assert said["web"].endswith("massdl_site.wsgi")


def test_the_command_for_people_is_there():
    assert "mass_download" in get_commands()


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_image_is_pinned(name):
    assert image_problem(COMPOSE["services"][name]["image"]) == ""


def test_the_site_listens_where_everybody_looks_for_it():
    port = int(GUNICORN["bind"].rpartition(":")[2])
    assert {port} == {port_inside(COMPOSE["services"]["web"]), check_web.PORT, *map(int, every(DOCKERFILE, "EXPOSE"))}
    assert GUNICORN["bind"].startswith("0.0.0.0:")


def test_the_storage_listens_where_everybody_looks_for_it():
    storage = COMPOSE["services"]["storage"]
    endpoint = urlsplit(re.search(r"\$\{AWS_S3_ENDPOINT_URL:-([^}]+)\}", COMPOSE_TEXT).group(1))
    health = urlsplit(storage["healthcheck"]["test"][-1])
    assert {port_inside(storage), endpoint.port, health.port} == {8333}
    assert "-s3.port=8333" in storage["command"]
    assert endpoint.hostname in storage["networks"]["default"]["aliases"]


def test_the_database_is_the_one_that_the_address_names():
    made = COMPOSE["services"]["db"]["environment"]
    address = re.sub(r"\$\{\w+:\?[^}]*\}", "secret", COMPOSE["services"]["web"]["environment"]["DATABASE_URL"])
    parts = urlsplit(address)
    assert (parts.username, parts.hostname, parts.path) == (made["POSTGRES_USER"], "db", f"/{made['POSTGRES_DB']}")
    assert f"--username={made['POSTGRES_USER']}" in COMPOSE["services"]["db"]["healthcheck"]["test"]


def test_ports_are_open_to_this_host_only_unless_somebody_says_otherwise():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(re.match(r"\$\{\w+:-127\.0\.0\.1:\d+\}:\d+$", port) for port in ports)


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_health_check_can_run_or_is_switched_off(name):
    check = COMPOSE["services"][name].get("healthcheck")
    if name == "web":
        assert check is None, "the image's own check is the web's"
    elif name in ONE_SHOTS:
        assert check == {"disable": True}, "the image's own check asks for the site, which is not here"
    else:
        assert check["test"][0] == "CMD"
        assert check["test"][1] in PROGRAMS.get(name, ()) or command_problem(check["test"][1:]) == ""
        assert {"interval", "timeout", "retries", "start_period"} <= set(check)


def test_nobody_waits_for_what_never_comes():
    assert order_problems(COMPOSE["services"]) == []


def test_the_site_and_the_workers_start_after_the_migrations_and_the_bucket():
    for name in ("web", "workers"):
        assert set(COMPOSE["services"][name]["depends_on"]) >= {"db", "migrate", "bucket"}


def test_servers_come_back_and_one_shots_do_not():
    assert {name: COMPOSE["services"][name]["restart"] for name in ONE_SHOTS} == dict.fromkeys(ONE_SHOTS, "no")
    assert {name: COMPOSE["services"][name]["restart"] for name in SERVERS} == dict.fromkeys(SERVERS, "unless-stopped")


def test_every_volume_that_is_used_is_declared():
    used = {mount.partition(":")[0] for service in COMPOSE["services"].values() for mount in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])


def test_every_variable_that_is_set_is_known_to_somebody():
    named = {name for service in COMPOSE["services"].values() for name in service.get("environment", {})} | set(
        set_by_dockerfile(DOCKERFILE)
    )
    assert named - set(VARIABLES) - THEIR_VARIABLES == set()


def test_everything_that_compose_takes_from_the_env_file_is_in_its_example():
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    missing = {name for name in used_by_compose(COMPOSE_TEXT) if not re.search(rf"^#?{name}=", example, re.MULTILINE)}
    assert not missing


def test_the_example_asks_for_exactly_what_compose_cannot_do_without():
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == set(re.findall(r"\$\{(\w+):\?", COMPOSE_TEXT))
    assert not re.findall(r"^\w+=.+$", example, re.MULTILINE), "the example sets something"


def test_no_secret_is_written_down():
    secrets = {name for name, variable in VARIABLES.items() if variable.secret} | {"POSTGRES_PASSWORD"}
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if name in secrets:
                assert re.search(r"\$\{\w+:\?[^}]+\}", value), f"{name} is written down, or may be empty"


def test_the_file_with_secrets_is_never_committed():
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_may_do_no_more_than_they_need(name):
    service = COMPOSE["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "user" not in service


# --- the checks can fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["python", "manage.py", "worker"],
        ["python", "-m", "deploy.make_buckets"],
        ["gunicorn", "--config", "deploy/gunicorn.conf.py", "massdl_site.wsgy"],
        ["gunicorn", "--config", "deploy/gunicorn.py", "massdl_site.wsgi"],
        ["celery", "worker"],
    ],
    ids=" ".join,
)
def test_a_command_that_does_not_exist_is_found(command):
    assert command_problem(command)


@pytest.mark.parametrize("image", ["postgres", "postgres:latest", "chrislusf/seaweedfs", "registry:5000/postgres", "postgres:alpine"])
def test_an_image_that_is_not_pinned_is_found(image):
    assert image_problem(image)


def test_a_variable_in_a_wrong_file_is_seen():
    text = "a: ${ONE}\nb: ${TWO:-x}-${THREE:?say it}\nc: $$FOUR # ${FIVE}\nd: $SIX"
    assert used_by_compose(text) == {"ONE", "TWO", "THREE", "SIX"}


def test_waiting_for_what_never_comes_is_found():
    services = copy.deepcopy(COMPOSE["services"])
    services["db"]["healthcheck"] = {"disable": True}
    services["migrate"]["restart"] = "unless-stopped"
    found = " ".join(order_problems(services))
    assert "waits for db to be healthy" in found
    assert "waits for migrate as service_completed_successfully" in found


def test_a_dockerfile_is_read_with_its_continued_lines_and_stages():
    text = "# a\nFROM a:1 AS b\nRUN X=1 do \\\n    it\nFROM c:2\nENV P=1 \\\n    Q=2\nCOPY --from=b /x /x\nCOPY d e f/\n"
    assert every(text, "FROM") == ["a:1 AS b", "c:2"]
    assert every(text, "RUN", last_stage=True) == []
    assert set_by_dockerfile(text) == {"P": "1", "Q": "2", "X": "1"}
    assert copied(text) == ["d", "e"]
