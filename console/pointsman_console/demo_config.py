"""The demo's configuration, keys and settings: made anew for every run, in a folder of its own."""

import secrets
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from pointsman_queue import Settings

KEY_NAMES = ("DEMO_OPENAI_KEY", "DEMO_ANTHROPIC_KEY")
"""Environment variables the configuration reads keys from."""


def config_text(urls: Mapping[str, str]) -> str:
    """The configuration.

    Args:
        urls: base URL by provider: openai, anthropic and local.
    """
    template = files(__package__).joinpath("demo.toml").read_text(encoding="utf-8")
    return Template(template).substitute({f"{name}_url": url for name, url in urls.items()})


def made_up_keys() -> dict[str, str]:
    """Keys that open nothing, by the name of their environment variable. They never touch the disk."""
    return {name: f"demo-key-{secrets.token_hex(16)}" for name in KEY_NAMES}


def demo_settings(home: Path) -> Settings:
    """Settings that lead nowhere but into one folder, whatever the environment says.

    Args:
        home: the demo's own folder.
    """
    return Settings(home=home, config=home / "pointsman.toml", redis_url=None, ledger_url=None)
