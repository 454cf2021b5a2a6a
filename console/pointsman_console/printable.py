"""Names written by strangers, made fit to be printed: vendors name models, producers name jobs."""


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


def known(value: object) -> str:
    """The value as printable text; of none, that it is unknown."""
    return "unknown" if value is None else printable(value)
