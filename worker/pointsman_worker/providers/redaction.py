"""Making a vendor's words fit for a record: no key, no control characters, no length without end."""

import re
from typing import Final

from pointsman_worker.api_keys import ApiKey

_LONGEST_READ: Final = 2000
_GRAM: Final = 8
_HIDDEN: Final = "[redacted]"
_BEARER: Final = re.compile(r"(?i)\bbearer\s+\S+")
_WORD: Final = re.compile(r"""[^\s"'`,;:()\[\]{}<>=]+""")
_LOOKS_LIKE_KEY: Final = re.compile(r"(?i)(?<![a-z0-9_])(?:sk|pk|rk|gsk|xai|key)[-_][\w.*…-]{6,}")
_MASK: Final = re.compile(r"\*{2,}|\.{2,}|…|[xX]{4,}")


class Redactor:
    """Cleans texts of one provider account.

    It hides the account's key, any eight characters of it in a row, the masked forms vendors echo
    (`sk-...abcd`), and whatever looks like somebody's key. A vendor bent on leaking a key by other means, such as
    spelling it backwards, is not stopped.
    """

    def __init__(self, key: ApiKey | None) -> None:
        secret = key.reveal() if key is not None else ""
        self._secret = secret
        self._grams = frozenset(secret[i : i + _GRAM] for i in range(len(secret) - _GRAM + 1))

    def __repr__(self) -> str:
        return "Redactor()"

    def clean(self, text: str, limit: int) -> str:
        """The text on one line, without secrets, at most `limit` characters long."""
        printable = "".join(character if character.isprintable() else " " for character in text[:_LONGEST_READ])
        line = _WORD.sub(self._hide, _BEARER.sub(_HIDDEN, " ".join(printable.split())))
        return line if len(line) <= limit else f"{line[: limit - 1]}…"

    def name(self, text: str, limit: int) -> str:
        """A vendor's name for something: as it is when it is harmless, which is nearly always, else cleaned."""
        if len(text) <= limit and text.isprintable() and not (self._secret and self._secret in text):
            return text
        return self.clean(text, limit)

    def _hide(self, match: re.Match[str]) -> str:
        word = match[0]
        return _HIDDEN if _LOOKS_LIKE_KEY.search(word) or self._is_ours(word) else word

    def _is_ours(self, word: str) -> bool:
        secret = self._secret
        if not secret:
            return False
        if len(secret) < _GRAM:
            return secret in word if len(secret) > 3 else word == secret
        if any(word[i : i + _GRAM] in self._grams for i in range(len(word) - _GRAM + 1)):
            return True
        bare = word.strip(".!?")
        return _MASK.search(bare) is not None and (bare.startswith(secret[:2]) or bare.endswith(secret[-4:]))
