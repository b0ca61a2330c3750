"""LoRA through the command line: adapters of a pretrained model, trained, stopped, merged, exported, and what can be
wrong with them."""
import json
import os
import shutil
import signal
import subprocess

import jobs
import pytest
import torch
from safetensors.torch import load_file
from test_fine_tuning import SFT, base, chats, write_config  # noqa: F401
from transformers import AutoModelForCausalLM

# Rank 4, alpha 16: what an adapter computes counts four times.
LORA = ("lora.rank=4", "lora.alpha=16", "optimizer.lr=1e-2", "train.global_batch_size=4", "train.num_train_epochs=0",
        "train.train_iters=8", "checkpoint.save_interval=4", "validation.eval_interval=4")


@pytest.fixture(scope="module")
def tuned(base, chats, tmp_path_factory):  # noqa: F811
    config = write_config(tmp_path_factory.mktemp("lora"), chats, base)
    return config, jobs.run("train", config, *SFT, *LORA, "lora.dropout=0.1", ranks=1)


def adapted(config):
    return config.parent / "run"


def test_it_learns_by_adapters_alone(tuned, base):  # noqa: F811
    config, job = tuned
    assert "adapters of rank 4, " in job.stderr and " trained" in job.stderr
    losses = jobs.metrics(adapted(config), "lm loss validation")
    assert losses[8] < losses[4]
    checkpoint = jobs.newest_checkpoint(adapted(config))
    assert {name.split(".")[-2] for name in jobs.tensors(checkpoint)} == {"lora_A", "lora_B"}
    names = {name.split("/", 1)[1] for name in jobs.tensors(checkpoint)}
    assert "model.layers.1.mlp.experts.7.down_proj.lora_B.weight" in names
    size = sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))
    assert size < sum(path.stat().st_size for path in jobs.newest_checkpoint(base).glob("*.safetensors"))
    # The base is named as it was when the run began, wherever the reader stands.
    assert f"load: {jobs.newest_checkpoint(base)}" in (checkpoint / "config.yaml").read_text().replace('"', "")


def test_a_stopped_run_goes_on_bit_by_bit_with_dropout_and_on_two_ranks(tuned, base, chats, tmp_path):  # noqa: F811
    ways = {}
    for way in ("whole", "stopped"):
        config = write_config(tmp_path / way, chats, base)
        arguments = ("train", config, *SFT, *LORA, "lora.dropout=0.3", "train.micro_batch_size=1", "parallel.expert=2")
        if way == "stopped":
            jobs.run(*arguments, "train.train_iters=4", ranks=2)
        jobs.run(*arguments, ranks=2)
        ways[way] = jobs.newest_checkpoint(config.parent / "run")
        assert ways[way].name == "step-0000008"
    jobs.assert_same_state(ways["whole"], ways["stopped"])


def test_recomputation_changes_nothing(base, chats, tmp_path):  # noqa: F811
    losses = []
    for way in ("none", "full"):
        config = write_config(tmp_path / way, chats, base)
        jobs.run("train", config, *SFT, *LORA, "lora.dropout=0.3", f"train.recompute_granularity={way}")
        losses.append(jobs.metrics(config.parent / "run"))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_evaluation_sees_the_merged_model(tuned):
    config, _ = tuned
    unmerged = jobs.metrics(adapted(config), "lm loss validation")[8]
    for ranks, layout in ((1, ()), (2, ("parallel.expert=2",))):
        report = json.loads(jobs.run("eval", adapted(config), "--json", *layout, ranks=ranks).stdout)
        assert report["loss"] == pytest.approx(unmerged, rel=1e-5)


def merged_by_hand(base_checkpoint, adapters, scale):
    """PEFT's formula: W + (B @ A) * scale."""
    base_tensors, own = jobs.tensors(base_checkpoint), jobs.tensors(adapters)
    merged = {}
    for name, values in base_tensors.items():
        kind, name = name.split("/", 1)
        if kind != "parameter":
            continue
        weight = torch.from_numpy(values)
        module = name.removesuffix(".weight")
        if f"parameter/{module}.lora_A.weight" in own:
            a, b = (torch.from_numpy(own[f"parameter/{module}.lora_{half}.weight"]) for half in "AB")
            weight = weight + (b @ a) * scale
        merged[name] = weight
    return merged


def loss_of_step(config, step, model):
    """Of the learned tokens of a step's batch, each conversation by itself."""
    batch = json.loads(jobs.run("inspect", "batch", config, f"--step={step}", *SFT, *LORA, ranks=None).stdout)
    total = count = 0.0
    with torch.no_grad():
        for tokens, mask, segments in zip(batch["tokens"], batch["loss_mask"], batch["segments"], strict=True):
            for segment in sorted(set(segments) - {-1}):
                first, last = segments.index(segment), len(segments) - segments[::-1].index(segment)
                logits = model(torch.tensor([tokens[first:last]])).logits[0]
                losses = torch.nn.functional.cross_entropy(logits, torch.tensor(tokens[first + 1:last + 1]), reduction="none")
                learned = torch.tensor(mask[first:last], dtype=torch.bool)
                total += losses[learned].sum().item()
                count += learned.sum().item()
    return total / count


def test_export_is_pefts_formula_and_transformers_computes_the_unmerged_loss(tuned, base, tmp_path):  # noqa: F811
    config, _ = tuned
    jobs.run("export", adapted(config), tmp_path / "out", ranks=None)
    expected = merged_by_hand(jobs.newest_checkpoint(base), jobs.newest_checkpoint(adapted(config)), 16 / 4)
    exported = load_file(tmp_path / "out" / "model.safetensors")
    compared = 0
    for name, weight in expected.items():
        name = name.replace("shared_experts", "shared_expert")
        if name.endswith("shared_expert.down_proj.weight"):
            weight = weight * 2  # Qwen's gate of the shared expert is one half
        if name in exported:
            assert torch.allclose(exported[name], weight, rtol=0, atol=1e-5), name
            compared += 1
    assert compared == len(expected)

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    # A ninth step: the loss that the unmerged model has on its batch before the update.
    shutil.copytree(adapted(config), tmp_path / "run")
    jobs.run("train", config, *SFT, *LORA, f"run_dir={tmp_path / 'run'}", "train.train_iters=9")
    assert jobs.metrics(tmp_path / "run")[9] == pytest.approx(loss_of_step(config, 8, model), rel=1e-4)


def test_bf16_too(base, chats, tmp_path):  # noqa: F811
    config = write_config(tmp_path, chats, base)
    jobs.run("train", config, *SFT, *LORA, "train.precision=bf16", "lora.dropout=0.1", "parallel.expert=2",
             "train.micro_batch_size=1", ranks=2)
    unmerged = jobs.metrics(adapted(config), "lm loss validation")[8]
    merged = json.loads(jobs.run("eval", adapted(config), "--json", ranks=None).stdout)["loss"]
    assert merged == pytest.approx(unmerged, rel=2e-2)
    jobs.run("export", adapted(config), tmp_path / "out", ranks=None)
    exported = load_file(tmp_path / "out" / "model.safetensors")
    assert exported["model.layers.0.self_attn.q_proj.weight"].dtype == torch.bfloat16


def test_words_inspection_and_a_further_run_know_nothing_of_adapters(tuned, base, chats, tmp_path):  # noqa: F811
    config, _ = tuned
    text = jobs.run("generate", adapted(config), "--prompt", "a", "--temperature", 0, "--max-tokens", 5, ranks=None).stdout
    assert text
    summary = jobs.run("inspect", "checkpoint", adapted(config), ranks=None).stdout
    assert "LoRA adapters of rank 4, alpha 16" in summary and str(jobs.newest_checkpoint(base)) in summary

    # All parameters, from the merged model: the first loss is that of the adapted one.
    further = write_config(tmp_path / "all", chats, adapted(config))
    jobs.run("train", further, *SFT, "train.num_train_epochs=0", "train.train_iters=1", "optimizer.lr=0",
             "train.global_batch_size=4")
    assert jobs.metrics(further.parent / "run", "lm loss validation")[1] == pytest.approx(
        jobs.metrics(adapted(config), "lm loss validation")[8], rel=1e-5)
    # And adapters on adapters.
    second = write_config(tmp_path / "second", chats, adapted(config))
    jobs.run("train", second, *SFT, *LORA)
    evaluated = json.loads(jobs.run("eval", second.parent / "run", "--json", ranks=None).stdout)["loss"]
    assert evaluated == pytest.approx(jobs.metrics(second.parent / "run", "lm loss validation")[8], rel=1e-5)


def test_a_hugging_face_directory_is_a_base_too(tuned, chats, tmp_path):  # noqa: F811
    config, _ = tuned
    jobs.run("export", adapted(config), tmp_path / "out", ranks=None)
    own = write_config(tmp_path / "on_export", chats, tmp_path / "out")
    jobs.run("train", own, *SFT, *LORA)
    evaluated = json.loads(jobs.run("eval", own.parent / "run", "--json", ranks=None).stdout)["loss"]
    assert evaluated == pytest.approx(jobs.metrics(own.parent / "run", "lm loss validation")[8], rel=1e-5)


def test_the_base_may_be_anywhere_but_must_be_there(base, chats, tmp_path):  # noqa: F811
    shutil.copytree(base, tmp_path / "base")
    config = write_config(tmp_path / "own", chats, "base")
    arguments = ("train", config, *SFT, *LORA)
    job = subprocess.run(jobs.command(*arguments, ranks=None), env=jobs.environment(), cwd=tmp_path, capture_output=True)
    assert job.returncode == 0, job.stderr
    loss = json.loads(jobs.run("eval", adapted(config), "--json", ranks=None).stdout)["loss"]

    # The run began with step 10; a later checkpoint of the base is no business of its adapters.
    newer = tmp_path / "base" / "checkpoints" / "step-0000011"
    shutil.copytree(jobs.newest_checkpoint(base), newer)
    job = subprocess.run(jobs.command(*arguments, "train.train_iters=9", ranks=None), env=jobs.environment(), cwd=tmp_path,
                         capture_output=True, text=True)
    assert job.returncode == 0 and "adapters of " + str(tmp_path / "base/checkpoints/step-0000010") in job.stderr

    os.rename(tmp_path / "base", tmp_path / "moved")
    error = jobs.run("eval", adapted(config), ranks=None, code=3).stderr
    assert f"{tmp_path / 'base/checkpoints/step-0000010'}, which is gone" in error
    assert "is the base of the adapters (lora.rank = 4), but nothing is there" in jobs.run(*arguments, ranks=None, code=2).stderr
    assert "GONE" in jobs.run("inspect", "checkpoint", adapted(config), ranks=None).stdout
    moved = f"checkpoint.load={tmp_path / 'moved/checkpoints/step-0000010'}"
    first = jobs.run("eval", tmp_path / "own/run/checkpoints/step-0000008", "--json", moved, ranks=None)
    assert json.loads(first.stdout)["loss"] == loss


@pytest.mark.parametrize("overrides, code, expected", [
    (('checkpoint.load=""',), 2, "checkpoint.load is empty"),
    (("checkpoint.finetune=false",), 2, "checkpoint.finetune = false but lora.rank = 4"),
    (("lora.target_modules=[q_prj]",), 2, 'did you mean "q_proj"?'),
    (("lora.target_modules=[]",), 2, "must name at least one of q_proj"),
    (("lora.dropout=1",), 2, "must be below 1"),
    (("lora.rank=-1",), 2, "lora.rank"),
    (("model.hidden_size=64",), 2, "model.hidden_size = 64 differs from"),
])
def test_mistakes_are_named(base, chats, tmp_path, overrides, code, expected):  # noqa: F811
    config = write_config(tmp_path, chats, base)
    assert expected in jobs.run("train", config, *SFT, *LORA, *overrides, ranks=None, code=code).stderr


def test_a_run_goes_on_with_the_adapters_it_has(tuned, tmp_path):
    config, _ = tuned
    shutil.copytree(adapted(config), tmp_path / "run")
    arguments = ("train", config, *SFT, *LORA, f"run_dir={tmp_path / 'run'}", "train.train_iters=9")
    assert "lora.rank = 8 differs from" in jobs.run(*arguments, "lora.rank=8", ranks=None, code=2).stderr
    fewer = jobs.run(*arguments, "lora.target_modules=[q_proj]", ranks=None, code=3).stderr
    assert "which the model does not have" in fewer
    none = jobs.run(*arguments, "lora.rank=0", ranks=None, code=3).stderr
    assert "has no parameter" in none
    for wrong in ("lora.rank=8", "lora.rank=0", "lora.alpha=1"):
        assert "differs from" in jobs.run("eval", adapted(config), wrong, ranks=None, code=2).stderr


def test_adapters_know_the_model_they_were_made_for(tuned, base, tmp_path):  # noqa: F811
    config, _ = tuned
    other = tmp_path / "other"
    jobs.run("train", base / "config.yaml", f"run_dir={other}", "rng.seed=7", ranks=None)
    error = jobs.run("eval", adapted(config), f"checkpoint.load={other}", ranks=None, code=3).stderr
    assert f"holds adapters of another model than {jobs.newest_checkpoint(other)}" in error

    shutil.copytree(adapted(config), tmp_path / "run")
    arguments = ("train", config, *SFT, *LORA, f"run_dir={tmp_path / 'run'}", "train.train_iters=9")
    assert "of another model than" in jobs.run(*arguments, f"checkpoint.load={other}", ranks=None, code=3).stderr
    assert "lora.alpha = 99 differs from" in jobs.run(*arguments, "lora.alpha=99", ranks=None, code=2).stderr
    assert "model.rope_theta = 5 differs from" in jobs.run(*arguments, "model.rope_theta=5", ranks=None, code=2).stderr


def test_adapters_of_adapters_miss_the_base_below_them(tuned, base, chats, tmp_path):  # noqa: F811
    shutil.copytree(base, tmp_path / "base")
    runs = {}
    for name, below in (("inner", tmp_path / "base"), ("outer", tmp_path / "inner/run")):
        runs[name] = write_config(tmp_path / name, chats, below)
        jobs.run("train", runs[name], *SFT, *LORA, ranks=None)
    outer = adapted(runs["outer"])
    loss = json.loads(jobs.run("eval", outer, "--json", ranks=None).stdout)["loss"]
    (tmp_path / "base").rename(tmp_path / "moved")
    assert "a symbolic link will do" in jobs.run("eval", outer, ranks=None, code=3).stderr
    skipping = jobs.run("eval", outer, f"checkpoint.load={tmp_path / 'moved'}", ranks=None, code=3).stderr
    assert "of another model than" in skipping
    (tmp_path / "base").symlink_to(tmp_path / "moved")
    assert json.loads(jobs.run("eval", outer, "--json", ranks=None).stdout)["loss"] == loss


def test_the_plan_counts_adapters(base, chats, tmp_path):  # noqa: F811
    config = write_config(tmp_path, chats, base)
    plans = [json.loads(jobs.run("plan", config, *own, "--json", ranks=None).stdout)
             for own in (("train.train_iters=10", "train.num_train_epochs=0"), LORA)]
    text = json.dumps(plans[1])
    assert '"trained"' in text and text != json.dumps(plans[0])


def test_ctrl_c_and_on(tuned, base, chats, tmp_path):  # noqa: F811
    config = write_config(tmp_path, chats, base)
    arguments = ("train", config, *SFT, *LORA, "train.train_iters=400", "checkpoint.save_interval=0", "validation.eval_interval=0")
    job = jobs.start(*arguments, ranks=None)
    try:
        for line in job.stdout:
            if "step 2" in line or " 20/" in line:
                break
        job.send_signal(signal.SIGINT)
        job.wait(timeout=jobs.PATIENCE_SECONDS)
    finally:
        jobs.end(job)
    assert job.returncode == 75
    step = int(jobs.newest_checkpoint(adapted(config)).name.split("-")[1])
    again = jobs.run(*arguments, f"train.train_iters={step + 1}", ranks=None)
    assert "going on from" in again.stderr
