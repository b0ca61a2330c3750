"""granule plan: the program on the shipped configs."""
import json
import re

import jobs
import pytest

PAPER = sorted((jobs.ROOT / "configs/paper").glob("*.yaml"))
HARDWARE = jobs.ROOT / "configs/hardware"


def paper(name: str):
    return jobs.ROOT / "configs/paper" / f"{name}.yaml"


def plan(*arguments) -> dict | list:
    return json.loads(jobs.run("plan", *arguments, "--json", ranks=None).stdout)


@pytest.fixture(scope="module")
def systems() -> dict:
    """All of the paper's systems in one call."""
    return {path.stem: system for path, system in zip(PAPER, plan("--compare", *PAPER))}


def test_comparison_has_every_shipped_system(systems):
    assert len(systems) == len(PAPER) >= 24
    text = jobs.run("plan", "--compare", *PAPER, ranks=None).stdout
    assert all(str(path) in text for path in PAPER)


def test_head_of_every_config_states_its_own_numbers(systems):
    for path in PAPER:
        head = path.read_text().partition("run_dir:")[0]
        system = systems[path.stem]
        count = {part: int(re.search(rf"^#   {part} +([\d,]+) ", head, re.M)[1].replace(",", ""))
                 for part in ("parameters", "activated")}
        assert count["parameters"] == system["parameters"]["total"], path
        assert count["activated"] == system["parameters"]["activated"], path
        nominal, real, tokens = re.search(r"([\d.]+)T nominal, ([\d.]+)T real .*of (\d+) tokens", head).groups()
        flops = system["sequence_flops"]
        assert int(tokens) == flops["tokens"], path
        assert nominal == f"{flops['paper_nominal'] / 1e12:.2f}", path
        assert real == f"{flops['paper_configured'] / 1e12:.2f}", path


def test_every_config_is_one_that_trains():
    for path in PAPER:
        jobs.run("train", path, "parallel.expert=1", "--print-config", ranks=None)


def test_steps_of_the_paper_make_its_tokens(systems):
    for name, tokens in {"deepseekmoe_2b": 100e9, "deepseekmoe_16b": 2e12, "deepseekmoe_145b": 245e9}.items():
        assert systems[name]["run"]["tokens"] == pytest.approx(tokens, rel=0.05), name


def test_figure_3_ends_at_deepseekmoe_2b(systems):
    last, model = systems["figure3_m4"], systems["deepseekmoe_2b"]
    assert last["parameters"] == model["parameters"] and last["sequence_flops"] == model["sequence_flops"]


def test_text_and_json_agree():
    text = jobs.run("plan", paper("deepseekmoe_16b"), "--ranks", "64", "parallel.expert=8", ranks=None).stdout
    numbers = plan(paper("deepseekmoe_16b"), "--ranks", "64", "parallel.expert=8")
    assert f"{numbers['parameters']['total']:,}" in text
    assert f"{numbers['memory_bytes']['total'] / 2**30:.2f} GiB" in text


def test_overrides_hardware_and_memory_count():
    base = plan(paper("deepseekmoe_2b"))
    assert plan(paper("deepseekmoe_2b"), "model.num_hidden_layers=18")["parameters"]["attention"] == \
        2 * base["parameters"]["attention"]
    assert plan(paper("deepseekmoe_2b"), "--hardware", HARDWARE / "a100.yaml")["step"]["seconds"] > \
        base["step"]["seconds"]
    assert "fault" in plan(paper("deepseekmoe_2b"), "--memory", "1")


def test_search_lists_fitting_layouts_fastest_first_and_reasons_for_others():
    search = ["--search", "--gpus", "64", "--memory", "80", "--pipeline", "1", paper("deepseekmoe_16b")]
    found = plan(*search)
    seconds = [layout["step"]["seconds"] for layout in found["feasible"]]
    assert seconds and seconds == sorted(seconds)
    assert all(layout["memory_bytes"]["total"] <= 80 * 2**30 for layout in found["feasible"])
    assert found["infeasible"] and all(layout["fault"] for layout in found["infeasible"])
    text = jobs.run("plan", *search, ranks=None).stdout
    assert len(text.splitlines()) == len(found["feasible"]) + len(found["infeasible"]) + 2


def test_wrong_use_is_refused(tmp_path):
    jobs.run("plan", ranks=None, code=2)
    job = jobs.run("plan", paper("deepseekmoe_2b"), "--ranks", "0", ranks=None, code=2)
    assert "--ranks: 0: must be at least 1\n" in job.stderr
    for number in ("nan", "inf", "0", "much"):
        jobs.run("plan", paper("deepseekmoe_2b"), "--memory", number, ranks=None, code=2)
    jobs.run("plan", paper("deepseekmoe_2b"), "model.hidden_sice=1", ranks=None, code=2)
    jobs.run("plan", tmp_path / "none.yaml", ranks=None, code=3)


def test_a_layout_that_the_config_contradicts_has_a_fault():
    said = plan(paper("deepseekmoe_16b"), "--ranks", "64", "parallel.expert=8", "parallel.data=4")
    assert said["fault"] == "parallel.data = 4, but 64 ranks leave 8"
    assert "fault" not in plan(paper("deepseekmoe_16b"), "--ranks", "64", "parallel.expert=8", "parallel.data=8")


def test_epochs_have_no_length_before_the_data_are_read(tmp_path, data):
    config = jobs.write_config(tmp_path, data, **{"train_iters: 10": "num_train_epochs: 3"})
    run = plan(config, "scheduler.lr_warmup_iters=5000")["run"]
    assert run["tokens"] is None and run["seconds"] is None and run["checkpoint_bytes"] > 0
    assert "the run: 3 epochs;" in jobs.run("plan", config, ranks=None).stdout


def test_small_models_have_numbers_too(tmp_path, data):
    text = jobs.run("plan", jobs.write_config(tmp_path, data), ranks=None).stdout
    assert " 0.00 TFLOP" not in text and "0.00 days" not in text and " 0.00\n" not in text


def test_plan_counts_the_parameters_that_a_run_has(data, tmp_path):
    """Against the checkpoint of a run of one step."""
    config = jobs.write_config(tmp_path, data, **{"train_iters: 10": "train_iters: 1", "lr_warmup_iters: 3": "lr_warmup_iters: 1"})
    jobs.run("train", config, ranks=None)
    state = jobs.tensors(jobs.newest_checkpoint(tmp_path / "run"))
    elements = sum(values.size for name, values in state.items() if name.startswith("parameter/"))
    assert plan(config)["parameters"]["total"] == elements
    shards = jobs.newest_checkpoint(tmp_path / "run").glob("*.safetensors")
    assert plan(config)["run"]["checkpoint_bytes"] == pytest.approx(sum(f.stat().st_size for f in shards), rel=0.1)
