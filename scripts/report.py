#!/usr/bin/env python3
"""What runs did, as one page: `report.py RUN_DIR... [--output FILE]`.

Reads metrics.jsonl, config.yaml, checkpoints/ and sample.txt of each run directory and writes report.html into the
first of them. The page needs no network and no other file.
"""
import argparse
import sys
from html import escape
from pathlib import Path

from report_chart import Chart, Series, charts_html, heat_map, line_chart, median, mix, ramp_legend, short, smooth
from report_run import Run, read_runs

COLORS = ["#2f6f9f", "#c4501b", "#3d8b5f", "#8a5aa8", "#b58a12", "#4a4a4a", "#c2477f", "#2b9aa0"]
SHALLOW, DEEP = "#9cc4df", "#12324a"

STYLE = """
:root { --ink: #23262a; --soft: #6b7178; --line: #e4e3df; --paper: #fdfdfb; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 36px 28px 60px; background: var(--paper); color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 25px; font-weight: 600; margin: 0 0 2px; letter-spacing: -0.01em; }
h2 { font-size: 18px; font-weight: 600; margin: 44px 0 14px; padding-top: 14px; border-top: 1px solid var(--line); }
p.sub { margin: 0 0 24px; color: var(--soft); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 0 5px 34px; border-bottom: 1px solid var(--line); font-weight: 400; }
th:first-child, td:first-child { text-align: left; padding-left: 0; color: var(--soft); }
thead th { font-weight: 600; color: var(--ink); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 14px 30px; margin: 0; }
dl div { border-top: 1px solid var(--line); padding-top: 6px; }
dt { color: var(--soft); font-size: 13px; }
dd { margin: 0; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(460px, 1fr)); gap: 30px 34px; margin-top: 34px; }
figure { margin: 0; position: relative; }
figure.wide { grid-column: 1 / -1; }
figcaption { font-weight: 600; }
.legend { min-height: 22px; color: var(--soft); font-size: 13px; display: flex; flex-wrap: wrap; gap: 2px 16px;
          align-items: center; }
.legend i { display: inline-block; width: 18px; margin-right: 6px; vertical-align: middle; }
.legend i.ramp { width: 120px; height: 9px; border-radius: 2px; margin: 0 -6px; border: 1px solid var(--line); }
svg { width: 100%; height: auto; display: block; overflow: visible; }
svg.clip { overflow: hidden; }
svg text { font-size: 12px; fill: var(--soft); }
svg .label { fill: var(--ink); }
.grid { stroke: var(--line); }
.axis, .tick { stroke: #b9b8b3; }
polyline { fill: none; stroke-linejoin: round; }
polyline.line { stroke-width: 1.8; }
polyline.dashed { stroke-width: 1.6; stroke-dasharray: 5 3; }
polyline.faint { stroke-width: 1; opacity: 0.3; }
polygon.band { opacity: 0.16; }
path.error { fill: none; stroke: var(--ink); stroke-width: 1.2; }
svg text.value { fill: #fff; font-size: 11px; }
.pointer { stroke: #8d9096; stroke-dasharray: 2 3; }
.reading { position: absolute; top: 52px; pointer-events: none; background: #ffffffee; border: 1px solid var(--line);
           border-radius: 4px; padding: 5px 9px; font-size: 12.5px; font-variant-numeric: tabular-nums; z-index: 1; }
.reading b { font-weight: 600; margin-left: 8px; float: right; }
details { margin-top: 22px; }
summary { cursor: pointer; color: var(--soft); }
pre { background: #f5f4f0; padding: 14px 16px; overflow-x: auto; font: 12.5px/1.5 ui-monospace, Menlo, Consolas,
      monospace; border-radius: 4px; white-space: pre-wrap; }
"""

# Shows the values under the pointer: the nearest point of each series of the chart.
SCRIPT = """
for (const svg of document.querySelectorAll("svg.chart")) {
  const data = JSON.parse(svg.dataset.series), figure = svg.parentElement;
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  const box = document.createElement("div");
  box.className = "reading"; line.setAttribute("class", "pointer");
  line.setAttribute("y1", 12); line.setAttribute("y2", 258);
  const number = v => {
    for (const [unit, letter] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]])
      if (Math.abs(v) >= unit) return (v / unit).toPrecision(4) + letter;
    return v !== 0 && Math.abs(v) < 1e-3 ? v.toExponential(2) : String(+v.toPrecision(4));
  };
  svg.addEventListener("pointermove", event => {
    const frame = svg.getBoundingClientRect(), unit = frame.width / svg.viewBox.baseVal.width;
    const at = ((event.clientX - frame.left) / unit - data.left) / (data.right - data.left);
    const found = data.series.filter(s => s.at.length).map(s => [s, s.at.reduce((best, p) =>
      Math.abs(p[0] - at) < Math.abs(best[0] - at) ? p : best)]);
    if (!found.length) return;
    const x = found[0][1][0] * (data.right - data.left) + data.left;
    line.setAttribute("x1", x); line.setAttribute("x2", x); svg.append(line);
    box.replaceChildren(document.createTextNode(`${number(found[0][1][1])} ${data.x}`));
    for (const [series, point] of found.slice(0, 12)) {
      const row = document.createElement("div"), value = document.createElement("b");
      row.style.color = series.color; value.textContent = number(point[2]);
      row.append(series.name, value); box.append(row);
    }
    figure.append(box);
    const left = x * unit + 14, flipped = left + box.offsetWidth > frame.width;
    box.style.left = (flipped ? x * unit - box.offsetWidth - 14 : left) + "px";
  });
  svg.addEventListener("pointerleave", () => { line.remove(); box.remove(); });
}
"""


def points_of(run: Run, name: str) -> list[tuple[float, float | None]]:
    return [(tokens, value) for _, tokens, value in run.series(name)]


def with_background(name: str, color: str, points: list[tuple[float, float | None]]) -> list[Series]:
    """A long series as its running median over the faint raw line, a short one as it is."""
    if len(points) < 120:
        return [Series(name, color, points)]
    return [Series(name, color, points, faint=True), Series(name, color, smooth(points))]


def loss_chart(runs: list[Run]) -> Chart | None:
    series, settled = [], []
    for run, color in zip(runs, COLORS):
        training, validation = points_of(run, "lm loss"), points_of(run, "lm loss validation")
        single = len(runs) == 1
        series += with_background("training" if single else f"{run.name}, training", color, training)
        series.append(Series("validation" if single else f"{run.name}, validation", COLORS[1] if single else color,
                             validation, dots=len(validation) <= 40, dashed=not single))
        settled += [y for _, y in training[len(training) // 20:] + validation[len(validation) // 20:] if y is not None]
    # The first steps fall from ln V; shown whole they would flatten all that follows.
    return line_chart("Loss", "tokens", "nats per token", [s for s in series if s.points],
                      bounds=(None, max(settled, default=None)))


def metric_chart(runs: list[Run], name: str, title: str, unit: str, **options) -> Chart | None:
    series = []
    for run, color in zip(runs, COLORS):
        points = points_of(run, name)
        if points:
            series += [Series(run.name, color, points)] if name == "learning-rate" else \
                with_background(run.name, color, points)
    return line_chart(title, "tokens", unit, series, **options)


def mean_imbalance_chart(runs: list[Run]) -> Chart | None:
    series = []
    for run, color in zip(runs, COLORS):
        layers = [[y for _, y in points_of(run, f"moe/{layer}/load_imbalance")] for layer in run.layers()]
        if layers:
            tokens = [x for x, _ in points_of(run, f"moe/{run.layers()[0]}/load_imbalance")]
            means = [None if None in values else sum(values) / len(values) for values in zip(*layers)]
            series += with_background(run.name, color, list(zip(tokens, means)))
    return line_chart("Load imbalance, mean over layers", "tokens", "busiest / mean expert", series, log=True)


def common_charts(runs: list[Run]) -> str:
    return charts_html([
        loss_chart(runs),
        metric_chart(runs, "learning-rate", "Learning rate", "learning rate", bounds=(0, None)),
        metric_chart(runs, "grad-norm", "Gradient norm, before clipping", "norm", log=True),
        metric_chart(runs, "tokens/sec", "Speed", "tokens per second, all ranks", bounds=(0, None)),
        metric_chart(runs, "load_balancing_loss", "Balance loss, mean over layers", "loss (1 = even)"),
        mean_imbalance_chart(runs),
    ])


def layer_chart(run: Run, metric: str, title: str, unit: str, log: bool = False) -> Chart | None:
    layers = run.layers()
    colors = [mix(SHALLOW, DEEP, index / max(1, len(layers) - 1)) for index in range(len(layers))]
    names = [layer.replace("layer_", "layer ") for layer in layers]
    series = []
    for layer, name, color in zip(layers, names, colors):
        series.append(Series(name, color, smooth(points_of(run, f"moe/{layer}/{metric}"))))
    scale = "" if len(layers) <= 6 else ramp_legend(colors, names[0], names[-1])
    return line_chart(title, "tokens", unit, series, scale=scale, log=log)


def expert_charts(run: Run) -> str:
    if not run.layers():
        return ""
    charts = [
        layer_chart(run, "load_imbalance", "Load imbalance by layer", "busiest / mean expert", log=True),
        layer_chart(run, "entropy", "Router entropy by layer", "nats"),
    ]
    if any(value for layer in run.layers() for _, _, value in run.series(f"moe/{layer}/dropped_fraction")):
        charts.append(layer_chart(run, "dropped_fraction", "Dropped choices by layer", "share of all choices"))
    step, counts = run.expert_counts()
    if counts:
        rows = [(layer.replace("layer_", "layer "), tokens) for layer, tokens in counts]
        charts.append(heat_map(f"Tokens of each expert, step {step}", rows, "expert"))
    return charts_html(charts)


def duration(seconds: float) -> str:
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds // 60 % 60:02d} m"


def length_of(train: dict) -> str:
    """Of a whole run; how many steps its epochs make, the config does not say."""
    epochs = train.get("num_train_epochs", 0)
    if epochs:
        return "towards 1 epoch" if epochs == 1 else f"towards {epochs} epochs"
    return f'of {train.get("train_iters", "?")}'


def facts_of(run: Run) -> dict[str, str]:
    def number(value: float | None, form: str = ".4f") -> str:
        return "" if value is None else format(value, form)

    def count(value: float | None) -> str:
        return "" if value is None else short(value)

    def training_loss() -> str:
        values = [value for _, _, value in run.series("lm loss")]
        finite = number(run.last("lm loss"))
        if not values or values[-1] is not None:
            return finite
        return f"not finite; last {finite}" if finite else "not finite"

    model, train, parallel = (run.config.get(section, {}) for section in ("model", "train", "parallel"))
    parameters = run.parameters() or (None, None)
    validation = [value for _, _, value in run.series("lm loss validation") if value is not None]
    last = run.records[-1] if run.records else {}
    experts = ""
    if model.get("n_routed_experts"):
        experts = f'{model["num_experts_per_tok"]} of {model["n_routed_experts"]} + {model["n_shared_experts"]} shared'
    speeds = [value for _, _, value in run.series("tokens/sec") if value is not None]
    checkpoints = run.checkpoints()
    saved = [str(step) for step, _ in checkpoints]
    return {
        "parameters": count(parameters[0]),
        "activated for a token": count(parameters[1]),
        "experts": experts,
        "steps": f'{last.get("step", 0)} {length_of(train)}',
        "tokens": count(last.get("consumed-tokens")),
        "training loss (nats)": training_loss(),
        "steps skipped": count(last.get("skipped-iterations") or None),
        "validation loss (nats)": number(run.last("lm loss validation")),
        "best validation loss": number(min(validation)) if validation else "",
        "validation perplexity": number(run.last("lm loss validation ppl"), ".3f"),
        "validation bits per byte": number(run.last("lm loss validation bpb")),
        "time in steps": duration(run.training_seconds()),
        "tokens/s, median": count(median(speeds)) if speeds else "",
        "expert-parallel ranks": str(parallel.get("expert", "")),
        "precision": str(train.get("precision", "")),
        "checkpoints at step": ", ".join(saved) if len(saved) < 5 else f"{len(saved)}, {saved[0]} to {saved[-1]}",
        "checkpoint size": f"{short(checkpoints[-1][1])}B" if checkpoints else "",
    }


def html_table(rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_page(title: str, subtitle: str, body: str) -> str:
    """A page that needs no other file; `body` is HTML."""
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
            f'<h1>{escape(title)}</h1><p class="sub">{escape(subtitle)}</p>{body}<script>{SCRIPT}</script></body></html>\n')


def facts_table(runs: list[Run]) -> str:
    facts = [facts_of(run) for run in runs]
    names = [name for name in facts[0] if any(fact[name] for fact in facts)]
    if len(runs) == 1:
        items = (f"<div><dt>{name}</dt><dd>{escape(facts[0][name])}</dd></div>" for name in names)
        return f'<dl>{"".join(items)}</dl>'
    head = "".join(f"<th>{escape(run.name)}</th>" for run in runs)
    rows = ("<tr><td>" + "</td><td>".join([name] + [escape(fact[name]) for fact in facts]) + "</td></tr>"
            for name in names)
    return f'<table><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def run_section(run: Run, title: str) -> str:
    parts = [f"<h2>{escape(title)}</h2>", expert_charts(run)]
    if run.sample:
        parts.append(f"<details open><summary>Sample</summary><pre>{escape(run.sample)}</pre></details>")
    if run.config_text:
        parts.append(f"<details><summary>Config</summary><pre>{escape(run.config_text)}</pre></details>")
    return "".join(parts)


def page_of(runs: list[Run]) -> str:
    title = ", ".join(run.name for run in runs)
    places = ", ".join(str(run.directory) for run in runs)
    sections = "".join(run_section(run, run.name if len(runs) > 1 else "Experts and text") for run in runs)
    return html_page(title, places, f"{facts_table(runs)}{common_charts(runs)}{sections}")


def write_page(output: Path, page: str) -> None:
    """Makes the directory where it is missing."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        sys.exit(f"error: the report cannot be written: {error}")
    print(f"report: {output}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR")
    parser.add_argument("--output", type=Path, help="default: report.html in the first run directory")
    arguments = parser.parse_args()
    if len(arguments.runs) > len(COLORS):
        parser.error(f"at most {len(COLORS)} runs fit into one report")
    for directory in arguments.runs:
        if not (directory / "metrics.jsonl").is_file():
            parser.error(f"{directory} holds no metrics.jsonl: it is no run directory, or the run has not begun")
    output = arguments.output or arguments.runs[0] / "report.html"
    write_page(output, page_of(read_runs(arguments.runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
