"""A run's event files as TensorBoard itself reads them; the run is written by a test of the C++ program."""
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tensorboard.backend.event_processing import plugin_event_multiplexer
from tensorboard.util import tensor_util

TEST_OF_RESUMED_RUN = "RunLog.OfAResumedRunHasEveryStepOnce"


def find_test_program() -> str:
    folders = os.environ["PATH"].split(os.pathsep)
    found = shutil.which("train_test", path=os.pathsep.join([f"{folder}/tests" for folder in folders] + folders))
    assert found, "the build directory, which holds tests/train_test, must be on PATH"
    return found


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    environment = {**os.environ, "GRANULE_TEST_RUN_DIR": str(directory)}
    command = [find_test_program(), f"--gtest_filter={TEST_OF_RESUMED_RUN}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module")
def run(run_dir):
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(run_dir))
    multiplexer.Reload()
    assert list(multiplexer.Runs()) == ["tensorboard"]
    return multiplexer.GetAccumulator("tensorboard")


def values(run, tag):
    return [(event.step, tensor_util.make_ndarray(event.tensor_proto)) for event in run.Tensors(tag)]


def test_resumed_run_is_one_clean_curve(run):
    expected = [(step, step + (100 if step > 5 else 0)) for step in range(1, 11)]
    assert [(step, float(value)) for step, value in values(run, "lm loss")] == expected


def test_jsonl_and_events_hold_the_same_numbers(run, run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    for tag in ("lm loss", "consumed-tokens", "moe/layer_01/load_imbalance", "moe/layer_01/entropy"):
        assert [(step, float(value)) for step, value in values(run, tag)] == [(line["step"], line[tag]) for line in lines]


def test_tags_are_the_documented_ones(run):
    layer = [f"moe/layer_01/{name}" for name in ("load_imbalance", "max_violation", "entropy", "dropped_fraction")]
    histogram = "moe/layer_01/tokens_per_expert"
    assert set(run.Tags()["tensors"]) == {"lm loss", "consumed-tokens", "config/text_summary", histogram, *layer}
    assert set(run.PluginTagToContent("text")) == {"config/text_summary"}
    assert set(run.PluginTagToContent("histograms")) == {histogram}


def test_histogram_has_one_bucket_per_expert(run):
    step, buckets = values(run, "moe/layer_01/tokens_per_expert")[6]
    assert step == 7
    # Expert e spans e - 0.5 to e + 0.5; TensorBoard cuts the empty ones off both ends.
    assert buckets.tolist() == [[0.5, 1.5, 30], [1.5, 2.5, 10], [2.5, 3.5, 7]]


def test_config_text_of_each_session_is_preformatted(run):
    texts = [(step, text.item().decode()) for step, text in values(run, "config/text_summary")]
    assert texts == [(step, "    model:\n      hidden_size: 8\n    ") for step in (0, 5)]
