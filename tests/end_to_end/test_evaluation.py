"""`granule eval --task`: the numbers of lm-evaluation-harness, on any number of ranks."""
import json

import jobs
import make_evaluation_golden as golden_maker
import pytest

GOLDEN = json.loads(golden_maker.GOLDEN.read_text())
TASKS = list(GOLDEN)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return golden_maker.make_run(tmp_path_factory.mktemp("untrained"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of examples for each task."""
    directory = tmp_path_factory.mktemp("examples")
    for task in TASKS:
        write_lines(directory / f"{task}.jsonl", GOLDEN[task]["examples"])
    return {task: directory / f"{task}.jsonl" for task in TASKS}


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def evaluate(run, task, path, *more, ranks=None):
    job = jobs.run("eval", run, "--task", task, "--data", path, "--max-length", golden_maker.MAX_LENGTH, "--max-tokens",
                   golden_maker.MAX_TOKENS, "--json", "--batch-size", 3, *more, ranks=ranks)
    return json.loads(job.stdout)


@pytest.mark.parametrize("task", TASKS)
def test_metrics_are_those_of_lm_evaluation_harness(run, files, task, tmp_path):
    report = evaluate(run, task, files[task], "--samples", tmp_path / "samples.jsonl")
    expected = GOLDEN[task]["metrics"]
    # The rolling metrics' errors and those of perplexity are drawn by bootstrap there.
    assert {name: report[name] for name in expected if name in report} == pytest.approx(
        {name: value for name, value in expected.items() if name in report}, rel=1e-5)
    assert not [name for name in expected if name not in report and not name.endswith("_stderr")]

    samples = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert len(samples) == len(GOLDEN[task]["responses"])
    for sample, theirs, example in zip(samples, GOLDEN[task]["responses"], GOLDEN[task]["examples"]):
        if task == "answer":
            assert [sample["answer"]] == theirs, example
        else:
            ours = sample.get("log_probabilities", [sample.get("log_probability")])
            assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4), example


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("ranks, expert", [(2, 1), (2, 2), (3, 1), (4, 2)])
def test_metrics_are_the_same_on_any_number_of_ranks(run, files, task, ranks, expert):
    alone = evaluate(run, task, files[task])
    many = evaluate(run, task, files[task], f"parallel.expert={expert}", ranks=ranks)
    assert many == pytest.approx(alone, rel=1e-6)
    if expert == 1:
        assert many == alone


def test_more_ranks_than_batches(run, tmp_path):
    one = write_lines(tmp_path / "one.jsonl", GOLDEN["match"]["examples"][:1])
    assert evaluate(run, "match", one, "parallel.expert=4", ranks=4)["perplexity"] == pytest.approx(
        evaluate(run, "match", one)["perplexity"], rel=1e-6)


def test_each_file_has_its_own_report_in_words_or_as_json(run, files, tmp_path):
    two = write_lines(tmp_path / "two.jsonl", GOLDEN["choice"]["examples"][:2])
    arguments = ("eval", run, "--task", "choice", "--data", files["choice"], two)
    reports = [json.loads(line) for line in jobs.run(*arguments, "--json", ranks=None).stdout.splitlines()]
    assert [report["data"] for report in reports] == [str(files["choice"]), str(two)]
    assert [report["examples"] for report in reports] == [len(GOLDEN["choice"]["examples"]), 2]
    words = jobs.run(*arguments, ranks=None).stdout
    assert f"acc: {reports[0]['acc']}" in words and f"acc_norm_stderr: {reports[1]['acc_norm_stderr']}" in words


def test_overrides_may_stand_behind_the_files(run, files):
    arguments = ("eval", run, "--task", "match", "--json")
    before = jobs.run(*arguments, "parallel.expert=2", "--data", files["match"], ranks=2).stdout
    assert jobs.run(*arguments, "--data", files["match"], "parallel.expert=2", ranks=2).stdout == before
    config = run / "config.yaml"
    for command in ((*arguments, "--data", files["match"]), ("analyze", run, "--data", "a=b"),
                    ("plan", "--compare", config, config)):
        assert "model.none is no known key" in jobs.run(*command, "model.none=2", ranks=None, code=2).stderr, command


def test_each_stop_is_one_text_kept_whole(run, files, tmp_path):
    def answers(*more):
        evaluate(run, "answer", files["answer"], *more, "--samples", tmp_path / "samples.jsonl")
        return [json.loads(line)["answer"] for line in (tmp_path / "samples.jsonl").read_text().splitlines()]

    whole = answers("--stop", "no such text")
    letter = next(letter for letter in "".join(whole) if letter.isascii() and letter.isalpha())
    assert answers("--stop", f"[{letter}]") == whole
    assert answers("--stop", "no such text", "--stop", letter) == [answer.partition(letter)[0] for answer in whole]
    error = jobs.run("eval", run, "--task", "answer", "--data", files["answer"], "--stop", "x", "model.none=2", ranks=None,
                     code=2).stderr
    assert "model.none is no known key" in error


def test_what_cannot_be_examined_is_refused_with_its_line(run, tmp_path):
    bad = write_lines(tmp_path / "bad.jsonl", [{"query": "q", "choices": ["a", "b"], "gold": 0}, {"query": "q"}])
    assert f'{bad}:2: field (top) has no "choices"' in jobs.run(
        "eval", run, "--task", "choice", "--data", bad, ranks=None, code=3).stderr
    long = write_lines(tmp_path / "long.jsonl", [{"query": "q", "target": "x" * 99}])
    assert "example 1: what is scored has" in jobs.run(
        "eval", run, "--task", "match", "--data", long, "--max-length", 8, ranks=2, code=3).stderr
    samples = tmp_path / "none" / "samples"
    assert f"{samples}: cannot create" in jobs.run("eval", run, "--task", "choice", "--data", bad, "--samples", samples,
                                                   ranks=None, code=1).stderr
    for option, value in (("--samples", tmp_path / "x"), ("--max-length", 8), ("--max-tokens", 8), ("--stop", "x")):
        assert f"{option} is for tasks" in jobs.run("eval", run, option, value, ranks=None, code=2).stderr
    assert not (tmp_path / "x").exists()
    assert "needs --data" in jobs.run("eval", run, "--task", "match", ranks=None, code=2).stderr
    assert "choice" in jobs.run("eval", run, "--task", "chioce", "--data", bad, ranks=None, code=2).stderr
