"""granule analyze: the same on any number of ranks, and equal to what eval says of models configured that way."""
import json

import jobs
import pytest


def train(directory, data, **replaced) -> str:
    config = jobs.write_config(directory, data, **replaced)
    jobs.run("train", config, "train.train_iters=6", "scheduler.lr_warmup_iters=2", ranks=None)
    return str(directory / "run")


@pytest.fixture(scope="module")
def run_dir(data, tmp_path_factory):
    return train(tmp_path_factory.mktemp("analyze"), data)


def analyze(run_dir, data, *arguments, ranks=None) -> dict:
    sets = ("--data", f"books={data}/valid", f"other={data}/train")
    return json.loads(jobs.run("analyze", run_dir, *arguments, *sets, "--json", ranks=ranks).stdout)


@pytest.fixture(scope="module")
def analysis(run_dir, data):
    return analyze(run_dir, data)


def loss(run_dir, data, *overrides) -> float:
    job = jobs.run("eval", run_dir, *overrides, "--data", f"{data}/valid", "--json", ranks=None)
    return json.loads(job.stdout)["loss"]


def test_losses_are_those_of_models_configured_that_way(analysis, run_dir, data):
    def books(entry):
        return entry["by_set"]["books"]

    assert books(analysis["unchanged"]) == pytest.approx(loss(run_dir, data), rel=1e-6)
    assert [entry["chosen"] for entry in analysis["fewer_experts"]] == [2, 1]
    for entry in analysis["fewer_experts"]:
        expected = loss(run_dir, data, f"model.num_experts_per_tok={entry['chosen']}")
        assert books(entry) == pytest.approx(expected, rel=1e-6)
        assert books(entry) != pytest.approx(books(analysis["unchanged"]), rel=1e-6)
    replaced = analysis["shared_replaced"]
    assert (replaced["chosen"], replaced["shared"]) == (5, False)
    # Against the twin in tests/model/routing_intervention_test.cpp; here, that the shared ones are really left out.
    assert books(replaced) != pytest.approx(loss(run_dir, data, "model.num_experts_per_tok=5"), rel=1e-6)


def test_disabled_experts_are_sixteenths_of_the_routed_ones(analysis):
    # 8 experts: 0.5, 1, 1.5 and 2, rounded, each number once.
    assert [entry["disabled"] for entry in analysis["disabled_top_experts"]] == [1, 2]
    losses = [entry["loss"] for entry in analysis["disabled_top_experts"]]
    assert losses[0] != losses[1]
    assert all(entry["loss"] == pytest.approx(sum(entry["by_set"].values()) / 2)
               for entry in analysis["disabled_top_experts"])


def test_use_of_experts_adds_up(analysis):
    assert [layer["layer"] for layer in analysis["layers"]] == [1, 2]
    for layer in analysis["layers"]:
        assert 0 < layer["divergence"] < 0.7
        for name, use in layer["sets"].items():
            tokens = next(one["tokens"] for one in analysis["sets"] if one["name"] == name)
            assert use["tokens"] == tokens
            assert sum(use["tokens_per_expert"]) == 3 * tokens
            assert sum(use["probability"]) == pytest.approx(1)
            together = use["chosen_together"]
            for e, row in enumerate(together):
                assert row[e] == use["tokens_per_expert"][e]
                assert sum(row) == 3 * row[e]
                assert row == [other[e] for other in together]


@pytest.mark.parametrize("ranks, expert", [(2, 1), (2, 2), (4, 2)])
def test_every_layout_says_the_same(analysis, run_dir, data, ranks, expert):
    def numbers(value, path=""):
        if isinstance(value, (dict, list)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            return {key: number for k, v in items for key, number in numbers(v, f"{path}/{k}").items()}
        return {path: value}

    other = numbers(analyze(run_dir, data, f"parallel.expert={expert}", ranks=ranks))
    for path, value in numbers(analysis).items():
        assert other[path] == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value), path


def test_conversations_are_read_with_the_models_own_tokenizer(run_dir, tmp_path):
    """What the run has learned from is gone, and the tokenizer beside it."""
    chats = tmp_path / "chats.jsonl"
    chats.write_text("".join(json.dumps({"prompt": f"What is {n}?", "completion": f"{n}."}) + "\n" for n in range(9)))
    arguments = (run_dir, f"data.train=[{tmp_path}/gone]", "--json", "--data", chats)
    found, expected = (json.loads(jobs.run(command, *arguments, ranks=None).stdout) for command in ("analyze", "eval"))
    assert found["unchanged"]["loss"] == pytest.approx(expected["loss"], rel=1e-6)


def test_text_names_every_intervention_and_tokens_bound_the_work(run_dir, data):
    text = jobs.run("analyze", run_dir, "--tokens", "256", ranks=None).stdout
    for words in ("as trained", "top 2 of 8 disabled", "1 routed experts a token", "no shared, 5 routed", "layer 2"):
        assert words in text, words
    few = analyze(run_dir, data, "--tokens", "256")
    assert all(0 < one["tokens"] <= 256 for one in few["sets"])


def test_model_without_routed_experts_is_refused(data, tmp_path):
    run = train(tmp_path, data, **{"n_routed_experts: 8": "n_routed_experts: 0", "num_experts_per_tok: 3": "num_experts_per_tok: 1",
                                   "n_shared_experts: 2": "n_shared_experts: 0", "moe_aux_loss_coeff: 0.01": "moe_aux_loss_coeff: 0"})
    job = jobs.run("analyze", run, ranks=None, code=3)
    assert "without routed experts" in job.stderr


def test_checkpoint_of_another_architecture_is_refused(run_dir):
    job = jobs.run("analyze", run_dir, "model.n_shared_experts=0", ranks=None, code=3)
    assert "shared_experts" in job.stderr and "which the model does not have" in job.stderr


def test_hash_router_is_observed_alone(data, tmp_path):
    run = train(tmp_path, data, **{"num_experts_per_tok: 3": "num_experts_per_tok: 1\n  moe_router_type: hash",
                                   "moe_aux_loss_coeff: 0.01": "moe_aux_loss_coeff: 0"})
    said = analyze(run, data)
    assert said["disabled_top_experts"] == said["fewer_experts"] == [] and said["shared_replaced"] is None
    assert len(said["layers"]) == 2


def test_wrong_use_is_refused(run_dir, data, tmp_path):
    jobs.run("analyze", tmp_path, ranks=None, code=3)
    jobs.run("analyze", run_dir, "--data", f"a={tmp_path}/none", ranks=None, code=3)
    job = jobs.run("analyze", run_dir, "--data", f"{data}/valid", f"{data}/train", ranks=None, code=2)
    assert "NAME=PREFIX" in job.stderr
