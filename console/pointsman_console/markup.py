"""HTML and SVG as text that is safe and well-formed by construction: whatever is no markup is escaped."""

from html import escape
from typing import Final

from .printable import printable

_VOID: Final = frozenset({"meta", "br"})
"""Elements of HTML that have no end."""


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """The value as text: names come from vendors and producers, and stay text whatever is in them."""
    return value if isinstance(value, Markup) else Markup(escape(printable(value), quote=True))


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """An element with what is in it.

    Args:
        tag: its name.
        children: markup, or values that become text; None is left out.
        attributes: by name; `_` stands for `-`, and a last one is dropped: `class_`. None is left out.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{text(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{given}/>")
    inner = "".join(text(child) for child in children if child is not None)
    return Markup(f"<{tag}{given}>{inner}</{tag}>")


def joined(*parts: object) -> Markup:
    """Markup one after the other."""
    return Markup("".join(text(part) for part in parts))
