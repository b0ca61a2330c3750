"""The outside world: a model that Granule trained, put into Hugging Face's Qwen2Moe, has the same loss and goes on
with the same words."""
import json

import jobs
import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast
from twin import make_twin


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    config = jobs.write_config(tmp_path_factory.mktemp("trained"), data)
    jobs.run("train", config, "parallel.expert=2", "optimizer.lr=1e-2", "train.train_iters=40", ranks=2)
    return config.parent / "run"


@pytest.fixture(scope="module")
def twin(trained):
    return make_twin(trained)


def test_loss_over_the_whole_validation_file_is_the_same(trained, twin, data):
    reported = json.loads(jobs.run("eval", trained, "--json", ranks=None).stdout)
    ids = np.fromfile(data / "valid.bin", dtype=np.uint16).astype(np.int64)
    total = count = 0.0
    with torch.no_grad():
        for begin in range(0, len(ids) - 1, 32):
            row = torch.from_numpy(ids[begin:begin + 33])[None]
            logits = twin(row[:, :-1]).logits[0]
            total += torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum").item()
            count += row.shape[1] - 1
    assert reported["tokens"] == count
    assert reported["loss"] == pytest.approx(total / count, rel=1e-5)
    assert reported["perplexity"] == pytest.approx(np.exp(total / count), rel=1e-4)


@pytest.mark.parametrize("ranks, expert", [(2, 1), (2, 2), (3, 1), (4, 4)])
def test_evaluation_is_the_same_on_any_number_of_ranks(trained, ranks, expert):
    alone = json.loads(jobs.run("eval", trained, "--json", ranks=None).stdout)
    many = json.loads(jobs.run("eval", trained, "--json", f"parallel.expert={expert}", "--batch-size", 3,
                               ranks=ranks).stdout)
    assert many["tokens"] == alone["tokens"]
    assert many["loss"] == pytest.approx(alone["loss"], rel=1e-6)
    assert many["bits_per_byte"] == pytest.approx(alone["bits_per_byte"], rel=1e-6)


@pytest.mark.parametrize("ranks", [None, 2])
def test_greedy_text_is_the_same(trained, twin, ranks):
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(trained / "tokenizer.json"))
    prompt = "The router"
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
    with torch.no_grad():
        for _ in range(20):
            ids = torch.cat([ids, twin(ids).logits[:, -1:].argmax(-1)], 1)
    expected = tokenizer.decode(ids[0], skip_special_tokens=True)
    layout = [] if ranks is None else ["parallel.expert=2"]
    ours = jobs.run("generate", trained, *layout, "--prompt", prompt, "--temperature", 0, "--max-tokens", 20,
                    ranks=ranks).stdout
    assert ours.rstrip("\n") == expected.rstrip("\n")


def test_sampling_repeats_with_its_seed_and_reads_stdin(trained):
    arguments = ("generate", trained, "--max-tokens", 30, "--temperature", 1, "--top-k", 20, "--top-p", 0.9)
    first = jobs.run(*arguments, ranks=None, stdin="Data").stdout
    assert first.startswith("Data")
    assert jobs.run(*arguments, ranks=None, stdin="Data").stdout == first
    assert jobs.run(*arguments, "--seed", 5, ranks=None, stdin="Data").stdout != first
    assert "top-p" in jobs.run("generate", trained, "--top-p", 1.5, "--prompt", "x", ranks=None, code=2).stderr
