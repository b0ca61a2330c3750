"""What `granule analyze --json` found, drawn: figures 4 and 5 of arXiv 2401.06066, use and co-activation of experts. Used
by analysis_report.py and ablate.py."""
import base64
import struct
import zlib
from dataclasses import dataclass
from html import escape

from report import html_table
from report_chart import Chart, Series, banded, charts_html, heat_map, line_chart, load_color, ramp_legend


@dataclass
class Analyzed:
    """A model, as one analysis or, trained with several seeds, as several."""

    name: str
    color: str
    found: list[dict]

    def many_chosen(self) -> bool:
        return self.found[0]["num_experts_per_tok"] > 2

    def disabled(self) -> list[dict[float, float]]:
        """Share of the routed experts that was disabled -> loss, for each seed."""
        curves = []
        for analysis in self.found:
            curve = {0.0: analysis["unchanged"]["loss"]}
            for entry in analysis["disabled_top_experts"]:
                curve[entry["disabled"] / analysis["n_routed_experts"]] = entry["loss"]
            curves.append(curve)
        return [curve for curve in curves if len(curve) > 1]

    def fewer(self) -> list[dict[float, float]]:
        """Routed experts a token -> loss, for each seed."""
        curves = []
        for analysis in self.found:
            curve = {entry["chosen"]: entry["loss"] for entry in analysis["fewer_experts"]}
            curves.append(curve | {analysis["num_experts_per_tok"]: analysis["unchanged"]["loss"]})
        return [curve for curve in curves if len(curve) > 1]


def drawn(series: list[Series | None]) -> list[Series]:
    return [one for one in series if one]


def disabled_chart(models: list[Analyzed]) -> Chart | None:
    return line_chart("Loss with each token's top routed experts disabled", "share of the routed experts disabled",
                      "nats per token", drawn([banded(model.name, model.color, model.disabled(), dots=True)
                                               for model in models]))


def fewer_chart(models: list[Analyzed], levels: list[tuple[str, str, float]]) -> Chart | None:
    """`levels`: (name, colour, loss) of other models, drawn across."""
    series = drawn([banded(model.name, model.color, model.fewer(), dots=True) for model in models])
    right = max((x for one in series for x, _ in one.points), default=0)
    across = [Series(name, color, [(0, loss), (right, loss)], dashed=True) for name, color, loss in levels]
    return line_chart("Loss with fewer routed experts a token, not trained anew", "routed experts a token",
                      "nats per token", [*series, *across]) if series else None


def replaced_rows(models: list[Analyzed]) -> list[list[str]]:
    """Each model with its shared experts, and with as many routed ones in their place."""
    rows = [["model", "as trained", "shared experts replaced", "difference"]]
    for model in models:
        pairs = [(analysis["unchanged"]["loss"], analysis["shared_replaced"]["loss"]) for analysis in model.found
                 if analysis["shared_replaced"]]
        if pairs:
            whole, replaced = (sum(values) / len(pairs) for values in zip(*pairs))
            rows.append([model.name, f"{whole:.4f}", f"{replaced:.4f}", f"{replaced - whole:+.4f}"])
    return rows


def divergence_chart(models: list[Analyzed]) -> Chart | None:
    series = []
    for model in models:
        curves = [{layer["layer"]: layer["divergence"] for layer in analysis["layers"]} for analysis in model.found
                  if len(analysis["sets"]) > 1]
        series.append(banded(model.name, model.color, curves, dots=True))
    return line_chart("How differently the data sets use a layer's experts", "layer",
                      "Jensen-Shannon divergence, nats", drawn(series), bounds=(0, None))


def use_map(name: str, analysis: dict) -> Chart:
    rows = [(f"{layer['layer']} {kind}"[:14], use["tokens_per_expert"]) for layer in analysis["layers"]
            for kind, use in layer["sets"].items()]
    return heat_map(f"{name}: tokens of each expert, by layer and data set", rows, "expert")


def lifts(layer: dict) -> list[list[float]]:
    """How often two experts are chosen together, over what the loads alone would give if an expert's companions were
    drawn from the others by their loads; 1 on the diagonal."""
    sets = layer["sets"].values()
    experts = range(len(next(iter(sets))["tokens_per_expert"]))
    pairs = [[sum(use["chosen_together"][a][b] for use in sets) for b in experts] for a in experts]
    total = sum(pairs[a][b] for a in experts for b in experts if a != b)
    others = [sum(pairs[a][b] for b in experts if b != a) for a in experts]
    result = []
    for a in experts:
        row = []
        for b in experts:
            if a == b or others[a] * others[b] == 0:
                row.append(1.0)
                continue
            expected = others[a] * others[b] * (1 / (total - others[a]) + 1 / (total - others[b])) / 2
            row.append(pairs[a][b] / expected)
        result.append(row)
    return result


def experts_html(models: list[Analyzed], charts: list[Chart | None]) -> str:
    """What both reports say of analyzed models: `charts`, shared experts replaced, who uses which expert."""
    maps = "".join(use_map(model.name, model.found[0]).html() + together_maps(model.name, model.found[0]) for model in models)
    replaced = replaced_rows(models)
    table = f"<h2>Shared experts replaced by routed ones</h2>{html_table(replaced)}" if len(replaced) > 1 else ""
    return (f'{charts_html(charts)}{table}<h2>Who uses which expert (first seed)</h2>'
            f'<div class="charts">{maps}</div>')


def png(pixels: list[list[str]]) -> str:
    """A picture of #rrggbb cells as a data URI."""
    raw = b"".join(b"\0" + b"".join(bytes.fromhex(color[1:]) for color in row) for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 2, 0, 0, 0)
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(image).decode()


def together_maps(name: str, analysis: dict) -> str:
    """A square for each layer; nothing where a token has one expert only."""
    if analysis["num_experts_per_tok"] < 2:
        return ""
    squares = []
    for layer in analysis["layers"]:
        picture = png([[load_color(lift) for lift in row] for row in lifts(layer)])
        squares.append(f'<div><img src="{picture}" alt="layer {layer["layer"]}" style="width:280px;height:280px;'
                       f'image-rendering:pixelated"><div>layer {layer["layer"]}</div></div>')
    colors = [load_color(ratio / 2) for ratio in range(0, 7)]
    scale = ramp_legend(colors, "never", "3 or more times as often as their loads alone would give (white: just so)")
    return (f'<figure class="wide"><figcaption>{escape(name)}: experts chosen together</figcaption>{scale}'
            f'<div style="display:flex;flex-wrap:wrap;gap:24px">{"".join(squares)}</div></figure>')
