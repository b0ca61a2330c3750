"""The benchmark command runs and its numbers are of one another's size; how fast is not tested."""
import json

import jobs
import pytest


@pytest.mark.parametrize("ranks, layout", [(None, []), (2, ["parallel.expert=2"])])
def test_step_benchmark_reports_phases_that_make_up_the_step(data, tmp_path, ranks, layout):
    config = jobs.write_config(tmp_path, data)
    report = json.loads(jobs.run("bench", "step", config, *layout, "--steps", 3, "--json", ranks=ranks).stdout)
    assert report["tokens_per_step"] == 8 * 32
    assert report["tokens_per_s"] == pytest.approx(report["tokens_per_step"] / report["step_seconds"])
    assert 0 < sum(report["seconds"].values()) <= 2 * report["step_seconds"]
    assert len(report["losses"]) == 4 and report["losses"][-1] < report["losses"][0]
    assert report["peak_rss_gib"] > 0.01
    assert not (tmp_path / "run").exists()


def test_losses_of_the_benchmark_do_not_depend_on_the_layout(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    alone, split = (json.loads(jobs.run("bench", "step", config, *layout, "--steps", 2, "--json", ranks=ranks).stdout)
                    for ranks, layout in ((None, []), (4, ["parallel.expert=2"])))
    assert split["losses"] == pytest.approx(alone["losses"], rel=1e-5)


def test_step_benchmark_names_phases_and_holds_them_against_the_machine(data, tmp_path):
    # Heads of 16: narrower ones are computed by LibTorch, whose backward has no name.
    config = jobs.write_config(tmp_path, data, **{"num_attention_heads: 4": "num_attention_heads: 2"})
    report = json.loads(jobs.run("bench", "step", config, "--steps", 2, "--json").stdout)
    phases = report["phases"]
    assert {"experts", "experts backward", "attention", "attention backward", "head", "head backward", "router",
            "projections", "norm", "row order", "update", "reduce", "rest"} <= phases.keys()
    spent = sum(phase["seconds"] for phase in phases.values())
    assert spent == pytest.approx(sum(report["seconds"].values()), rel=0.2)
    for name in ("experts", "attention backward", "update"):
        assert phases[name]["share_of_limit"] > 0
    text = jobs.run("bench", "step", config, "--steps", 1).stdout
    assert "% of the limit" in text and "tokens/s" in text


MOE = ["--tokens", "64", "--hidden", "32", "--width", "16", "--experts", "8", "--top-k", "2", "--iterations", "2",
       "--repetitions", "2"]


@pytest.mark.parametrize("command, names", [
    (["moe", *MOE], ["layer/forward", "layer/backward", "routed experts/forward", "routed experts/backward"]),
    (["moe", *MOE, "--bf16", "--skew", "1"], ["layer/forward", "routed experts/backward"]),
    (["attention", "--batch", "2", "--length", "32", "--iterations", "2", "--repetitions", "2"],
     ["granule/forward", "granule/backward", "LibTorch/forward", "LibTorch/backward"]),
    (["comm", "--tokens", "16", "--elements", "100", "--iterations", "2", "--repetitions", "2"],
     ["barrier", "all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all", "dispatch", "combine", "memcpy"]),
])
def test_small_benchmarks_report_each_case(command, names):
    report = json.loads(jobs.run("bench", *command, "--json").stdout)
    medians = {run["run_name"].split("/iterations")[0]: run for run in report["benchmarks"]
               if run["aggregate_name"] == "median"}
    assert set(names) <= medians.keys()
    assert all(run["real_time"] >= 0 for run in medians.values())
    if command[0] in ("moe", "attention"):
        assert all(run["GFLOP/s"] > 0 and run["%limit"] > 0 for run in medians.values())


def test_ranks_exchange_rows_beside_mpis_own(tmp_path):
    report = json.loads(jobs.run("bench", "comm", "--tokens", 16, "--elements", 101, "--iterations", 2, "--repetitions",
                                 2, "--json", ranks=2).stdout)
    names = {run["run_name"].split("/iterations")[0] for run in report["benchmarks"]}
    assert {"all_to_all_rows", "MPI_Alltoallv", "dispatch", "combine"} <= names


def test_data_benchmark_reads_the_batches_of_a_config(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    report = json.loads(jobs.run("bench", "data", config, "--iterations", 3, "--repetitions", 2, "--json").stdout)
    assert report["benchmarks"][0]["GB/s"] > 0


@pytest.mark.parametrize("arguments, code, complaint", [
    (["moe", "--experts", "8", "--top-k", "9"], 2, "--top-k = "),
    (["comm", "--experts", "4"], 2, "--top-k = 7 must not exceed"),
    (["moe", "--loads", "/nonexistent/loads.json"], 3, "/nonexistent/loads.json"),
    (["attention", "--heads", "6", "--kv-heads", "4"], 2, "--kv-heads"),
    (["moe", "--tokens", "-1"], 2, "--tokens"),
])
def test_shapes_that_cannot_be_are_refused(arguments, code, complaint):
    assert complaint in jobs.run("bench", *arguments, code=code).stderr
