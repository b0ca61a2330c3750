"""scripts/report.py on run directories made up here."""
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import report_chart  # noqa: E402
import report_run  # noqa: E402

CONFIG = """run_dir: "runs/small"
model:
  vocab_size: 100
  hidden_size: 8
  num_hidden_layers: 3
  num_attention_heads: 2
  num_key_value_heads: 0
  head_dim: 0
  intermediate_size: 20
  moe_intermediate_size: 6
  n_shared_experts: 1
  first_k_dense_replace: 1
  moe_layer_freq: 1
  n_routed_experts: 4
  num_experts_per_tok: 2
  tie_word_embeddings: false
data:
  train: ["a b", "c"]
train:
  train_iters: 20
  precision: "fp32"
"""


def write_run(directory: Path, steps: int = 20, routed: bool = True, **extra) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(CONFIG)
    with (directory / "metrics.jsonl").open("w") as lines:
        for step in range(1, steps + 1):
            record = {"step": step, "wall_time": 1e9 + step, "consumed-tokens": step * 1000, "lm loss": 8.0 / step,
                      "learning-rate": 1e-3, "grad-norm": 1.0, "iteration-time": 0.5, "tokens/sec": 2000.0}
            if routed:
                for layer in ("01", "02"):
                    record[f"moe/layer_{layer}/load_imbalance"] = 1.5
                    record[f"moe/layer_{layer}/entropy"] = 1.2
                    record[f"moe/layer_{layer}/tokens_per_expert"] = [step, 2, 3, 0]
            lines.write(json.dumps({**record, **extra}) + "\n")
        lines.write(json.dumps({"step": steps, "consumed-tokens": steps * 1000, "lm loss validation": 2.0,
                                "lm loss validation ppl": 7.389, "lm loss validation bpb": 0.75}) + "\n")
    return directory


def make_report(*arguments) -> str:
    command = [sys.executable, str(SCRIPTS / "report.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Balanced(HTMLParser):
    """Fails if a tag is closed that is not the one open."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read_page(path: Path) -> tuple[str, list[str]]:
    html = path.read_text()
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    return html, parser.text


def test_report_of_a_run_is_one_file_without_the_network(tmp_path):
    run = write_run(tmp_path / "small")
    (run / "sample.txt").write_text("if a < b && c:\n")
    for name in ("step-0000010", "step-0000020", "step-0000020.tmp-1", "step-0000005.bad"):
        (run / "checkpoints" / name).mkdir(parents=True)
        (run / "checkpoints" / name / "weights").write_bytes(bytes(1500))
    make_report(run)
    html, text = read_page(run / "report.html")
    assert not re.search(r'(src|href)=|@import|url\(', html)
    assert html.count("http") == html.count("http://www.w3.org/2000/svg")
    for title in ("Loss", "Learning rate", "Gradient norm, before clipping", "Speed", "Load imbalance by layer",
                  "Router entropy by layer", "Tokens of each expert, step 20", "if a < b && c:\n"):
        assert title in text, title
    for fact in ("2.0000", "7.389", "0.7500", "20 of 20", "10 s", "20k", "2 of 4 + 1 shared", "10, 20",
                 "1.5kB"):
        assert fact in text, fact


def test_runs_overlay_in_one_chart_with_a_legend(tmp_path):
    first, second = write_run(tmp_path / "one"), write_run(tmp_path / "two", routed=False)
    output = tmp_path / "both.html"
    make_report(first, second, "--output", output)
    html, text = read_page(output)
    for name in ("one, training", "one, validation", "two, training", "two, validation"):
        assert name in text, name
    assert "Load imbalance by layer" in text
    loss_chart = html.split("<figcaption>Loss</figcaption>")[1].split("</figure>")[0]
    assert loss_chart.count("<polyline") == 4


@pytest.mark.parametrize("value", [None, 0.0, -3.0, 1e-30, 1e30])
def test_report_takes_any_number(tmp_path, value):
    run = write_run(tmp_path / "odd", **{"grad-norm": value, "lm loss": value, "tokens/sec": value})
    make_report(run)
    html, _ = read_page(run / "report.html")
    assert "nan" not in html.split("<script>")[0].lower().replace("nanosecond", "")


def test_report_takes_a_run_that_has_just_begun(tmp_path):
    run = tmp_path / "new"
    run.mkdir()
    (run / "metrics.jsonl").write_text('{"step": 1, "consumed-tokens": 10, "lm loss": 9.1}\n{"step": 2, "lm lo')
    make_report(run)
    read_page(run / "report.html")
    (run / "metrics.jsonl").write_text("")
    make_report(run)
    read_page(run / "report.html")


def test_runs_of_one_name_are_told_apart(tmp_path):
    runs = [write_run(tmp_path / name) for name in ("a/seed-1", "b/seed-1", "b/seed-2")]
    make_report(*runs, "--output", tmp_path / "deep/er/page.html")
    _, text = read_page(tmp_path / "deep/er/page.html")
    for name in ("a/seed-1, training", "b/seed-1, training", "seed-2, training"):
        assert name in text, name


def test_report_that_cannot_be_written_is_an_error(tmp_path):
    run = write_run(tmp_path / "run")
    done = subprocess.run([sys.executable, str(SCRIPTS / "report.py"), str(run), "--output", str(tmp_path)],
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the report cannot be written: ") and str(tmp_path) in done.stderr


@pytest.mark.parametrize("epochs, expected", [(1, "20 towards 1 epoch"), (3, "20 towards 3 epochs")])
def test_steps_of_a_run_over_epochs_are_not_counted_against_train_iters(tmp_path, epochs, expected):
    run = write_run(tmp_path / "epochs")
    (run / "config.yaml").write_text(CONFIG.replace("train_iters: 20", f"train_iters: 1000\n  num_train_epochs: {epochs}"))
    make_report(run)
    _, text = read_page(run / "report.html")
    assert expected in text


def test_report_refuses_what_is_no_run(tmp_path):
    done = subprocess.run([sys.executable, str(SCRIPTS / "report.py"), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds no metrics.jsonl" in done.stderr


def test_config_is_read_as_the_program_prints_it():
    config = report_run.read_config('run_dir: "a\\x0ab"\ntrain:\n  lr: 1e-06\n  flag: true\n  list: [1, 2]\n'
                                    'data:\n  chat:\n    template: "x: y"\n  seed: 3\n')
    assert config["run_dir"] == "a\nb"
    assert config["train"] == {"lr": 1e-06, "flag": True, "list": [1, 2]}
    assert config["data"] == {"chat": {"template": "x: y"}, "seed": 3}


def test_parameters_are_counted_by_hand():
    model = report_run.read_config(CONFIG)["model"]
    embedding_and_head = 2 * 100 * 8
    attention_and_norms = 3 * (4 * 8 * 8 + 2 * 8) + 8
    dense, expert, router = 3 * 8 * 20, 3 * 8 * 6, 4 * 8
    common = embedding_and_head + attention_and_norms + dense + 2 * (router + expert)
    assert report_run.count_parameters(model) == (common + 2 * 4 * expert, common + 2 * 2 * expert)
    common -= 2 * router
    assert report_run.count_parameters(model | {"moe_router_type": "hash"}) == (common + 2 * 4 * expert,
                                                                                common + 2 * 2 * expert)


def test_ticks_are_round_and_inside():
    assert report_chart.nice_ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert report_chart.nice_ticks(2.05, 3.4, 5) == pytest.approx([2.2, 2.4, 2.6, 2.8, 3.0, 3.2, 3.4])
    assert report_chart.log_ticks(0.3, 30) == [0.5, 1, 2, 5, 10, 20]
    assert report_chart.log_ticks(1.1, 1.9) == pytest.approx([1.2, 1.4, 1.6, 1.8])


def test_tick_labels_have_the_digits_that_tell_them_apart():
    assert report_chart.tick_labels([2.07941, 2.07942, 2.07943]) == ["2.07941", "2.07942", "2.07943"]
    assert report_chart.tick_labels([1_000_100, 1_000_200]) == ["1.0001M", "1.0002M"]
    assert report_chart.tick_labels([0.001, 0.5, 2_000]) == ["1e-3", "0.5", "2k"]
    assert report_chart.tick_labels([]) == []


def test_smoothing_ignores_spikes_and_does_not_lag():
    ramp = [(float(x), float(x)) for x in range(300)]
    assert report_chart.smooth(ramp) == ramp
    spiked = [(x, 1000.0 if x == 150 else y) for x, y in ramp]
    assert max(y for _, y in report_chart.smooth(spiked)) < 300


def test_thinning_keeps_extremes():
    points = [(float(x), 50.0 if x == 777 else math.sin(x)) for x in range(5000)]
    thin = report_chart.thin_out(points, keep_extremes=True)
    assert len(thin) <= 2 * report_chart.MAX_POINTS
    assert (777.0, 50.0) in thin
    assert thin == sorted(thin)


def test_missing_values_break_the_line():
    x_axis, y_axis = report_chart.Axis("x", 0, 4), report_chart.Axis("y", 0, 4)
    pieces = report_chart.path_of([(0, 1), (1, 1), (2, None), (3, 1), (4, 1)], x_axis, y_axis)
    assert [len(piece) for piece in pieces] == [2, 2]


def test_load_colours_meet_at_an_even_share():
    assert report_chart.load_color(1.0) == report_chart.EVEN
    assert report_chart.load_color(0.0) == report_chart.UNDER
    assert report_chart.load_color(3.0) == report_chart.load_color(9.0) == report_chart.OVER


def test_band_spans_the_seeds_and_its_mean():
    series = report_chart.banded("a", "#000000", [{1: 1.0, 2: 2.0, 3: 5.0}, {1: 3.0, 2: 2.0}])
    assert series.points == [(1, 2.0), (2, 2.0)]
    assert series.band == [(1, 1.0, 3.0), (2, 2.0, 2.0)]
    assert report_chart.banded("a", "#000000", []) is None
