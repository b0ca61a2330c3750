"""Line charts and heat maps as SVG text, with nothing but the standard library. Used by report.py."""
import json
import math
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 74, 14, 12, 42
MAX_POINTS = 400

Point = tuple[float, float | None]


@dataclass
class Series:
    name: str
    color: str
    points: list[Point]
    faint: bool = False  # background of another series: thin, and not in the legend
    dots: bool = False
    dashed: bool = False
    band: list[tuple[float, float, float]] = field(default_factory=list)  # (x, low, high), shaded


@dataclass
class Chart:
    title: str
    drawing: str  # what is inside the SVG
    legend: list[Series] = field(default_factory=list)
    scale: str = ""     # HTML in the legend's place
    readable: str = ""  # JSON that the page's script reads to the pointer
    width: float = WIDTH
    height: float = HEIGHT

    def html(self) -> str:
        wide = ' class="wide"' if self.width > WIDTH else ""
        data = f' class="chart" data-series="{escape(self.readable, quote=True)}"' if self.readable else ""
        title = escape(self.title)
        return (f"<figure{wide}><figcaption>{title}</figcaption>{self.scale or legend_html(self.legend)}<svg{data} "
                f'viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{title}">{self.drawing}</svg></figure>')


def charts_html(charts: list[Chart | None]) -> str:
    """Side by side, those that there are."""
    return f'<div class="charts">{"".join(chart.html() for chart in charts if chart)}</div>'


@dataclass
class Axis:
    label: str
    low: float
    high: float
    log: bool = False
    ticks: list[float] = field(default_factory=list)

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high end."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def short(value: float, more_digits: int = 0) -> str:
    """1234567 -> 1.23M, 0.003 -> 3e-3; for axes and tables."""
    size = abs(value)
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= 0.9995 * unit:
            return f"{value / unit:.{3 + more_digits}g}{letter}"
    if size != 0 and size < 1e-2:
        mantissa, exponent = f"{value:.{2 + more_digits}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.{4 + more_digits}g}"


def tick_labels(ticks: list[float]) -> list[str]:
    """With as many digits as it takes to tell them apart."""
    for more_digits in range(10):
        labels = [short(tick, more_digits) for tick in ticks]
        if len(set(labels)) == len(labels):
            break
    return labels


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten inside [low, high], about `count` of them."""
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (10, 5, 2, 1) if power * factor <= raw * 1.4)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [0.0 if index == 0 else index * step for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    few = math.log10(high / low) < 3
    ticks = [factor * 10.0 ** power for power in powers for factor in ((1, 2, 5) if few else (1,))]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) >= 3 else nice_ticks(low, high, 5)


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def thin_out(points: list[Point], keep_extremes: bool) -> list[Point]:
    """About MAX_POINTS: of each run of neighbours the median, or the lowest and the highest."""
    size = math.ceil(len(points) / MAX_POINTS)
    if size <= 1:
        return points
    thin: list[Point] = []
    for begin in range(0, len(points), size):
        known = [(x, y) for x, y in points[begin:begin + size] if y is not None]
        if not known:
            thin.append((points[begin][0], None))
        elif keep_extremes:
            thin += sorted({min(known, key=lambda point: point[1]), max(known, key=lambda point: point[1])})
        else:
            thin.append((known[len(known) // 2][0], median([y for _, y in known])))
    return thin


def smooth(points: list[Point]) -> list[Point]:
    """Running median, so that single spikes do not move the line; it looks as far ahead as back, so it does not lag."""
    points = thin_out(points, keep_extremes=False)
    reach = len(points) // 100
    smoothed: list[Point] = []
    for index, (x, y) in enumerate(points):
        near = min(reach, index, len(points) - 1 - index)
        known = [value for _, value in points[index - near:index + near + 1] if value is not None]
        smoothed.append((x, median(known) if y is not None else None))
    return smoothed


def averaged(points: list[tuple[float, float]], reach: int) -> list[tuple[float, float]]:
    """The mean over `reach` points before and after, fewer at the ends, so that noise of single steps goes."""
    result = []
    for index, (x, _) in enumerate(points):
        near = min(reach, index, len(points) - 1 - index)
        values = [y for _, y in points[index - near:index + near + 1]]
        result.append((x, sum(values) / len(values)))
    return result


def banded(name: str, color: str, curves: list[dict[float, float]], window: float = 0, **options) -> Series | None:
    """The mean of several curves (x -> y) where all have come, with a band from the lowest to the highest. Each is
    first averaged over a `window`, a share of its length. None if there is nothing in common."""
    xs = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    if not xs:
        return None
    reach = round(len(xs) * window / 2)
    smooth_curves = [averaged([(x, curve[x]) for x in xs], reach) for curve in curves]
    rows = [(x, [curve[index][1] for curve in smooth_curves]) for index, x in enumerate(xs)]
    band = [(x, min(values), max(values)) for x, values in rows] if len(curves) > 1 else []
    return Series(name, color, [(x, sum(values) / len(values)) for x, values in rows], band=band, **options)


def make_y_axis(label: str, values: list[float], log: bool, bounds: tuple[float | None, float | None]) -> Axis:
    log = log and min(values) > 0
    low = min(values) if bounds[0] is None else min(bounds[0], max(values))
    high = max(values) if bounds[1] is None else bounds[1]
    if high <= low:
        # All values are the same; the line goes through the middle.
        low, high = (low / 2, high * 2) if log else (low - (abs(low) * 0.1 or 1), high + (abs(high) * 0.1 or 1))
    elif log:
        low, high = low / (high / low) ** 0.05, high * (high / low) ** 0.05
    else:
        margin = 0.05 * (high - low)
        low, high = (low if bounds[0] is not None else low - margin), high + margin
    return Axis(label, low, high, log, log_ticks(low, high) if log else nice_ticks(low, high, 5))


def path_of(points: list[Point], x_axis: Axis, y_axis: Axis) -> list[list[tuple[float, float]]]:
    """Pieces of the line on the page; a value that is missing breaks it."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None or (y_axis.log and y <= 0):
            pieces.append([])
            continue
        pieces[-1].append((LEFT + x_axis.place(x) * (WIDTH - LEFT - RIGHT),
                           HEIGHT - BOTTOM - y_axis.place(y) * (HEIGHT - TOP - BOTTOM)))
    return [piece for piece in pieces if piece]


def draw_axes(x_axis: Axis, y_axis: Axis) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for tick, label in zip(y_axis.ticks, tick_labels(y_axis.ticks)):
        y = bottom - y_axis.place(tick) * (bottom - TOP)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for tick, label in zip(x_axis.ticks, tick_labels(x_axis.ticks)):
        x = LEFT + x_axis.place(tick) * (right - LEFT)
        parts.append(f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle = (TOP + bottom) / 2
    parts.append(f'<text class="label" x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
                 f"{escape(x_axis.label)}</text>")
    parts.append(f'<text class="label" transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">'
                 f"{escape(y_axis.label)}</text>")
    return parts


def draw_series(series: Series, points: list[Point], x_axis: Axis, y_axis: Axis) -> list[str]:
    parts = []
    if series.band:
        edge = [(x, low) for x, low, _ in series.band] + [(x, high) for x, _, high in reversed(series.band)]
        for piece in path_of(edge, x_axis, y_axis):
            text = " ".join(f"{x:.1f},{y:.1f}" for x, y in piece)
            parts.append(f'<polygon class="band" fill="{series.color}" points="{text}"/>')
    kind = "faint" if series.faint else "dashed" if series.dashed else "line"
    for piece in path_of(points, x_axis, y_axis):
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in piece)
        parts.append(f'<polyline class="{kind}" stroke="{series.color}" points="{text}"/>')
        if series.dots or len(piece) == 1:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{series.color}"/>' for x, y in piece]
    return parts


def line_chart(title: str, x_label: str, y_label: str, all_series: list[Series], *, log: bool = False,
               bounds: tuple[float | None, float | None] = (None, None), scale: str = "") -> Chart | None:
    """With a legend of the series, or a `scale` in its place; None if no series has a value."""
    drawn = [(series, thin_out(series.points, keep_extremes=series.faint)) for series in all_series]
    xs = [x for _, points in drawn for x, _ in points]
    ys = [y for _, points in drawn for _, y in points if y is not None]
    ys += [y for series in all_series for _, *edges in series.band for y in edges]
    if not ys:
        return None
    high = max(xs) if max(xs) > 0 else 1
    x_axis = Axis(x_label, 0, high, ticks=nice_ticks(0, high, 6))
    y_axis = make_y_axis(y_label, ys, log, bounds)
    lines = [part for series, points in drawn for part in draw_series(series, points, x_axis, y_axis)]
    # Wide enough that dots on the edge stay whole.
    box = (LEFT - 3, TOP, WIDTH - LEFT - RIGHT + 6, HEIGHT - TOP - BOTTOM)
    plot = (f'<svg class="clip" x="{box[0]}" y="{box[1]}" width="{box[2]}" height="{box[3]}" '
            f'viewBox="{box[0]} {box[1]} {box[2]} {box[3]}">{"".join(lines)}</svg>')
    # What the pointer reads; the page's script draws it.
    readable = [{"name": series.name, "color": series.color,
                 "at": [[round(x / x_axis.high, 4), x, float(f"{y:.5g}")] for x, y in points if y is not None]}
                for series, points in drawn if not series.faint]
    data = json.dumps({"x": x_label, "left": LEFT, "right": WIDTH - RIGHT, "series": readable})
    return Chart(title, "".join(draw_axes(x_axis, y_axis)) + plot, [series for series in all_series if not series.faint],
                 scale, data)


@dataclass
class Bar:
    name: str
    color: str
    value: float
    error: tuple[float, float] | None = None  # drawn from low to high


def bar_chart(title: str, y_label: str, groups: list[tuple[str, list[Bar]]], low: float, high: float) -> Chart:
    """Groups of bars side by side over the same names; the axis begins at `low`, which a reader must be told."""
    axis = Axis(y_label, low, high, ticks=nice_ticks(low, high, 5))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(value: float) -> float:
        return bottom - min(1.05, max(0.0, axis.place(value))) * (bottom - TOP)

    parts = draw_axes(Axis("", 0, 1), axis)
    slot = (right - LEFT) / len(groups)
    for number, (name, bars) in enumerate(groups):
        width = slot * 0.8 / len(bars)
        begin = LEFT + slot * (number + 0.1)
        for index, bar in enumerate(bars):
            x, y = begin + index * width, place(bar.value)
            parts.append(f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{bottom - y:.1f}" '
                         f'fill="{bar.color}"><title>{escape(bar.name)}: {bar.value:.4g}</title></rect>')
            if bar.error:
                middle, top, end = x + width / 2, place(bar.error[1]), place(bar.error[0])
                parts.append(f'<path class="error" d="M{middle - 4:.1f} {top:.1f}h8m-4 0V{end:.1f}m-4 0h8"/>')
            parts.append(f'<text class="value" x="{x + width / 2:.1f}" y="{bottom - 6}" text-anchor="middle">'
                         f"{bar.value:.3f}</text>" if width >= 34 else "")
        parts.append(f'<text x="{begin + slot * 0.4:.1f}" y="{bottom + 18}" text-anchor="middle">{escape(name)}</text>')
    return Chart(title, "".join(parts), [Series(bar.name, bar.color, []) for bar in groups[0][1]])


def legend_html(all_series: list[Series]) -> str:
    if len(all_series) < 2:
        return '<div class="legend"></div>'
    items = []
    for series in all_series:
        style = "dashed" if series.dashed else "solid"
        items.append(f'<span><i style="border-top:2px {style} {series.color}"></i>{escape(series.name)}</span>')
    return f'<div class="legend">{"".join(items)}</div>'


def ramp_legend(colors: list[str], first: str, last: str) -> str:
    return (f'<div class="legend"><span>{escape(first)}</span><i class="ramp" style="background:'
            f'linear-gradient(90deg,{",".join(colors)})"></i><span>{escape(last)}</span></div>')


def mix(a: str, b: str, share: float) -> str:
    """Colour between #rrggbb `a` (0) and `b` (1)."""
    channels = [(int(a[i:i + 2], 16), int(b[i:i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in channels)


UNDER, EVEN, OVER = "#2f6f9f", "#f7f6f2", "#c4501b"


def load_color(ratio: float) -> str:
    """Tokens of an expert over an even share: 1 is neutral, both colours are full at 0 and at 3."""
    if ratio < 1:
        return mix(EVEN, UNDER, 1 - ratio)
    return mix(EVEN, OVER, min(1.0, (ratio - 1) / 2))


def heat_map(title: str, rows: list[tuple[str, list[int]]], x_label: str) -> Chart:
    """A row for each layer, a cell for each expert, coloured by its load."""
    columns = max(len(counts) for _, counts in rows)
    cell_width = (WIDTH * 2 - LEFT - 24 - RIGHT) / columns
    cell_height = min(26, max(14, 300 / len(rows)))
    left, height = LEFT + 24, cell_height * len(rows)
    parts = []
    for row, (name, counts) in enumerate(rows):
        mean = sum(counts) / len(counts)
        y = row * cell_height
        parts.append(f'<text x="{left - 8}" y="{y + cell_height / 2 + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        for expert, count in enumerate(counts):
            ratio = count / mean if mean > 0 else 0
            parts.append(f'<rect x="{left + expert * cell_width:.2f}" y="{y:.1f}" width="{cell_width - 0.6:.2f}" '
                         f'height="{cell_height - 0.6:.2f}" fill="{load_color(ratio)}"><title>{escape(name)}, expert '
                         f"{expert}: {count} tokens, {ratio:.2f} of an even share</title></rect>")
    step = max(1, round(columns / 16))
    for expert in range(0, columns, step):
        parts.append(f'<text x="{left + (expert + 0.5) * cell_width:.1f}" y="{height + 15:.1f}" '
                     f'text-anchor="middle">{expert}</text>')
    parts.append(f'<text class="label" x="{left + columns * cell_width / 2:.1f}" y="{height + 33:.1f}" '
                 f'text-anchor="middle">{escape(x_label)}</text>')
    colors = [load_color(ratio / 2) for ratio in range(0, 7)]
    scale = ramp_legend(colors, "0", "3 or more times an even share (white: even)")
    return Chart(title, "".join(parts), scale=scale, width=WIDTH * 2, height=round(height + 40, 1))
