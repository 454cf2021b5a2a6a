"""How a report's page looks: by day, by night and on paper. Every colour of a bar or a text keeps its contrast."""

from collections.abc import Mapping
from typing import Final

from .markup import Markup

SERIES: Final = 8
"""Colours there are for bars."""
DAY: Final[Mapping[str, str]] = {
    "page": "#ffffff",
    "ink": "#1a1d21",
    "quiet": "#565d66",
    "line": "#d5d9de",
    "s0": "#0b5fa5",
    "s1": "#b34700",
    "s2": "#1b7a4b",
    "s3": "#8a3ea8",
    "s4": "#a61e4d",
    "s5": "#5c6b00",
    "s6": "#006d77",
    "s7": "#6b7280",
}
NIGHT: Final[Mapping[str, str]] = {
    "page": "#14171a",
    "ink": "#e8eaed",
    "quiet": "#a9b0b8",
    "line": "#3a4047",
    "s0": "#6cb2f0",
    "s1": "#f0a35e",
    "s2": "#6fd19a",
    "s3": "#cf9cf0",
    "s4": "#f58fb0",
    "s5": "#c9d45a",
    "s6": "#5fd0d8",
    "s7": "#a7adb8",
}


def _colours(colours: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


_BARS = "\n".join(
    f".bar.s{number} {{ fill: var(--s{number}); }} .swatch.s{number} {{ background: var(--s{number}); }}"
    for number in range(SERIES)
)
STYLE: Final = Markup(f"""
:root {{ color-scheme: light dark; {_colours(DAY)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_colours(NIGHT)} }} }}
body {{ margin: 0 auto; max-width: 60rem; padding: 1.5rem; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }}
h1 {{ font-size: 1.6rem; margin: 0 0 .5rem; }}
h2 {{ font-size: 1.15rem; margin: 2.2rem 0 .6rem; }}
.note, .legend, caption {{ color: var(--quiet); }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 0 1rem; }}
dt {{ color: var(--quiet); }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
dl.figures {{ grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .8rem 1rem; }}
dl.figures dd {{ font-size: 1.15rem; font-variant-numeric: tabular-nums; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; padding: 1rem 0 .3rem; }}
th, td {{ padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }}
th.name {{ text-align: left; font-weight: normal; white-space: normal; overflow-wrap: break-word; }}
thead th {{ color: var(--quiet); font-weight: 600; }}
thead th.name {{ font-weight: 600; }}
figure {{ margin: 0 0 1rem; }}
svg {{ display: block; width: 100%; height: auto; }}
svg text {{ fill: var(--ink); font-family: system-ui, sans-serif; }}
.grid {{ stroke: var(--line); stroke-width: 1; }}
.bar {{ stroke: var(--page); stroke-width: 1; }}
{_BARS}
.legend {{ list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .4rem 0 0; padding: 0; }}
.swatch {{ display: inline-block; width: .8em; height: .8em; border-radius: 2px; }}
@media print {{
  :root {{ {_colours(DAY)} }}
  body {{ max-width: none; padding: 0; font-size: 11px; }}
  .bar, .swatch {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
  h2 {{ break-after: avoid; }}
  figure, tr {{ break-inside: avoid; }}
  th, td {{ padding: .2rem .35rem; }}
  .wide {{ overflow: visible; }}
  dl.figures {{ grid-template-columns: repeat(4, 1fr); }}
}}
""")
