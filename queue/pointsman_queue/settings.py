"""Settings from the environment, and where things are when it says nothing."""

import hashlib
import tempfile
from datetime import timedelta
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from pointsman_routes import Duration

_LONGEST_SOCKET = 100
"""A Unix socket's path has room for 107 bytes on Linux, 103 on macOS."""


class Settings(BaseSettings):
    """`POINTSMAN_CONFIG`, `POINTSMAN_REDIS_URL`, `POINTSMAN_LEDGER_URL`, `POINTSMAN_HOME` and the like."""

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_", frozen=True, extra="ignore", hide_input_in_errors=True)

    config: Path = Path("pointsman.toml")
    redis_url: str | None = Field(default=None, repr=False)
    """None: the embedded Redis under the home folder."""
    ledger_url: str | None = Field(default=None, repr=False)
    """None: SQLite under the home folder."""
    home: Path = Path(".pointsman")
    signing_key: Path | None = None
    """The private key that signs the ledger's checkpoints. None: `ledger-key.pem` in the home folder."""
    checkpoints: Path | None = None
    """The file the checkpoints are appended to. None: `checkpoints.jsonl` in the home folder."""
    keep_results: Duration = timedelta(days=7)
    """How long Redis keeps a finished job's result, and its id from being accepted anew."""

    @property
    def redis_socket(self) -> Path:
        """The embedded Redis's socket: in the home folder, or in the temporary folder if its path is too long."""
        home = self.home.absolute()
        socket = home / "redis.sock"
        if len(bytes(socket)) <= _LONGEST_SOCKET:
            return socket
        name = hashlib.sha256(bytes(home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"pointsman-{name}.sock"

    @property
    def effective_redis_url(self) -> str:
        """The Redis to use."""
        return self.redis_url or f"unix://{self.redis_socket}"

    @property
    def effective_ledger_url(self) -> str:
        """The ledger to use."""
        return self.ledger_url or f"sqlite:///{self.home.absolute() / 'ledger.db'}"

    @property
    def effective_signing_key(self) -> Path:
        """The file of the ledger's private key."""
        return self.signing_key or self.home.absolute() / "ledger-key.pem"

    @property
    def effective_checkpoints(self) -> Path:
        """The file of the ledger's checkpoints."""
        return self.checkpoints or self.home.absolute() / "checkpoints.jsonl"
