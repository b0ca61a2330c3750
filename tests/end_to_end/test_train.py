"""Pretraining through the command line: layouts, resume, signals, bad input."""
import json
import random
import shutil
import signal
import subprocess
import time

import jobs
import pytest


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    """Ten steps on two expert-parallel ranks, never stopped."""
    config = jobs.write_config(tmp_path_factory.mktemp("unbroken"), data)
    job = jobs.run("train", config, "parallel.expert=2", ranks=2)
    return config.parent / "run", job


def test_run_directory_holds_everything_and_loss_falls(unbroken):
    run_dir, job = unbroken
    for name in ("config.yaml", "tokenizer.json", "metrics.jsonl", "checkpoints/step-0000010/manifest.json",
                 "checkpoints/latest"):
        assert (run_dir / name).exists(), name
    losses = jobs.metrics(run_dir)
    assert list(losses) == list(range(1, 11))
    assert losses[10] < losses[1] - 0.3
    assert jobs.metrics(run_dir, "lm loss validation").keys() == {5, 10}
    assert "lm loss: " in job.stdout + job.stderr


@pytest.mark.parametrize("ranks, expert", [(None, 1), (1, 1), (2, 1), (4, 4), (4, 2), (8, 8), (8, 2)])
def test_every_layout_trains_the_same(unbroken, data, tmp_path, ranks, expert):
    config = jobs.write_config(tmp_path, data)
    jobs.run("train", config, f"parallel.expert={expert}", "train.micro_batch_size=1", ranks=ranks)
    for name, tolerance in (("lm loss", 1e-5), ("lm loss validation", 1e-5), ("load_balancing_loss", 1e-4),
                            ("grad-norm", 1e-3)):
        ours, theirs = jobs.metrics(tmp_path / "run", name), jobs.metrics(unbroken[0], name)
        assert ours.keys() == theirs.keys()
        for step in ours:
            assert ours[step] == pytest.approx(theirs[step], rel=tolerance), (name, step)


def test_stop_by_signal_and_resume_equal_the_unbroken_run_bit_by_bit(unbroken, data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    # Long enough that the signal comes amid training; the length of the run changes neither data nor constant rates.
    arguments = ("train", config, "parallel.expert=2", "scheduler.lr_decay_style=constant")
    job = jobs.start(*arguments, "train.train_iters=100000", ranks=2)
    try:
        while not (tmp_path / "run/metrics.jsonl").exists() or len(jobs.metrics(tmp_path / "run")) < 3:
            assert job.poll() is None, job.stdout.read()
            time.sleep(0.05)
        job.send_signal(signal.SIGUSR1)
        output, _ = job.communicate(timeout=jobs.PATIENCE_SECONDS)
        assert job.returncode == 75, output
    finally:
        jobs.end(job)
    stopped_at = int(jobs.newest_checkpoint(tmp_path / "run").name.removeprefix("step-"))
    end = stopped_at + 5
    jobs.run(*arguments, f"train.train_iters={end}", ranks=2)

    other = jobs.write_config(tmp_path / "other", data)
    jobs.run("train", other, *arguments[2:], f"train.train_iters={end}", ranks=2)
    assert jobs.metrics(tmp_path / "run") == jobs.metrics(tmp_path / "other/run")
    assert jobs.metrics(tmp_path / "run", "grad-norm") == jobs.metrics(tmp_path / "other/run", "grad-norm")
    jobs.assert_same_state(jobs.newest_checkpoint(tmp_path / "run"), jobs.newest_checkpoint(tmp_path / "other/run"))


def test_state_is_the_same_after_any_change_of_layout(unbroken, data, tmp_path):
    first = jobs.newest_checkpoint(unbroken[0])
    for number, (ranks, expert) in enumerate([(4, 4), (2, 1), (1, 1), (4, 2)]):
        config = jobs.write_config(tmp_path / str(number), data)
        # Nothing is left to train: the state is loaded in one layout and written again in another.
        shutil.copytree(first.parent, config.parent / "run/checkpoints")
        jobs.run("train", config, f"parallel.expert={expert}", "train.train_iters=11", "optimizer.lr=0",
                 "optimizer.min_lr=0", ranks=ranks)
        loaded = jobs.tensors(config.parent / "run/checkpoints/step-0000011")
        original = jobs.tensors(first)
        for name, values in original.items():
            if name.startswith("parameter/"):
                assert (loaded[name] == values).all(), name


def test_newest_damaged_checkpoint_is_named_and_the_one_before_taken(unbroken, data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    shutil.copytree(unbroken[0], tmp_path / "run")
    newest = jobs.newest_checkpoint(tmp_path / "run")
    shard = max(newest.glob("*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    job = jobs.run("train", config, "parallel.expert=2", ranks=2)
    assert shard.name in job.stderr and "step-0000005" in job.stderr
    assert jobs.metrics(tmp_path / "run") == jobs.metrics(unbroken[0])
    jobs.assert_same_state(tmp_path / "run/checkpoints/step-0000010", newest.with_name("step-0000010"))


def test_fewer_steps_than_were_done_are_refused(unbroken, data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    shutil.copytree(unbroken[0], tmp_path / "run")
    before = (tmp_path / "run/config.yaml").read_text()
    job = jobs.run("train", config, "train.train_iters=7", "scheduler.lr_decay_style=constant", ranks=2, code=2)
    assert "train.train_iters" in job.stderr and "has done 10" in job.stderr
    assert (tmp_path / "run/config.yaml").read_text() == before


def test_another_batch_size_goes_on_from_the_sample_that_was_reached(data, tmp_path):
    # The model stands still: a loss says which samples were read.
    still = ("optimizer.lr=0", "optimizer.min_lr=0", "scheduler.lr_decay_style=constant")
    config, whole = jobs.write_config(tmp_path, data), jobs.write_config(tmp_path / "whole", data)
    jobs.run("train", config, *still, "train.train_iters=2", ranks=None)
    jobs.run("train", config, *still, "train.train_iters=6", "train.global_batch_size=4", ranks=2)
    jobs.run("train", whole, *still, "train.train_iters=8", "train.global_batch_size=4", ranks=None)
    resumed, expected = jobs.metrics(tmp_path / "run"), jobs.metrics(tmp_path / "whole/run")
    for step in range(3, 7):
        assert resumed[step] == pytest.approx(expected[step + 2], rel=1e-6)


def test_another_order_of_the_data_is_said(unbroken, data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    shutil.copytree(unbroken[0], tmp_path / "run")
    job = jobs.run("train", config, "train.train_iters=11", "rng.seed=77", ranks=2)
    assert "the data come in another order" in job.stderr
    job = jobs.run("train", config, "train.train_iters=12", "rng.seed=77", ranks=2)
    assert "the data come in another order" not in job.stderr


def test_other_documents_in_a_file_of_the_same_name_are_said(data, tmp_path):
    copy = shutil.copytree(data, tmp_path / "data")
    config = jobs.write_config(tmp_path, copy)
    constant = ("train", config, "scheduler.lr_decay_style=constant")
    jobs.run(*constant, "train.train_iters=1", ranks=None)
    assert "in another order" not in jobs.run(*constant, "train.train_iters=2", ranks=None).stderr
    for ending in ("bin", "idx"):
        shutil.copy(copy / f"valid.{ending}", copy / f"train.{ending}")
    assert "in another order" in jobs.run(*constant, "train.train_iters=3", ranks=None).stderr


def test_a_config_of_another_version_beside_a_checkpoint_stops_no_run(unbroken, data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    shutil.copytree(unbroken[0], tmp_path / "run")
    kept = jobs.newest_checkpoint(tmp_path / "run") / "config.yaml"
    kept.write_text(kept.read_text().replace("log_interval:", "lag_interval:"))
    job = jobs.run("train", config, "train.train_iters=11", "checkpoint.verify=false", ranks=2)
    assert "cannot be told" in job.stderr and "lag_interval" in job.stderr
    assert jobs.newest_checkpoint(tmp_path / "run").name == "step-0000011"


def test_what_first_values_are_made_from_is_needed_once(data, tmp_path):
    counts = tmp_path / "counts.txt"
    counts.write_text("3\n1\n" * 160)
    config = jobs.write_config(tmp_path, data)
    hashed = ("model.moe_router_type=hash", "model.num_experts_per_tok=1", "model.moe_aux_loss_coeff=0",
              f"model.moe_router_hash_counts={counts}", "scheduler.lr_decay_style=constant")
    jobs.run("train", config, *hashed, "train.train_iters=1", ranks=None)
    counts.unlink()
    jobs.run("train", config, *hashed, "train.train_iters=2", ranks=2)
    first, second = (jobs.tensors(tmp_path / f"run/checkpoints/step-000000{step}") for step in (1, 2))
    tables = [name for name in first if name.startswith("parameter/") and name.endswith("tid2eid")]
    assert len(tables) == 2 and all((first[name] == second[name]).all() for name in tables)
    tuned, fresh = f"run_dir={tmp_path}/tuned", f"run_dir={tmp_path}/fresh"
    jobs.run("train", config, *hashed, "train.train_iters=1", tuned, f"checkpoint.load={tmp_path}/run",
             "checkpoint.finetune=true", ranks=None)
    job = jobs.run("train", config, *hashed, "train.train_iters=1", fresh, ranks=None, code=3)
    assert "counts.txt" in job.stderr


@pytest.mark.parametrize("trial", range(20))
def test_killed_rank_during_saves_loses_no_committed_checkpoint(unbroken, data, tmp_path, trial):
    chance = random.Random(trial)
    config = jobs.write_config(tmp_path, data, **{"save_interval: 5": "save_interval: 1"})
    job = jobs.start("train", config, "parallel.expert=2", ranks=2)
    try:
        while not list((tmp_path / "run/checkpoints").glob("step-*")):
            assert job.poll() is None, job.stdout.read()
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.6))
        jobs.kill_rank(job, chance.randrange(2))
        job.wait(timeout=60)
    finally:
        jobs.end(job)
    jobs.run("train", config, "parallel.expert=2", ranks=2)
    assert jobs.metrics(tmp_path / "run") == jobs.metrics(unbroken[0])
    jobs.assert_same_state(jobs.newest_checkpoint(tmp_path / "run"), jobs.newest_checkpoint(unbroken[0]))


def test_interrupt_of_a_single_rank_writes_a_checkpoint(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    job = jobs.start("train", config, "train.train_iters=100000", ranks=None)
    try:
        jobs.wait_for_steps(job, tmp_path / "run", 2)
        job.send_signal(signal.SIGINT)
        output, _ = job.communicate(timeout=jobs.PATIENCE_SECONDS)
    finally:
        jobs.end(job)
    assert job.returncode == 75, output
    assert jobs.newest_checkpoint(tmp_path / "run").exists()


def test_non_finite_steps_are_skipped_on_all_ranks_and_end_the_run(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    job = jobs.run("train", config, "parallel.expert=2", "model.initializer_range=1", "optimizer.lr=1e30",
                   "optimizer.clip_grad=0", "scheduler.lr_warmup_iters=0", "train.max_skipped_in_a_row=3",
                   "train.train_iters=50", ranks=2, code=17)
    assert "3 steps in a row" in job.stderr


def test_second_job_on_the_same_run_directory_is_refused(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    first = jobs.start("train", config, "train.train_iters=100000", ranks=None)
    try:
        while not (tmp_path / "run/metrics.jsonl").exists():
            assert first.poll() is None
            time.sleep(0.05)
        job = jobs.run("train", config, ranks=None, code=3)
        assert "another run is writing here" in job.stderr
    finally:
        jobs.end(first)


@pytest.mark.parametrize("old, new, expected", [
    ("hidden_size: 32", "hiden_size: 32", ['config.yaml:4:3', 'model.hiden_size', 'did you mean "hidden_size"']),
    ("train_iters: 10", "train_iters: ten", ["config.yaml:", "train.train_iters", "whole number"]),
    ("lr: 3.0e-3", "lr: 3.0e-3\n  lr: 1", ["duplicate key", '"lr"']),
    ("num_experts_per_tok: 3", "num_experts_per_tok: 9", ["num_experts_per_tok", "n_routed_experts = 8"]),
    ("micro_batch_size: 2", "micro_batch_size: 3", ["train.global_batch_size = 8", "multiple of 6"]),
    ("save_interval: 5", "save_interval: -5", ["checkpoint.save_interval", "at least 0"]),
    ("optimizer:", "optimizr:", ['did you mean "optimizer"']),
    ("  lr_warmup_iters: 3", "  lr_warmup_iters: &a 3", ["anchors"]),
])
def test_bad_config_is_refused_with_place_and_remedy(data, tmp_path, old, new, expected):
    config = jobs.write_config(tmp_path, data, **{old: new})
    job = jobs.run("train", config, ranks=2, code=2)
    for text in expected:
        assert text in job.stderr
    assert not (tmp_path / "run").exists()


def test_layout_that_does_not_divide_is_refused(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    assert "must divide 3" in jobs.run("train", config, "parallel.expert=2", ranks=3, code=2).stderr
    assert "must divide model.n_routed_experts = 8" in jobs.run(
        "train", config, "parallel.expert=3", "train.global_batch_size=6", ranks=3, code=2).stderr


def test_missing_and_truncated_files_are_refused_by_name(data, tmp_path):
    assert "missing.yaml" in jobs.run("train", tmp_path / "missing.yaml", ranks=None, code=3).stderr
    copy = shutil.copytree(data, tmp_path / "data")
    (copy / "train.idx").write_bytes((copy / "train.idx").read_bytes()[:-3])
    assert "train.idx" in jobs.run("train", jobs.write_config(tmp_path, copy), ranks=2, code=3).stderr


def test_a_tokenizer_that_was_asked_for_must_be_there(data, tmp_path):
    job = jobs.run("train", jobs.write_config(tmp_path, data), f"data.tokenizer={tmp_path}/none.json", ranks=2, code=2)
    assert "data.tokenizer" in job.stderr and "none.json is not there" in job.stderr


def test_a_tokenizer_that_cannot_be_read_is_carried_along_unless_it_was_asked_for(data, tmp_path):
    copy = shutil.copytree(data, tmp_path / "data")
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["normalizer"] = {"type": "NFC"}
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    config, run = jobs.write_config(tmp_path, copy), tmp_path / "run"
    warning = "warning (rank 0): no bits per byte: "

    named = f"data.tokenizer={copy}/tokenizer.json"
    assert 'has type "NFC"' in jobs.run("train", config, named, ranks=2, code=3).stderr
    assert jobs.run("train", config, ranks=2).stderr.count(warning) == 1
    assert 10 in jobs.metrics(run, "lm loss validation") and not jobs.metrics(run, "lm loss validation bpb")
    for directory in (run, jobs.newest_checkpoint(run)):
        assert json.loads((directory / "tokenizer.json").read_text()) == tokenizer

    job = jobs.run("eval", run, "--json", ranks=2)
    assert job.stderr.count(warning) == 1 and "bits_per_byte" not in json.loads(job.stdout)
    for arguments in (("eval", named), ("generate", "--prompt", "x")):
        assert 'has type "NFC"' in jobs.run(arguments[0], run, *arguments[1:], ranks=None, code=3).stderr


def test_printed_config_is_complete_and_reads_back_the_same(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    printed = jobs.run("train", config, "--print-config", ranks=None).stdout
    assert "adam_beta2: 0.95" in printed
    again = tmp_path / "again.yaml"
    again.write_text(printed)
    assert jobs.run("train", again, "--print-config", ranks=None).stdout == printed


def test_output_that_cannot_be_written_is_no_success(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    with open("/dev/full", "w") as full:
        job = subprocess.run(jobs.command("inspect", "batch", config, ranks=None), env=jobs.environment(), stdout=full,
                             stderr=subprocess.PIPE, text=True)
    assert job.returncode == 1 and "standard output: cannot write" in job.stderr


def test_batch_of_a_step_is_what_the_ranks_train_on(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    batch = json.loads(jobs.run("inspect", "batch", config, "--step", 3, ranks=None).stdout)
    assert batch["step"] == 3 and len(batch["tokens"]) == 8
    assert all(len(row) == 33 for row in batch["tokens"])
    other = json.loads(jobs.run("inspect", "batch", config, "--step", 3, "train.micro_batch_size=8", ranks=None).stdout)
    assert other == batch
    assert json.loads(jobs.run("inspect", "batch", config, "--step", 4, ranks=None).stdout)["tokens"] != batch["tokens"]


def test_the_model_of_a_checkpoint_is_the_only_one_it_goes_on_as(unbroken, data, tmp_path):
    """Settings that no shape of a parameter shows."""
    config = jobs.write_config(tmp_path, data)
    shutil.copytree(unbroken[0], tmp_path / "run")
    before = (tmp_path / "run/config.yaml").read_text()
    other = ("train.train_iters=11", "model.rope_theta=500")
    error = jobs.run("train", config, *other, ranks=2, code=2).stderr
    assert "model.rope_theta = 500 differs from" in error and "step-0000010/config.yaml, which makes it 10000" in error
    assert (tmp_path / "run/config.yaml").read_text() == before
    tuning = ("train", config, f"run_dir={tmp_path}/tuned", f"checkpoint.load={unbroken[0]}", "checkpoint.finetune=true")
    error = jobs.run(*tuning, "model.scoring_func=sigmoid", ranks=None, code=2).stderr
    assert "model.scoring_func = sigmoid differs from" in error
    # What only training knows may change.
    jobs.run(*tuning, "model.moe_aux_loss_coeff=0.5", "train.train_iters=3", ranks=None)


def test_a_streak_of_skipped_steps_leaves_the_checkpoints_from_before_it(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    arguments = ("train", config, "scheduler.lr_decay_style=constant", "scheduler.lr_warmup_iters=0",
                 "checkpoint.save_interval=1", "checkpoint.most_recent_k=4")
    jobs.run(*arguments, "train.train_iters=4", ranks=None)
    error = jobs.run(*arguments, "train.train_iters=40", "optimizer.lr=1e20", "optimizer.clip_grad=0", ranks=None, code=17).stderr
    last_update = int(error.split("The update of step ")[1].split()[0])
    kept = sorted(int(path.name[5:]) for path in (tmp_path / "run/checkpoints").glob("step-*"))
    assert kept[-1] == last_update and 4 in kept
    # As the error advises.
    for step in range(last_update, 41):
        shutil.rmtree(tmp_path / f"run/checkpoints/step-{step:07}", ignore_errors=True)
    jobs.run(*arguments, "train.train_iters=12", ranks=None)


def test_a_stop_ends_a_validation(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    whole = ", ".join([f"{data}/train"] * 40)
    job = jobs.start("train", config, f"data.valid=[{whole}]", "validation.eval_interval=1", "validation.eval_iters=0", ranks=2)
    try:
        jobs.wait_for_steps(job, tmp_path / "run", 1)
        time.sleep(0.5)
        job.send_signal(signal.SIGUSR1)
        output, _ = job.communicate(timeout=jobs.PATIENCE_SECONDS)
    finally:
        jobs.end(job)
    assert job.returncode == 75, output
    assert "the validation of step 1 waits for the next start" in output
    assert jobs.newest_checkpoint(tmp_path / "run").name == "step-0000001"
    # A second stop leaves it out, or no start would get beyond it; that of the last step waits again.
    outputs = []
    for code, *own in ((75, "train.exit_duration_in_mins=1e-6"), (0,)):
        outputs.append(jobs.run("train", config, "train.train_iters=2", "scheduler.lr_decay_style=constant",
                                "scheduler.lr_warmup_iters=0", "validation.eval_interval=1", *own, ranks=2, code=code).stderr)
    assert "the validation of step 1 is left out" in outputs[0] and "the validation of step 2 waits" in outputs[0]
    assert set(jobs.metrics(tmp_path / "run", "lm loss validation")) == {2}


def test_token_files_of_another_vocabulary_are_refused(data, tmp_path):
    other = shutil.copytree(data, tmp_path / "other")
    tokenizer = json.loads((data / "tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    (first, one), (second, two) = list(vocab.items())[:2]
    vocab.update({first: two, second: one})
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = jobs.write_config(tmp_path, data)
    blend = ("train", config, f"data.train=[{data}/train, {other}/train]", "train.train_iters=4")
    error = jobs.run(*blend, ranks=None, code=3).stderr
    assert f"{other}/train: holds ids of {other}/tokenizer.json, where " in error
    jobs.run(*blend, f"data.tokenizer={data}/tokenizer.json", ranks=None)
    run = tmp_path / "run"
    jobs.run("eval", run, ranks=None)
    assert "holds ids of" in jobs.run("eval", run, "--data", other / "valid", ranks=None, code=3).stderr
    jobs.run("eval", run, "--data", other / "valid", f"data.tokenizer={data}/tokenizer.json", ranks=None)
    tuning = ("train", config, f"run_dir={tmp_path}/tuned", f"checkpoint.load={run}", "checkpoint.finetune=true")
    assert "holds ids of" in jobs.run(*tuning, f"data.train=[{other}/train]", ranks=None, code=3).stderr


def test_the_clock_stops_a_run_with_a_checkpoint(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    jobs.run("train", config, "train.train_iters=1000000", "train.exit_duration_in_mins=0.02", ranks=2, code=75)
    assert jobs.newest_checkpoint(tmp_path / "run").exists()


def test_a_rank_that_stands_still_ends_the_job(data, tmp_path):
    config = jobs.write_config(tmp_path, data)
    job = jobs.start("train", config, "train.train_iters=1000000", "checkpoint.save_interval=0",
                     "validation.eval_interval=0", "parallel.timeout_seconds=2", ranks=2)
    try:
        jobs.wait_for_steps(job, tmp_path / "run", 1)
        jobs.kill_rank(job, 1, signal.SIGSTOP)
        output, _ = job.communicate(timeout=jobs.PATIENCE_SECONDS)
    finally:
        jobs.end(job)
    assert job.returncode == 18, output
    assert "a rank is dead, stopped, too slow or in another collective" in output
