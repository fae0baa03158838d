"""The page's looks: one style sheet and the colours that charts share with it."""

from __future__ import annotations

INK = "#1b2430"
SOFT = "#56616f"
LINE = "#dfe3e8"
ACCENT = "#0b6e69"
CONTRAST = "#b4540a"
SERIES = ("#0b6e69", "#e0a33e", "#5b5fc7", "#c2554d", "#4d9bbf", "#a9b1bb")
HEAT = ("#e8f1ef", "#8cc5bb", "#2f968c", "#0b5a56", "#08322f")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
"""Fonts that a computer has; a font from elsewhere would be a request."""

CSS = f"""
*, *::before, *::after {{ box-sizing: border-box }}
:root {{ color-scheme: light; --ink: {INK}; --soft: {SOFT}; --line: {LINE}; --accent: {ACCENT}; --warn: {CONTRAST} }}
html {{ scroll-behavior: smooth; -webkit-text-size-adjust: 100% }}
@media (prefers-reduced-motion: reduce) {{ html {{ scroll-behavior: auto }} }}
body {{ margin: 0; background: #f4f5f3; color: var(--ink); font: 16px/1.55 {FONT} }}
a {{ color: var(--accent); text-underline-offset: .15em }}
:focus-visible {{ outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px }}
.skip {{ position: absolute; left: -999px; top: 0; background: #fff; padding: .5rem 1rem; z-index: 2 }}
.skip:focus {{ left: 1rem }}
header, main, footer {{ max-width: 1180px; margin: 0 auto; padding: 0 24px }}
header {{ padding-top: 40px }}
h1 {{ font-size: clamp(1.7rem, 1.2rem + 2vw, 2.5rem); line-height: 1.15; letter-spacing: -.02em; margin: 0 0 .4rem }}
h2 {{ font-size: 1.35rem; letter-spacing: -.01em; margin: 0 0 .2rem }}
h3 {{ font-size: 1rem; margin: 0 0 .1rem }}
p {{ margin: 0 0 .6rem }}
.lead, .note, figcaption, caption {{ color: var(--soft) }}
.lead {{ max-width: 62ch; font-size: 1.05rem }}
.note, figcaption, caption {{ font-size: .875rem }}
nav ul {{ display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; list-style: none; padding: 0; margin: 1rem 0 0 }}
nav a {{ display: inline-block; padding: .2rem 0 }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 24px 0 0; padding: 0 }}
.tile, .card {{ background: #fff; border: 1px solid var(--line); border-radius: 12px }}
.tile {{ padding: 14px 16px }}
.tile dt {{ color: var(--soft); font-size: .85rem }}
.tile dd {{ margin: 0; font-size: 1.6rem; font-weight: 650; letter-spacing: -.02em; line-height: 1.25 }}
.tile small {{ display: block; color: var(--soft); font-size: .8rem; font-weight: 400; letter-spacing: 0 }}
section {{ margin: 44px 0 0 }}
.grid {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; margin-top: 14px }}
.card {{ padding: 18px 20px; margin: 0; min-width: 0 }}
.full {{ grid-column: 1 / -1 }}
figure svg {{ display: block; width: 100%; height: auto; margin-top: 10px }}
.narrow {{ display: none !important }}
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
.trend, td:has(.spark) {{ padding-left: .6rem }}
.bar {{ display: block; height: 8px; border-radius: 4px; background: var(--accent); min-width: 2px }}
.badge {{ display: inline-block; padding: .05rem .55rem; border-radius: 99px; font-size: .8rem; font-weight: 600; white-space: nowrap }}
.pass {{ background: #dff1ea; color: #0a5547 }}
.warn {{ background: #fdeed8; color: #8a3f05 }}
.fail {{ background: #fbe1df; color: #99221b }}
details summary {{ cursor: pointer; font-weight: 600; padding: .2rem 0 }}
code {{ font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: #eef0ee; padding: .1em .35em; border-radius: 4px; overflow-wrap: anywhere }}
.found {{ padding-left: 1.1rem; margin: .4rem 0 0 }}
.found li {{ margin-bottom: .35rem }}
footer {{ color: var(--soft); font-size: .875rem; padding-top: 32px; padding-bottom: 48px }}
@media (max-width: 760px) {{
  header, main, footer {{ padding-left: 16px; padding-right: 16px }}
  header {{ padding-top: 24px }}
  .grid {{ grid-template-columns: minmax(0, 1fr) }}
  .tiles {{ grid-template-columns: repeat(2, minmax(0, 1fr)) }}
  .card {{ padding: 16px }}
  .wide {{ display: none !important }}
  .narrow {{ display: block !important }}
  table {{ font-size: .84rem }}
  th, td {{ padding-right: .5rem }}
  .optional {{ display: none }}
  section {{ margin-top: 32px }}
}}
@media print {{ body {{ background: #fff }} .card, .tile {{ break-inside: avoid }} nav, .skip {{ display: none }} }}
"""
