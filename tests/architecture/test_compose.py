"""docker-compose.yml is the production shape of examples/pointsman.toml."""

import os
import re
import shutil
import subprocess
from pathlib import PurePath
from typing import Any

import pytest
import yaml
from project_tree import ROOT

from pointsman_routes import RouteTable, parse_duration, read_route_table

_PASSWORD = "POSTGRES_PASSWORD"


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services with anchors and merges resolved."""
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def table() -> RouteTable:
    """The example's route table."""
    path = ROOT / "examples" / "pointsman.toml"
    return read_route_table(path.read_text(), PurePath("examples/pointsman.toml"))


def _workers(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in services.items() if service.get("command", [""])[0] == "worker"}


def _ours(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {"recorder": services["recorder"], **_workers(services)}


def test_redis_keeps_what_it_acknowledged(services: dict[str, dict[str, Any]]) -> None:
    """Redis writes an append-only file onto a volume and never evicts a job to make room."""
    command = services["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert command[0] == "redis-server"
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] in ("everysec", "always")
    assert options["--maxmemory-policy"] == "noeviction"
    assert [volume.partition(":")[2] for volume in services["redis"]["volumes"]] == ["/data"]


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_stores_are_kept_and_watched(services: dict[str, dict[str, Any]], name: str) -> None:
    """Both stores have a health check, a named volume and come back by themselves."""
    assert services[name]["healthcheck"]["test"]
    assert re.match(r"[a-z-]+:/", services[name]["volumes"][0])
    assert services[name]["restart"] == "unless-stopped"


def test_one_worker_service_per_tier(services: dict[str, dict[str, Any]], table: RouteTable) -> None:
    """Every tier has exactly one worker service, bound to it alone and named after it."""
    bound = sorted(tuple(service["command"]) for service in _workers(services).values())
    assert bound == sorted(("worker", tier) for tier in table.tiers)
    for name, service in _workers(services).items():
        assert name == f"worker-{service['command'][1].replace('/', '-')}"


def test_workers_scale(services: dict[str, dict[str, Any]]) -> None:
    """Nothing on a worker or the recorder forbids a second copy: no name and no port of the host."""
    for service in _ours(services).values():
        assert not {"container_name", "ports", "hostname"} & service.keys()


def test_every_process_finds_the_stores(services: dict[str, dict[str, Any]]) -> None:
    """Workers and recorder know Redis and the ledger, wait until both are healthy, and restart."""
    for service in _ours(services).values():
        assert service["environment"]["POINTSMAN_REDIS_URL"].startswith("redis://redis:")
        assert "@postgres:" in service["environment"]["POINTSMAN_LEDGER_URL"]
        assert service["depends_on"]["redis"] == {"condition": "service_healthy"}
        assert service["depends_on"]["postgres"] == {"condition": "service_healthy"}
        assert service["restart"] == "unless-stopped"


def test_configuration_is_read_only(services: dict[str, dict[str, Any]]) -> None:
    """The configuration is mounted where the image looks for it, and cannot be written."""
    place = re.search(r"POINTSMAN_CONFIG=(\S+)", (ROOT / "Dockerfile").read_text())
    assert place
    for service in _ours(services).values():
        assert [volume for volume in service["volumes"] if volume.endswith(f":{place[1]}:ro")]


def test_no_call_is_cut(services: dict[str, dict[str, Any]], table: RouteTable) -> None:
    """A worker has longer to stop than the longest call of any tier may take."""
    longest = max(tier.timeout for tier in table.tiers.values())
    for service in _workers(services).values():
        assert parse_duration(service["stop_grace_period"]) > longest


def test_keys_go_only_where_needed(services: dict[str, dict[str, Any]], table: RouteTable) -> None:
    """A vendor's key reaches that vendor's workers and nobody else, and no value stands in the file."""
    sources = [provider.api_key for provider in table.providers.values()]
    keys = {source.env for source in sources if source and source.env}
    assert keys
    for service in services.values():
        command = service.get("command", [])
        needed = set()
        if command[:1] == ["worker"]:
            source = table.provider_of(command[1]).api_key
            needed = {source.env} if source and source.env else set()
        environment = service.get("environment", {})
        assert keys & environment.keys() == needed
        assert all(environment[key] is None for key in needed)


def test_password_is_required_and_nowhere_written(services: dict[str, dict[str, Any]]) -> None:
    """The ledger's password comes from outside; without one, nothing starts."""
    text = (ROOT / "docker-compose.yml").read_text()
    uses = re.findall(r"\$\{" + _PASSWORD + r"([^}]*)\}", text)
    assert uses
    assert all(use.startswith(":?") for use in uses)
    assert services["postgres"]["environment"][_PASSWORD].startswith("${" + _PASSWORD + ":?")


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    """Every image names at least its major version."""
    images = [service["image"] for service in services.values()]
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert [image for image in images if not re.search(r":\d+(\.\d+)*(-[a-z]+)?$", image)] == []


def test_volumes_are_declared(services: dict[str, dict[str, Any]]) -> None:
    """Every named volume in use is declared, and none is declared in vain."""
    declared = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"]
    mounts = [volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    assert {mount for mount in mounts if not mount.startswith(("$", "."))} == set(declared)


def test_image_is_not_root() -> None:
    """The image runs `pointsman` as a user without rights, from hash-locked files."""
    text = (ROOT / "Dockerfile").read_text()
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (?!root|0)", final, re.MULTILINE)
    assert 'ENTRYPOINT ["pointsman"]' in final
    assert "--require-hashes --requirement requirements/runtime.txt" in text


def test_compose_accepts_it() -> None:
    """The compose command line itself reads the file, where it is installed."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no compose command line here")
    environment = {**os.environ, _PASSWORD: "x"}
    command = [docker, "compose", "--file", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
