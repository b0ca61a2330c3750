"""A chart of a report as an SVG file of its own, for documents: title and legend inside, colours written out. Used by
ablate.py."""
import re
from html import escape

from report import STYLE
from report_chart import Chart, Series

LEGEND_LINE = 20  # height
LETTER = 7.6      # mean width at 12 px of the wider fonts in place of system-ui


def plain_style() -> str:
    """The reports' style without variables, which not every viewer of SVG knows."""
    colors = dict(re.findall(r"--(\w+): (#\w+)", STYLE))
    return re.sub(r"var\(--(\w+)\)", lambda match: colors[match[1]], STYLE)


def draw_legend(entries: list[Series], width: float) -> tuple[str, float]:
    """Left to right, broken into lines; and the height of all. Nothing for a single one."""
    if len(entries) < 2:
        return "", 0
    parts, x, y = [], 0.0, 0.0
    for series in entries:
        needed = 24 + len(series.name) * LETTER
        if x > 0 and x + needed > width:
            x, y = 0.0, y + LEGEND_LINE
        stroke = ' stroke-dasharray="5 3"' if series.dashed else ""
        parts.append(f'<line x1="{x:.0f}" x2="{x + 18:.0f}" y1="{y + 9:.0f}" y2="{y + 9:.0f}" stroke="{series.color}" '
                     f'stroke-width="2"{stroke}/><text x="{x + 24:.0f}" y="{y + 13:.0f}">{escape(series.name)}</text>')
        x += needed + 16
    return "".join(parts), y + LEGEND_LINE


def as_file(chart: Chart) -> str:
    margin, title_height = 14, 28
    legend, legend_height = draw_legend(chart.legend, chart.width)
    top = margin + title_height + legend_height
    full_width, full_height = chart.width + 2 * margin, chart.height + top + margin
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full_width:g} {full_height:g}" '
            f'width="{full_width:g}" height="{full_height:g}" font-family="system-ui, sans-serif">'
            f"<style>{plain_style()}</style><rect width=\"100%\" height=\"100%\" fill=\"#fdfdfb\"/>"
            f'<text class="label" x="{margin}" y="{margin + 14}" style="font-size:14px;font-weight:600">'
            f'{escape(chart.title)}</text><g transform="translate({margin} {margin + title_height})">{legend}</g>'
            f'<g transform="translate({margin} {top:g})">{chart.drawing}</g></svg>\n')
