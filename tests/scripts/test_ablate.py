"""scripts/ablate.py: suites read and refused, statistics against values by hand, real runs of a few steps."""
import errno
import fcntl
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))

import ablation_jobs  # noqa: E402
import ablation_report  # noqa: E402
import ablation_statistics  # noqa: E402
import ablation_suite  # noqa: E402

BASE = """
model:
  vocab_size: 320
  hidden_size: 32
  num_hidden_layers: 2
  num_attention_heads: 4
  intermediate_size: 64
  moe_intermediate_size: 64
  n_routed_experts: 8
  num_experts_per_tok: 2
  moe_aux_loss_coeff: 0.01
  initializer_range: 0.05
data:
  train: [{data}/train]
train:
  global_batch_size: 4
  micro_batch_size: 4
  seq_length: 32
optimizer:
  lr: 3.0e-3
checkpoint:
  save_interval: 5
logger:
  log_interval: 1
"""

SUITE = """
title: two of a kind
base: base.yaml
tokens: 1280   # 10 steps
seeds: [1, 2]
tolerance: 2%
evaluate:
  own: {data}/train
  new: {data}/valid
analyze: [shared]
analyze_tokens: 256
variants:
  plain:
  shared:
    model.n_shared_experts: 1
    model.n_routed_experts: 7
    model.num_experts_per_tok: 1
"""

SAME_BY_OTHER_NAME = """
base: base.yaml
tokens: 1280
seeds: [1]
evaluate:
  own: {data}/train
variants:
  another name:
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("corpus")
    subprocess.run([sys.executable, ROOT / "data/prepare.py", "--output", directory, "--bytes", "--valid-fraction", "0.3",
                    "--text", *sorted((ROOT / "docs").glob("*.md"))], check=True, capture_output=True)
    return directory


def write_suite(directory: Path, data: Path, text: str = SUITE, name: str = "suite") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "base.yaml").write_text(BASE.format(data=data))
    path = directory / f"{name}.yaml"
    path.write_text(text.format(data=data), errors="surrogateescape")
    return path


def command(*arguments) -> list[str]:
    return [sys.executable, str(SCRIPTS / "ablate.py"), *map(str, arguments)]


def ablate(*arguments, code: int = 0, **options) -> subprocess.CompletedProcess:
    job = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300, **options)
    assert job.returncode == code, job.stdout + job.stderr
    return job


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A suite run from begin to end, two runs at once."""
    directory = tmp_path_factory.mktemp("finished")
    suite = write_suite(directory, data)
    return suite, directory / "runs", ablate(suite, "--runs", directory / "runs", "--jobs", 2)


def run_directories(runs: Path) -> list[Path]:
    return sorted(runs.glob("*/seed-*"))


def evaluation_file(run: Path, name: str) -> Path:
    file, = run.glob(f"evaluation/{name}-*.json")
    return file


def test_every_variant_and_seed_is_trained_evaluated_and_reported(finished):
    suite, runs, job = finished
    directories = run_directories(runs)
    assert len(directories) == 4
    for directory in directories:
        assert (directory / "checkpoints/step-0000010/manifest.json").exists()
        assert {path.stem.split("-")[0] for path in (directory / "evaluation").iterdir()} == {"own", "new"}
    assert sum(len(list(directory.glob("analysis/*.json"))) for directory in directories) == 2
    results = json.loads((runs / "suite/results.json").read_text())
    for name, variant in results.items():
        for seed in ("1", "2"):
            sets = {kind: json.loads(evaluation_file(runs / variant["key"] / f"seed-{seed}", kind).read_text())["loss"]
                    for kind in ("own", "new")}
            assert variant["losses"]["together"][seed] == pytest.approx(sum(sets.values()) / 2)
    page = (runs / "suite/report.html").read_text()
    for words in ("two of a kind", "plain", "shared", "Training loss", "Load imbalance", "95 % interval",
                  "Probability of the right token, geometric mean", "top routed experts disabled", "4 of 4 runs finished"):
        assert words in page, words
    assert "http" not in page.replace("http://www.w3.org/", "")
    assert "plain" in job.stdout and "+0.0%" in job.stdout


def test_charts_are_files_of_their_own_with_title_and_legend(finished):
    _, runs, _ = finished
    charts = {path.stem: xml.etree.ElementTree.parse(path) for path in (runs / "suite").glob("*.svg")}
    assert charts.keys() == {"bars", "loss", "difference", "imbalance", "load", "disabled", "divergence"}
    for name in ("bars", "loss", "difference", "imbalance", "load"):
        words = [element.text for element in charts[name].iter("{http://www.w3.org/2000/svg}text")]
        assert "plain" in words and "shared" in words, name
    assert "var(" not in (runs / "suite/loss.svg").read_text()


def test_what_is_finished_is_never_trained_again_also_in_another_suite(finished, data):
    suite, runs, _ = finished
    before = {path: path.stat().st_mtime_ns for directory in run_directories(runs) for path in directory.rglob("*")
              if path.is_file()}
    other = write_suite(suite.parent, data, SAME_BY_OTHER_NAME, "other")
    job = ablate(suite, other, "--runs", runs)
    assert "4 runs, 4 of them finished before" in job.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(run_directories(runs)) == 4
    assert (runs / "other/report.html").exists()


def test_report_only_reports_what_there_is(finished, tmp_path, data):
    suite, runs, _ = finished
    copy = tmp_path / "runs"
    shutil.copytree(runs, copy)
    shutil.rmtree(next(copy.glob("*/seed-2")))
    ablate(suite, "--runs", copy, "--report-only")
    assert "3 of 4 runs finished" in (copy / "suite/report.html").read_text()
    ablate(suite, "--runs", tmp_path / "none", "--report-only")
    assert "0 of 4 runs finished" in (tmp_path / "none/suite/report.html").read_text()


def test_a_set_that_nobody_was_evaluated_on_yet_is_left_out(finished, tmp_path):
    suite, runs, _ = finished
    copy = tmp_path / "runs"
    shutil.copytree(runs, copy)
    for evaluation in copy.glob("*/seed-*/evaluation/new-*.json"):
        evaluation.unlink()
    ablate(suite, "--runs", copy, "--report-only")
    bars = (copy / "suite/bars.svg").read_text()
    assert ">own<" in bars and ">new<" not in bars


def test_a_run_whose_loss_is_not_finite_is_left_out_by_name(finished, tmp_path):
    suite, runs, _ = finished
    copy = tmp_path / "runs"
    shutil.copytree(runs, copy)
    key = json.loads((runs / "suite/results.json").read_text())["shared"]["key"]
    run = copy / key / "seed-2"
    analysis, = run.glob("analysis/*.json")
    for path, said in [(evaluation_file(run, "own"), lambda answer: answer), (analysis, lambda answer: answer["unchanged"])]:
        answer = json.loads(path.read_text())
        said(answer)["loss"] = None
        path.write_text(json.dumps(answer))
    ablate(suite, "--runs", copy, "--report-only")
    losses = json.loads((copy / "suite/results.json").read_text())["shared"]["losses"]
    assert {name: list(by_seed) for name, by_seed in losses.items()} == {"own": ["1"], "new": ["1", "2"], "together": ["1"]}
    for name in ("report.html", "results.md"):
        assert "Left out, as the loss is not finite: shared, seed 2, own." in (copy / "suite" / name).read_text()
    assert "Left out" not in (runs / "suite/results.md").read_text()


def test_a_run_is_busy_while_its_lock_is_held(data, tmp_path, monkeypatch):
    suite = ablation_suite.load_suite(write_suite(tmp_path, data))
    job = ablation_jobs.jobs_of(suite, tmp_path / "runs")[0]
    assert not job.busy()
    job.directory.mkdir(parents=True)
    lock_file = job.directory / "lock"
    lock_file.touch()
    flock = fcntl.flock

    def flock_of_nfs(file, how):
        if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "an exclusive lock of a file that is open for reading")
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", flock_of_nfs)
    assert not job.busy()
    with open(lock_file, "r+b") as lock:
        flock(lock, fcntl.LOCK_EX)
        assert job.busy()


def test_every_suite_gets_the_analysis_that_it_asks_for(data, tmp_path):
    one_set = SAME_BY_OTHER_NAME + "analyze: [another name]\nanalyze_tokens: 256\n"
    two_sets = one_set.replace("variants:", "  new: {data}/valid\nvariants:")
    suites = [write_suite(tmp_path, data, one_set, "one"), write_suite(tmp_path, data, two_sets, "two")]
    base = tmp_path / "base.yaml"
    base.write_text(base.read_text().replace("  num_experts_per_tok: 2\n", ""))

    def asked() -> list[tuple[str, int]]:
        found = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/seed-1/analysis/*.json")]
        return sorted(("+".join(one["name"] for one in said["sets"]), said["sets"][0]["tokens"]) for said in found)

    ablate(*suites, "--tokens", 128, "--runs", tmp_path / "runs")
    assert asked() == [("own", 256), ("own+new", 256)]
    assert not (tmp_path / "runs/one/divergence.svg").exists()
    for chart in ("one/disabled", "two/disabled", "two/divergence"):
        assert (tmp_path / f"runs/{chart}.svg").exists(), chart

    suites[0].write_text(suites[0].read_text().replace("analyze_tokens: 256", "analyze_tokens: 128"))
    ablate(suites[0], "--tokens", 128, "--runs", tmp_path / "runs")
    assert asked() == [("own", 128), ("own", 256), ("own+new", 256)]


def test_suites_that_mean_different_files_by_one_name_each_get_their_own(data, tmp_path):
    one = write_suite(tmp_path, data, SAME_BY_OTHER_NAME, "one")
    two = write_suite(tmp_path, data, SAME_BY_OTHER_NAME.replace("own: {data}/train", "own: {data}/valid"), "two")
    ablate(one, two, "--runs", tmp_path / "runs")
    run, = run_directories(tmp_path / "runs")
    answers = {json.loads(path.read_text())["data"][0]: path for path in run.glob("evaluation/own-*.json")}
    losses = {}
    for suite, kind in ((one, "train"), (two, "valid")):
        result, = json.loads((tmp_path / "runs" / suite.stem / "results.json").read_text()).values()
        losses[kind] = result["losses"]["own"]["1"]
        assert losses[kind] == json.loads(answers[f"{data}/{kind}"].read_text())["loss"]
    assert losses["train"] != losses["valid"]
    before = {path: path.stat().st_mtime_ns for path in answers.values()}
    assert "1 runs, 1 of them finished before" in ablate(two, "--runs", tmp_path / "runs").stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_data_made_anew_are_trained_evaluated_and_analyzed_anew(data, tmp_path):
    corpus = shutil.copytree(data, tmp_path / "corpus")
    suite = write_suite(tmp_path, corpus, SAME_BY_OTHER_NAME.replace("own: {data}/train", "own: {data}/valid")
                        + "analyze: [another name]\nanalyze_tokens: 256\n")
    base = suite.parent / "base.yaml"
    arguments = (suite, "--tokens", 128, "--runs", tmp_path / "runs")
    base.write_text(base.read_text().replace(f"{corpus}/train", f"{data}/train"))
    ablate(*arguments)
    run, = run_directories(tmp_path / "runs")
    answers = {*run.glob("evaluation/*"), *run.glob("analysis/*")}
    assert "1 runs, 1 of them finished before" in ablate(*arguments).stdout

    for suffix in ("bin", "idx"):
        shutil.copy(corpus / f"train.{suffix}", corpus / f"valid.{suffix}")
    assert "1 runs, 0 of them finished before" in ablate(*arguments).stdout
    assert run_directories(tmp_path / "runs") == [run], "it reads what it is trained on as before"
    assert {path.parent.name for path in {*run.glob("evaluation/*"), *run.glob("analysis/*")} - answers} == \
        {"evaluation", "analysis"}

    base.write_text(base.read_text().replace(f"{data}/train", f"{corpus}/train"))
    ablate(*arguments)
    before = run_directories(tmp_path / "runs")
    vocabulary = corpus / "tokenizer.json"
    vocabulary.write_text(vocabulary.read_text() + "\n")
    assert "1 runs, 0 of them finished before" in ablate(*arguments).stdout
    assert len(run_directories(tmp_path / "runs")) == len(before) + 1


def test_a_report_of_data_that_are_gone_is_refused(finished, data, tmp_path):
    corpus = shutil.copytree(data, tmp_path / "corpus")
    suite = write_suite(tmp_path, corpus)
    (corpus / "valid.bin").unlink()
    job = ablate(suite, "--runs", finished[1], "--report-only", code=2)
    assert f"evaluate.new = {corpus}/valid: there is no file {corpus}/valid.bin" in job.stderr


def test_a_report_stays_where_no_run_of_the_data_is_found(finished, data, tmp_path):
    runs, corpus = shutil.copytree(finished[1], tmp_path / "runs"), shutil.copytree(data, tmp_path / "corpus")
    kept = (runs / "suite/results.md").read_text()
    with open(corpus / "train.bin", "r+b") as file:
        file.write(b"\1\0\1\0")
    suite = write_suite(tmp_path, corpus)
    assert "its report stays as it is" in ablate(suite, "--runs", runs, "--report-only", code=1).stderr
    assert (runs / "suite/results.md").read_text() == kept


def test_more_variants_than_colours_all_appear(data, tmp_path):
    names = [f"v{number}" for number in range(1, 11)]
    variants = "".join(f"  {name}:\n    model.moe_aux_loss_coeff: 0.0{name[1:]}\n" for name in names)
    text = SAME_BY_OTHER_NAME.replace("  another name:\n", variants) + "baseline: v10\n"
    path = write_suite(tmp_path, data, text)
    ablate(path, "--runs", tmp_path / "runs", "--report-only")
    assert list(json.loads((tmp_path / "runs/suite/results.json").read_text())) == names

    suite = ablation_suite.load_suite(path)
    outcomes = ablation_report.outcomes_of(suite, ablation_jobs.jobs_of(suite, tmp_path / "runs"))
    assert len({(outcome.color, outcome.dashed) for outcome in outcomes}) == 10


def last_step(directory: Path) -> int:
    try:
        return json.loads((directory / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    except (OSError, IndexError, ValueError):
        return 0


@pytest.mark.parametrize("how, code", [(signal.SIGKILL, -9), (signal.SIGTERM, 75)])
def test_killed_in_the_middle_it_goes_on_and_ends_the_same(data, tmp_path, how, code):
    suite = write_suite(tmp_path, data, SAME_BY_OTHER_NAME)
    arguments = (suite, "--tokens", 128 * 400)
    ablate(*arguments, "--runs", tmp_path / "whole")
    runner = subprocess.Popen(command(*arguments, "--runs", tmp_path / "broken"), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not any(last_step(directory) >= 20 for directory in run_directories(tmp_path / "broken")):
            assert runner.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        runner.send_signal(how)
    assert runner.wait(timeout=60) == code
    broken, = run_directories(tmp_path / "broken")
    assert last_step(broken) < 400

    job = ablate(*arguments, "--runs", tmp_path / "broken")
    assert "goes on in" in job.stdout
    whole, = run_directories(tmp_path / "whole")
    answers = [json.loads(evaluation_file(run, "own").read_text())["loss"] for run in (whole, broken)]
    assert answers[0] == answers[1]


def test_killed_run_is_started_again_by_the_runner(data, tmp_path):
    suite = write_suite(tmp_path, data, SAME_BY_OTHER_NAME)
    runner = subprocess.Popen(command(suite, "--tokens", 128 * 400, "--runs", tmp_path / "runs"), stdout=subprocess.PIPE,
                              text=True)
    deadline = time.monotonic() + 120
    while not any(last_step(directory) >= 5 for directory in run_directories(tmp_path / "runs")):
        assert runner.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    trainer = int(subprocess.run(["pgrep", "-P", str(runner.pid)], capture_output=True, text=True).stdout.split()[0])
    os.kill(trainer, signal.SIGKILL)
    output, _ = runner.communicate(timeout=120)
    assert runner.returncode == 0, output
    assert "interrupted (-9), goes on" in output and "finished" in output


def test_ranks_run_under_mpirun(data, tmp_path):
    suite = write_suite(tmp_path, data, SAME_BY_OTHER_NAME.replace("seeds: [1]", "seeds: [1]\nranks: 2").replace(
        "another name:", "another name:\n    train.micro_batch_size: 2"))
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    ablate(suite, "--runs", tmp_path / "runs")
    run, = run_directories(tmp_path / "runs")
    shards = [file["name"] for file in
              json.loads((run / "checkpoints/step-0000010/manifest.json").read_text())["files"]]
    assert len([name for name in shards if name.endswith(".safetensors")]) == 2


@pytest.mark.parametrize("ranks", [1, 2])
def test_run_that_fails_is_reported_and_the_others_go_on(data, tmp_path, ranks):
    text = SAME_BY_OTHER_NAME.replace("  another name:", "  broken:\n    data.train: [nowhere]\n  fine:")
    suite = write_suite(tmp_path, data, f"ranks: {ranks}\n{text}")
    base = suite.parent / "base.yaml"
    base.write_text(base.read_text().replace("micro_batch_size: 4", "micro_batch_size: 2"))
    job = ablate(suite, "--runs", tmp_path / "runs", code=1)
    assert re.search(r"broken, seed 1: failed, exit code 3: .*nowhere", job.stdout)
    assert "1 of 2 runs finished" in (tmp_path / "runs/suite/report.html").read_text()


@pytest.mark.parametrize("old, new, expected", [
    ("model.n_shared_experts: 1", "model.n_shared_expert: 1", ["variant shared", "n_shared_experts"]),
    ("model.n_shared_experts: 1", "model.n_shared_experts: 2", ["cannot be compared", "shared: feed-forward parameters",
                                                                "+12.5%", "differs"]),
    ("model.n_shared_experts: 1", "rng.seed: 1", ["the runner sets it"]),
    ("model.num_experts_per_tok: 1", "model.num_experts_per_tok: 9", ["variant shared", "num_experts_per_tok"]),
    ("seeds: [1, 2]", "seed: [1, 2]", ["unknown key seed", "did you mean seeds"]),
    ("seeds: [1, 2]", "seeds: [1, 1]", ["different numbers"]),
    ("base: base.yaml", "base: bass.yaml", ["bass.yaml does not exist"]),
    ("tokens: 1280", "tokens: 100", ["less than one step"]),
    ("tolerance: 2%", "tolerance: much", ["tolerance = much"]),
    ("tolerance: 2%", "baseline: plein", ["did you mean plain"]),
    ("tolerance: 2%", "differs:\n  shared: [totals]", ["did you mean total"]),
    ("analyze: [shared]", "analyze: [share]", ["did you mean shared"]),
    ("  plain:", "  plain:\n    train.seq_length: 64", ["equal tokens need equal steps"]),
    ("title: two", "title: &two", ["outside the YAML"]),
    ("seeds: [1, 2]", "seeds: 3", ["seeds = 3: expected a list"]),
    ("seeds: [1, 2]", "seeds: [1, 2]\nranks: 3", ["variant plain cannot run: ranks = 3", "a global batch of 4"]),
    ("seeds: [1, 2]", "seeds: [1, 2]\nranks: 0", ["ranks = 0: must be at least 1"]),
    ("base: base.yaml", "base: 3", ["base = 3: expected text"]),
    ("title: two of a kind", "title:", ["title is empty: expected text"]),
    ("analyze: [shared]", "analyze: shared", ["analyze = shared: expected a list"]),
    ("tolerance: 2%", "differs:\n  shared: total", ["differs.shared = total: expected a list"]),
    ("evaluate:\n  own: {data}/train\n  new: {data}/valid", "evaluate: {data}/valid", ["/valid: expected a section"]),
    ("  new: {data}/valid", "  new: {data}/vali", ["evaluate.new = ", "there is no file", "/vali.idx"]),
    ("  plain:", "  plain:\n    train.global_batch_size: big", ["variant plain: train.global_batch_size = big"]),
    ("title: two", "title: \udcff", ["suite.yaml: no UTF-8 text"]),
    ("  new: {data}/valid", "  together: {data}/valid", ["suite.yaml: evaluate.together: a set's name", "is not together"]),
    ("  new: {data}/valid", "  new/er: {data}/valid", ["suite.yaml: evaluate.new/er: a set's name is made of letters"]),
    ("  new: {data}/valid", "  a=b: {data}/valid", ["suite.yaml: evaluate.a=b: a set's name is made of letters"]),
    ("  new: {data}/valid", '  "-x": {data}/valid', ["suite.yaml: evaluate.-x: a set's name", "begins with none of"]),
])
def test_bad_suite_is_refused_before_anything_runs(data, tmp_path, old, new, expected):
    assert old in SUITE
    suite = write_suite(tmp_path, data, SUITE.replace(old, new))
    job = ablate(suite, "--runs", tmp_path / "runs", code=2)
    for words in expected:
        assert words in job.stderr, job.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("arguments", [("--jobs", 0), ("--threads", 0), ("--tokens", 0), ("--tokens", "many")])
def test_numbers_below_one_are_refused(data, tmp_path, arguments):
    job = ablate(write_suite(tmp_path, data), *arguments, code=2)
    assert f"argument {arguments[0]}: {arguments[1]} is no whole number from 1" in job.stderr


def test_base_may_be_a_config_as_the_program_prints_it(data, tmp_path):
    suite = write_suite(tmp_path, data)
    base = tmp_path / "base.yaml"
    printed = subprocess.run([shutil.which("granule") or ROOT / "build/cpu/granule", "train", base, "run_dir=none",
                              "--print-config"], capture_output=True, text=True, check=True).stdout
    base.write_text(printed)
    assert "plain" in ablate(suite, "--check").stdout


def test_what_is_meant_to_differ_may(data, tmp_path):
    text = SUITE.replace("model.n_shared_experts: 1", "model.n_shared_experts: 2")
    suite = write_suite(tmp_path, data, text.replace("tolerance: 2%", "differs:\n  shared: [total, activated, flops]"))
    assert "+12.5% (meant)" in ablate(suite, "--check").stdout


def test_shipped_suites_can_be_run(tmp_path):
    for kind in ("language", "code"):
        (tmp_path / "corpus/ablation" / kind).mkdir(parents=True)
        for file in ("valid.idx", "valid.bin"):
            (tmp_path / "corpus/ablation" / kind / file).touch()
    suites = [path for path in sorted((ROOT / "configs/ablations").glob("*.yaml")) if path.stem != "base"]
    assert {path.stem for path in suites} >= {"figure3", "table1", "shared_ratio", "balance", "figures456"}
    table = ablate(*suites, "--check", cwd=tmp_path).stdout
    for path in suites:
        assert f"{path.stem}: " in table


def test_the_same_config_has_one_key_in_all_shipped_suites():
    def key(suite: str, name: str) -> str:
        loaded = ablation_suite.load_suite(ROOT / f"configs/ablations/{suite}.yaml")
        return next(variant.key() for variant in loaded.variants if variant.name == name)

    assert key("figure3", "DeepSeekMoE 1+7/63") == key("table1", "DeepSeekMoE") == key("shared_ratio", "1 shared") \
        == key("balance", "per sequence 0.01") == key("figures456", "DeepSeekMoE")
    assert key("figure3", "GShard 0+2/16") == key("table1", "GShard") == key("figures456", "GShard")
    assert key("table1", "GShard") != key("table1", "Switch")


def test_statistics_by_hand():
    value = ablation_statistics.estimate([1.0, 2.0, 6.0])
    # Variance (4 + 1 + 9) / 2 = 7, standard error sqrt(7 / 3).
    assert value.mean == 3 and value.error == pytest.approx(math.sqrt(7 / 3))
    low, high = value.interval()
    assert (low, high) == pytest.approx((3 - 4.303 * math.sqrt(7 / 3), 3 + 4.303 * math.sqrt(7 / 3)))
    assert ablation_statistics.estimate([5.0]).error is None
    assert ablation_statistics.estimate([]) is None

    difference = ablation_statistics.paired_difference({1: 2.0, 2: 5.0, 3: 9.0}, {1: 1.0, 2: 4.1, 4: 0.0})
    assert difference.mean == pytest.approx(0.95) and difference.count == 2
    assert difference.error == pytest.approx(0.05)
    # Published values of Student's t.
    assert ablation_statistics.t_quantile(2) == 4.303
    assert ablation_statistics.t_quantile(60) == pytest.approx(2.000, abs=2e-3)
    assert ablation_statistics.t_quantile(31) == pytest.approx(2.040, abs=2e-3)
