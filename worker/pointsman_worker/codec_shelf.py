"""The codecs of a worker's providers, each made anew when its key file changes.

Tokens of identity services live an hour, and keys are rotated: whatever renews the file, a call has what is in it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import structlog

from pointsman_routes import KeyMissing, Provider

from .api_keys import ApiKey
from .providers import ProviderCodec, codec_for

_LOOK_S: Final = 1.0
"""How often a key file is looked at, while calls are made."""
_Stamp = tuple[int, int, int]
"""Of a file: inode, length, nanoseconds of its last change."""

log = structlog.get_logger()


class CodecShelf(Mapping[str, ProviderCodec]):
    """A codec for each provider, by its name.

    A file that cannot be read at the moment, or holds no key, changes nothing: it may be half written. That is logged,
    and looked at again. A key in the environment stays what it was when the process began.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        read: Callable[[Provider], ApiKey | None],
        base: Path,
        *,
        renewed: Callable[[Provider], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make every codec.

        Args:
            providers: those that are called.
            read: reads a key; may raise `KeyMissing`.
            base: the folder a relative file name starts from.
            renewed: told of a provider whose key has become another one; a call waits meanwhile, so it may not.
            clock: seconds that only grow.

        Raises:
            KeyMissing: a key cannot be read.
        """
        self._read = read
        self._base = base
        self._renewed = renewed
        self._clock = clock
        self._providers = {provider.name: provider for provider in providers}
        self._stamps = {name: self._stamp(provider) for name, provider in self._providers.items()}
        self._keys = {name: read(provider) for name, provider in self._providers.items()}
        self._codecs = {name: codec_for(provider, self._keys[name]) for name, provider in self._providers.items()}
        self._looked = dict.fromkeys(self._providers, clock())

    def __getitem__(self, name: str) -> ProviderCodec:
        stamp = self._stamps[name]
        if stamp is not None and self._clock() - self._looked[name] >= _LOOK_S:
            self._look(name)
        return self._codecs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._codecs)

    def __len__(self) -> int:
        return len(self._codecs)

    def _look(self, name: str) -> None:
        self._looked[name] = self._clock()
        provider = self._providers[name]
        # First its stamp: a file that changes while it is read is read again.
        stamp = self._stamp(provider)
        if stamp in (self._stamps[name], None):
            return
        try:
            key = self._read(provider)
        except KeyMissing as problem:
            log.warning("worker.key_unreadable", provider=name, error=str(problem))
            return
        self._stamps[name] = stamp
        if key == self._keys[name]:
            return
        self._keys[name] = key
        self._codecs[name] = codec_for(provider, key)
        log.info("worker.key_renewed", provider=name)
        if self._renewed is not None:
            self._renewed(provider)

    def _stamp(self, provider: Provider) -> _Stamp | None:
        """None for a key that is in no file, or a file that is not there."""
        if provider.api_key is None or provider.api_key.file is None:
            return None
        try:
            found = (self._base / provider.api_key.file).stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
