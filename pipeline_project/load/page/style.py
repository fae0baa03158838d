"""The page's looks: one style sheet, and the colours that charts share with it, for light and for dark screens.

Charts are drawn with the light colours; `themed` turns each into the style sheet's variable of the same name. Marks
stand out from a card by 3:1 and texts by 4.5:1 (WCAG 2.2, 1.4.11 and 1.4.3), in both.
"""

from __future__ import annotations

import re

LIGHT = {
    "page": "#f4f5f3",
    "card": "#ffffff",
    "ink": "#1b2430",
    "soft": "#56616f",
    "line": "#dfe3e8",
    "code": "#eef0ee",
    "accent": "#0b6e69",
    "contrast": "#b4540a",
    "series-2": "#b9800f",
    "series-3": "#5b5fc7",
    "series-4": "#c2554d",
    "series-5": "#3d8bb0",
    "other": "#828c98",
    "heat-1": "#4c9f94",
    "heat-2": "#2f867c",
    "heat-3": "#17695f",
    "heat-4": "#0b4d49",
    "heat-5": "#052b29",
    "span": "#e4e8ec",
    "pass": "#0a5547",
    "pass-tint": "#dff1ea",
    "warn": "#8a3f05",
    "warn-tint": "#fdeed8",
    "fail": "#99221b",
    "fail-tint": "#fbe1df",
}
DARK = {
    "page": "#0f1318",
    "card": "#171c23",
    "ink": "#e4e9ef",
    "soft": "#a3aebd",
    "line": "#2c343e",
    "code": "#212831",
    "accent": "#4fc3b8",
    "contrast": "#f0a35e",
    "series-2": "#e0a33f",
    "series-3": "#9a9df0",
    "series-4": "#f08a80",
    "series-5": "#6fbbe0",
    "other": "#7d8896",
    "heat-1": "#35796f",
    "heat-2": "#4a9a8f",
    "heat-3": "#6bbcb0",
    "heat-4": "#9cdcd2",
    "heat-5": "#dcf7f2",
    "span": "#29313b",
    "pass": "#7fd6b4",
    "pass-tint": "#14301f",
    "warn": "#f3c078",
    "warn-tint": "#3b2a10",
    "fail": "#ff9d96",
    "fail-tint": "#46191c",
}
CARD, INK, SOFT, LINE, ACCENT, CONTRAST, OTHER_COLOUR, SPAN = (
    LIGHT[name] for name in ("card", "ink", "soft", "line", "accent", "contrast", "other", "span")
)
SERIES = (ACCENT, *(LIGHT[f"series-{number}"] for number in range(2, 6)))
HEAT = tuple(LIGHT[f"heat-{number}"] for number in range(1, 6))
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
"""Fonts that a computer has; a font from elsewhere would be a request."""

_NAMES = {colour: name for name, colour in LIGHT.items()}


def themed(drawing: str) -> str:
    """The drawing with the style sheet's variables for its colours, so that it follows the reader's theme."""
    return re.sub(
        r"#[0-9a-f]{6}\b", lambda found: f"var(--{_NAMES[found[0]]})" if found[0] in _NAMES else found[0], drawing
    )


def _variables(colours: dict[str, str]) -> str:
    return "; ".join(f"--{name}: {colour}" for name, colour in colours.items())


CSS = f"""
*, *::before, *::after {{ box-sizing: border-box }}
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
html {{ scroll-behavior: smooth; -webkit-text-size-adjust: 100% }}
@media (prefers-reduced-motion: reduce) {{ html {{ scroll-behavior: auto }} }}
body {{ margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 {FONT} }}
a {{ color: var(--accent); text-underline-offset: .15em }}
:focus-visible {{ outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px }}
.skip {{ position: absolute; left: -999px; top: 0; background: var(--card); padding: .5rem 1rem; z-index: 2 }}
.skip:focus {{ left: 1rem }}
header, main, footer {{ max-width: 1180px; margin: 0 auto; padding: 0 24px }}
header {{ padding-top: 40px }}
h1 {{ font-size: clamp(1.7rem, 1.2rem + 2vw, 2.5rem); line-height: 1.15; letter-spacing: -.02em; margin: 0 0 .4rem }}
h2 {{ font-size: 1.35rem; letter-spacing: -.01em; margin: 0 0 .2rem }}
h3 {{ font-size: 1rem; margin: 0 0 .1rem }}
p {{ margin: 0 0 .6rem }}
.lead, .note, figcaption, caption {{ color: var(--soft) }}
.lead {{ max-width: 62ch; font-size: 1.05rem }}
.finding {{ max-width: 46ch; font-size: clamp(1.15rem, 1rem + .7vw, 1.45rem); line-height: 1.35; font-weight: 600 }}
.note, figcaption, caption {{ font-size: .875rem }}
nav ul {{ display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; list-style: none; padding: 0; margin: 1rem 0 0 }}
nav a {{ display: inline-block; padding: .2rem 0 }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 24px 0 0; padding: 0 }}
.tile, .card {{ background: var(--card); border: 1px solid var(--line); border-radius: 12px }}
.tile {{ padding: 14px 16px }}
.tile dt {{ color: var(--soft); font-size: .85rem }}
.tile dd {{ margin: 0; font-size: 1.6rem; font-weight: 650; letter-spacing: -.02em; line-height: 1.25 }}
.tile small {{ display: block; color: var(--soft); font-size: .8rem; font-weight: 400; letter-spacing: 0 }}
section {{ margin: 44px 0 0 }}
.grid {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; margin-top: 14px }}
.card {{ padding: 18px 20px; margin: 0; min-width: 0 }}
.full {{ grid-column: 1 / -1 }}
figure svg {{ display: block; width: 100%; height: auto; margin-top: 10px; overflow: visible }}
figure svg.middle {{ max-width: 780px; margin-inline: auto }}
figure svg.narrow {{ max-width: 460px; margin-inline: auto }}
.middle, .narrow {{ display: none !important }}
svg :is(path, line):has(> title):hover {{ stroke: var(--ink); stroke-width: 1.5px }}
.scroll {{ overflow-x: auto; margin-top: 10px }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums }}
caption {{ text-align: left; padding-bottom: .4rem }}
th, td {{ text-align: left; padding: .42rem .7rem .42rem 0; border-bottom: 1px solid var(--line); vertical-align: middle }}
thead th {{ color: var(--soft); font-weight: 600; font-size: .8rem; white-space: nowrap }}
tbody th {{ font-weight: 550 }}
.n {{ text-align: right; white-space: nowrap }}
tr > :last-child {{ padding-right: 0 }}
.spark {{ display: block; width: 100%; min-width: 84px; height: 28px; margin: 0 }}
.trend {{ width: 38% }}
.past {{ width: 17% }}
.trend, td:has(.spark) {{ padding-left: .6rem }}
.bar {{ display: block; height: 8px; border-radius: 4px; background: var(--accent); min-width: 2px }}
.badge {{ display: inline-block; padding: .05rem .55rem; border-radius: 99px; font-size: .8rem; font-weight: 600; white-space: nowrap }}
.pass {{ background: var(--pass-tint); color: var(--pass) }}
.warn {{ background: var(--warn-tint); color: var(--warn) }}
.fail {{ background: var(--fail-tint); color: var(--fail) }}
details summary {{ cursor: pointer; font-weight: 600; padding: .2rem 0 }}
code {{ font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--code); padding: .1em .35em; border-radius: 4px; overflow-wrap: anywhere }}
.found {{ padding-left: 1.1rem; margin: .4rem 0 0 }}
.found li {{ margin-bottom: .35rem }}
footer {{ color: var(--soft); font-size: .875rem; padding-top: 32px; padding-bottom: 48px }}
@media (max-width: 1099px) {{
  .grid {{ grid-template-columns: minmax(0, 1fr) }}
  .wide {{ display: none !important }}
  .middle {{ display: block !important }}
}}
@media (max-width: 760px) {{
  header, main, footer {{ padding-left: 16px; padding-right: 16px }}
  header {{ padding-top: 24px }}
  .tiles {{ grid-template-columns: repeat(2, minmax(0, 1fr)) }}
  .card {{ padding: 16px }}
  table {{ font-size: .84rem }}
  th, td {{ padding-right: .5rem }}
  .optional {{ display: none }}
  section {{ margin-top: 32px }}
}}
@media (max-width: 600px) {{
  .middle {{ display: none !important }}
  .narrow {{ display: block !important }}
}}
@media print {{
  :root {{ color-scheme: light }}
  body {{ background: none; print-color-adjust: exact; -webkit-print-color-adjust: exact }}
  .grid {{ grid-template-columns: minmax(0, 1fr) }}
  .wide, .narrow {{ display: none !important }}
  .middle {{ display: block !important }}
  .card, .tile {{ break-inside: avoid }}
  .card:has(table) {{ break-inside: auto }}
  tr {{ break-inside: avoid }}
  h2, h3, figcaption {{ break-after: avoid }}
  nav, .skip {{ display: none }}
}}
"""
