"""The `pointsman` command, the embedded services, the demo."""

from .main import main

__all__ = ["main"]
