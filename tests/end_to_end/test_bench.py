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
