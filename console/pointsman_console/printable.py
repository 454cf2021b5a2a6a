"""Names written by strangers, made fit to be printed: vendors name models, producers name jobs."""

import json


def printable(value: object) -> str:
    r"""The value as text in which nothing can steer a terminal or turn a line around.

    A character that has no shape of its own, such as ESC, a line feed or a mark for writing from right to left, is
    written as `\x1b` or `\u202e`.
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def json_printable(text: str) -> str:
    r"""JSON of the same meaning in which nothing can steer a terminal, turn a line around or end one.

    What has no shape of its own stands in strings only, and is written there as `\u202e`. So are halves of characters,
    which UTF-8 has not.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def known(value: object) -> str:
    """The value as printable text; of none, that it is unknown."""
    return "unknown" if value is None else printable(value)
