"""The report of a suite: report.html, its charts as SVG files, the table as results.md, every number as results.json.
Used by ablate.py."""
import json
import math
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ablation_jobs import Job
from analysis_charts import Analyzed, disabled_chart, divergence_chart, experts_html, fewer_chart
from ablation_statistics import Estimate, estimate, paired_difference
from ablation_suite import MEASURES, TOGETHER, Suite, Variant, differences
from chart_file import as_file
from report import COLORS, html_page, html_table
from report_chart import Bar, Chart, Series, banded, bar_chart, charts_html, line_chart, short
from report_run import Run

WINDOW = 0.05  # share of a run over which curves are averaged


@dataclass
class Outcome:
    """What there is of a variant: the runs of its seeds so far, and the losses of those that are evaluated."""

    variant: Variant
    color: str
    dashed: bool                        # the second variant of its colour
    runs: dict[int, Run]                # seed -> trained at least in part
    losses: dict[str, dict[int, float]]  # set -> seed -> nats per token; TOGETHER: the mean over the sets
    diverged: list[str]                  # evaluations that are left out, their loss being no number
    finished: int
    analyses: list[dict]                 # of the runs whose experts were analyzed

    def loss(self, name: str) -> Estimate | None:
        return estimate(list(self.losses[name].values()))


def outcomes_of(suite: Suite, jobs: list[Job]) -> list[Outcome]:
    outcomes = []
    for index, variant in enumerate(suite.variants):
        own = [job for job in jobs if job.variant is variant]
        answers = [(name, job, said["loss"]) for name, prefix in suite.evaluate.items() for job in own
                   if (said := job.evaluation(name, prefix)) and job.trained()]
        losses = {name: {job.seed: loss for asked, job, loss in answers if asked == name and loss is not None}
                  for name in suite.evaluate}
        complete = set.intersection(*(set(by_seed) for by_seed in losses.values()))
        if len(losses) > 1:
            losses[TOGETHER] = {seed: sum(losses[name][seed] for name in suite.evaluate) / len(suite.evaluate)
                                for seed in sorted(complete)}
        outcomes.append(Outcome(variant, COLORS[index % len(COLORS)], index // len(COLORS) % 2 == 1,
                                {job.seed: Run(job.directory) for job in own if job.begun()}, losses,
                                [f"{job.name()}, {name}" for name, job, loss in answers if loss is None],
                                sum(job.finished() for job in own),
                                [said for job in own if job.trained() for question in job.analyses
                                 if (said := job.analysis(question)) and said["unchanged"]["loss"] is not None]))
    return outcomes


def sets_of(suite: Suite) -> list[str]:
    return [*suite.evaluate, *([TOGETHER] if len(suite.evaluate) > 1 else [])]


def comparison_rows(suite: Suite) -> list[list[str]]:
    apart = differences(suite)
    rows = [["variant", *MEASURES.values()]]
    for variant in suite.variants:
        cells = []
        for name in MEASURES:
            meant = " (meant)" if name in suite.differs.get(variant.name, []) else ""
            cells.append(f"{short(variant.measure(name))} {apart[variant.name, name]:+.1%}{meant}")
        rows.append([variant.name, *cells])
    return rows


def comparison_table(suite: Suite) -> str:
    """In words, for the terminal: what every variant costs, against the baseline."""
    rows = comparison_rows(suite)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([f"{suite.name}: {suite.title}", *("  " + line for line in lines),
                      f"  tolerance {suite.tolerance:.1%}; {suite.tokens} tokens, {suite.steps} steps, "
                      f"seeds {', '.join(map(str, suite.seeds))}"])


def in_words(value: Estimate | None, sign: str = "") -> str:
    if value is None:
        return ""
    return f"{value.mean:{sign}.4f}" + ("" if value.error is None else f" ± {value.error:.4f}")


def result_rows(suite: Suite, outcomes: list[Outcome]) -> list[list[str]]:
    """Loss of every set with its standard error, then the paired difference to the baseline with its 95 % interval."""
    sets = sets_of(suite)
    base = next(outcome for outcome in outcomes if outcome.variant is suite.baseline)
    rows = [["variant", "seeds", *sets, f"minus {suite.baseline.name}, {sets[-1]}", "95 % interval"]]
    for outcome in outcomes:
        cells = [outcome.variant.name, str(outcome.finished), *(in_words(outcome.loss(name)) for name in sets)]
        difference = paired_difference(outcome.losses[sets[-1]], base.losses[sets[-1]])
        if outcome is base or difference is None:
            rows.append([*cells, "", ""])
            continue
        interval = difference.interval()
        span = f"{interval[0]:+.4f} to {interval[1]:+.4f}" if interval else "one seed cannot tell"
        rows.append([*cells, in_words(difference, "+"), span])
    return rows


def markdown(rows: list[list[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def left_out(outcomes: list[Outcome]) -> str:
    """A sentence about the evaluations that are in no number; empty if there are none."""
    named = "; ".join(name for outcome in outcomes for name in outcome.diverged)
    return f"Left out, as the loss is not finite: {named}." if named else ""


def curve_of(run: Run, metric: str) -> dict[float, float]:
    return {tokens: value for _, tokens, value in run.series(metric) if value is not None}


def smoothed(outcome: Outcome, curves: list[dict[float, float]]) -> Series | None:
    return banded(outcome.variant.name, outcome.color, curves, WINDOW, dashed=outcome.dashed)


def loss_chart(outcomes: list[Outcome]) -> Chart | None:
    drawn = [smoothed(outcome, [curve_of(run, "lm loss") for run in outcome.runs.values()]) for outcome in outcomes]
    drawn = [series for series in drawn if series]
    settled = [y for series in drawn for _, y in series.points[len(series.points) // 10:]]
    return line_chart("Training loss, mean and range over seeds", "tokens", "nats per token", drawn,
                      bounds=(None, max(settled, default=None)))


def difference_chart(suite: Suite, outcomes: list[Outcome]) -> Chart | None:
    base = next(outcome for outcome in outcomes if outcome.variant is suite.baseline)
    drawn = []
    for outcome in outcomes:
        curves = []
        for seed in outcome.runs.keys() & base.runs.keys():
            own, theirs = curve_of(outcome.runs[seed], "lm loss"), curve_of(base.runs[seed], "lm loss")
            curves.append({x: own[x] - theirs[x] for x in own.keys() & theirs.keys()})
        drawn.append(smoothed(outcome, curves))
    drawn = [series for series in drawn if series]
    late = [y for series in drawn for _, *edges in (series.band or series.points)[len(series.points) // 10:] for y in edges]
    return line_chart(f"Training loss minus that of {suite.baseline.name}, same seed and data", "tokens", "nats per token",
                      drawn, bounds=(min(late, default=None), max(late, default=None)))


def bars(suite: Suite, outcomes: list[Outcome]) -> Chart | None:
    """Like Figure 3 of the paper, where scores are divided by the best: here e^-loss, the geometric mean over tokens of
    the right one's probability."""
    groups = []
    for name in sets_of(suite):
        known = [(outcome, outcome.loss(name)) for outcome in outcomes if outcome.loss(name)]
        best = min((loss.mean for _, loss in known), default=0)
        group = []
        for outcome, loss in known:
            reach = loss.error or 0
            error = (math.exp(best - loss.mean - reach), math.exp(best - loss.mean + reach)) if reach else None
            group.append(Bar(outcome.variant.name, outcome.color, math.exp(best - loss.mean), error))
        if group:
            groups.append((name, group))
    lowest = min((bar.value for _, group in groups for bar in group), default=None)
    if lowest is None:
        return None
    low = max(0.0, math.floor((lowest - 0.5 * (1 - lowest) - 0.005) * 50) / 50)
    high = max(bar.error[1] if bar.error else bar.value for _, group in groups for bar in group)
    return bar_chart("Probability of the right token, geometric mean, best = 1", f"over the best (axis from {low:g})", groups,
                     low, high + 0.05 * (high - low))


def imbalance_chart(outcomes: list[Outcome]) -> Chart | None:
    drawn = []
    for outcome in outcomes:
        curves = []
        for run in outcome.runs.values():
            layers = [curve_of(run, f"moe/{layer}/load_imbalance") for layer in run.layers()]
            if layers:
                curves.append({x: sum(layer[x] for layer in layers) / len(layers) for x in layers[0]})
        drawn.append(smoothed(outcome, curves))
    return line_chart("Load imbalance, mean over layers", "tokens", "busiest / mean expert",
                      [series for series in drawn if series], log=True)


def load_chart(outcomes: list[Outcome]) -> Chart | None:
    """Experts from idle to busy at the end of training, as a share of the experts, so that any number compares."""
    drawn = []
    for outcome in outcomes:
        sorted_loads = []
        for run in outcome.runs.values():
            for _, counts in run.expert_counts()[1]:
                mean = sum(counts) / len(counts)
                sorted_loads.append([count / mean for count in sorted(counts)])
        if sorted_loads:
            experts = len(sorted_loads[0])
            points = [((rank + 0.5) / experts, sum(load[rank] for load in sorted_loads) / len(sorted_loads))
                      for rank in range(experts)]
            drawn.append(Series(outcome.variant.name, outcome.color, points, dashed=outcome.dashed))
    return line_chart("Load of the experts, sorted, in the newest record", "share of the experts, from the idlest",
                      "tokens over an even share", drawn, bounds=(0, None))


def plan_rows(suite: Suite) -> list[list[str]]:
    rows = [["variant", "all parameters", "activated", "shared experts", "routed experts", "router", "FLOPs a token",
             "what it says"]]
    for variant in suite.variants:
        parameters = variant.plan["parameters"]
        apart = {key: value for key, value in variant.config.items() if suite.baseline.config.get(key) != value}
        said = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in apart.items())
        rows.append([variant.name, *(short(parameters[name]) for name in ("total", "activated", "shared", "routed", "router")),
                     short(variant.measure("flops")), said or "the baseline"])
    return rows


def analyzed(outcomes: list[Outcome]) -> list[Analyzed]:
    return [Analyzed(outcome.variant.name, outcome.color, outcome.analyses) for outcome in outcomes if outcome.analyses]


def analyses_charts(outcomes: list[Outcome]) -> dict[str, Chart | None]:
    """Figures 4 and 5 of the paper, and how data sets differ, for the variants that the suite has analyzed."""
    models = analyzed(outcomes)
    if not models:
        return {}
    levels = []
    for model in models:
        # What figure 5 draws across: the conventional models, which have no experts to spare.
        if not model.many_chosen():
            losses = [said["unchanged"]["loss"] for said in model.found]
            levels.append((f"{model.name}, as trained", model.color, sum(losses) / len(losses)))
    return {"disabled": disabled_chart(models), "fewer": fewer_chart([model for model in models if model.many_chosen()], levels),
            "divergence": divergence_chart(models)}


def analyses_section(outcomes: list[Outcome], charts: dict[str, Chart | None]) -> str:
    models = analyzed(outcomes)
    if not models:
        return ""
    return (f"<h2>What the experts are for</h2><p>Losses are means over the sets.</p>"
            f"{experts_html(models, list(charts.values()))}")


def write_report(suite: Suite, jobs: list[Job], runs: Path) -> Path:
    directory = runs / suite.name
    directory.mkdir(parents=True, exist_ok=True)
    outcomes = outcomes_of(suite, jobs)
    results = result_rows(suite, outcomes)
    finished = sum(outcome.finished for outcome in outcomes)
    charts = {"bars": bars(suite, outcomes), "loss": loss_chart(outcomes), "difference": difference_chart(suite, outcomes),
              "imbalance": imbalance_chart(outcomes), "load": load_chart(outcomes)}
    analyses = analyses_charts(outcomes)
    subtitle = (f"suite {suite.name}: {finished} of {len(jobs)} runs finished, {short(suite.tokens)} tokens each, "
                f"seeds {', '.join(map(str, suite.seeds))}")
    body = (f"{html_table(results)}<p>Loss on whole validation files in nats per token: mean over seeds ± standard error. "
            f"Differences pair runs of the same seed, which read the same data in the same order; intervals by Student's "
            f'<i>t</i>. {escape(TOGETHER)}: the mean of the sets. {escape(left_out(outcomes))}</p>{charts_html(list(charts.values()))}'
            f"{analyses_section(outcomes, analyses)}<h2>What each variant costs</h2>{html_table(plan_rows(suite))}"
            f"<h2>What is equal</h2>{html_table(comparison_rows(suite))}")
    report = directory / "report.html"
    report.write_text(html_page(suite.title, subtitle, body), encoding="utf-8")
    for name, chart in (charts | analyses).items():
        if chart:
            (directory / f"{name}.svg").write_text(as_file(chart), encoding="utf-8")
    (directory / "results.md").write_text("\n".join([markdown(results), left_out(outcomes)]).rstrip() + "\n", encoding="utf-8")
    numbers = {outcome.variant.name: {"key": outcome.variant.key(), "losses": outcome.losses} for outcome in outcomes}
    (directory / "results.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    return report
