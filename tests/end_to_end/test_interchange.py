"""Models that Hugging Face's transformers made, read by Granule: the same loss, gradients and updates; and written
again, tensor by tensor. Models that Granule trained, loaded by transformers: the same loss and the same words."""
import copy
import json
import resource
import shutil
import signal
import subprocess

import jobs
import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import (AutoModelForCausalLM, AutoTokenizer, Glm4MoeConfig, LlamaConfig, MixtralConfig,
                          Qwen2MoeConfig)

torch.set_num_threads(1)
SEQUENCE = 32
SHAPE = {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": SEQUENCE, "initializer_range": 0.2,
         "rms_norm_eps": 1e-6, "bos_token_id": None, "eos_token_id": None}
EXPERTS = {"intermediate_size": 48, "moe_intermediate_size": 16, "num_experts_per_tok": 3}
MODELS = {
    "llama": LlamaConfig(**SHAPE, intermediate_size=48, head_dim=16, rope_theta=5000.0),
    "qwen2_moe": Qwen2MoeConfig(**SHAPE, **EXPERTS, num_experts=8, shared_expert_intermediate_size=32,
                                mlp_only_layers=[0], output_router_logits=False),
    "glm4_moe": Glm4MoeConfig(**SHAPE, **EXPERTS, n_routed_experts=8, n_shared_experts=2, first_k_dense_replace=1,
                              head_dim=8, partial_rotary_factor=1.0, n_group=4, topk_group=2, num_mtp_layers=0,
                              routed_scaling_factor=1.5),
    "mixtral": MixtralConfig(**SHAPE, intermediate_size=16, num_local_experts=8, num_experts_per_tok=3),
}
FAMILIES = list(MODELS)
TRAINING = ["train.global_batch_size=4", "train.micro_batch_size=2", "train.train_iters=3", "optimizer.lr=1e-2",
            "optimizer.adam_eps=1e-4",
            "scheduler.lr_warmup_iters=0", "scheduler.lr_decay_style=constant", "checkpoint.save_interval=1",
            "logger.log_interval=1", "logger.tensorboard=false", "model.moe_router_bias_update_rate=0"]


def make_model(family):
    torch.manual_seed(1)
    config = MODELS[family]
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, values in model.state_dict().items():
            if name.endswith("norm.weight"):
                values.copy_(torch.randn_like(values).mul(0.2).add(1))
            elif name.endswith("mlp.gate.weight"):
                values.copy_(torch.randn_like(values).mul(0.2))
            elif name.endswith("e_score_correction_bias"):
                values.copy_(torch.randn_like(values).mul(0.1))
            elif name.endswith("shared_expert_gate.weight"):  # Granule's shared experts are always on
                values.zero_()
    return model


@pytest.fixture(scope="module")
def models():
    return {family: make_model(family) for family in FAMILIES}


@pytest.fixture(scope="module")
def directories(models, tmp_path_factory):
    """Each as transformers writes it."""
    root = tmp_path_factory.mktemp("models")
    for family, model in models.items():
        model.save_pretrained(root / family)
    return {family: root / family for family in FAMILIES}


def stored(directory):
    tensors = {}
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()}
    return tensors


def valid_ids(data):
    return np.fromfile(data / "valid.bin", dtype=np.uint16).astype(np.int64)


@torch.no_grad()
def loss_of(model, ids):
    """Rows of SEQUENCE tokens and a shorter last one, each token a label once."""
    whole = (len(ids) - 1) // SEQUENCE * SEQUENCE
    total = 0
    for tokens, labels in ((ids[:whole].reshape(-1, SEQUENCE), ids[1:whole + 1].reshape(-1, SEQUENCE)),
                           (ids[whole:-1][None], ids[whole + 1:][None])):
        if tokens.size:
            logits = model(torch.from_numpy(tokens)).logits.float()
            total += torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(labels).flatten(),
                                                       reduction="sum").item()
    return total / (len(ids) - 1)


def evaluated(model, data, *overrides, ranks=None):
    job = jobs.run("eval", model, *overrides, "--json", "--data", data / "valid", ranks=ranks)
    return json.loads(job.stdout)["loss"]


@pytest.fixture(scope="module")
def runs(directories, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for family, directory in directories.items():
        jobs.run("import", directory, root / family, ranks=2 if family == "qwen2_moe" else None)
    return {family: root / family for family in FAMILIES}


def load(directory):
    return AutoModelForCausalLM.from_pretrained(directory, attn_implementation="eager",
                                                experts_implementation="eager").float().eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_of_a_model_made_by_transformers(family, models, runs, data):
    assert evaluated(runs[family], data) == pytest.approx(loss_of(models[family], valid_ids(data)), rel=1e-5)


@pytest.mark.parametrize("family, dtype, options", [
    ("llama", "float16", {"max_shard_size": "20KB"}),
    ("qwen2_moe", "bfloat16", {"save_original_format": False}),
    ("glm4_moe", "float16", {"save_original_format": False, "max_shard_size": "30KB"}),
    ("mixtral", "bfloat16", {"save_original_format": False, "max_shard_size": "30KB"})])
def test_all_forms_that_transformers_write_are_read_in_place(family, dtype, options, models, data, tmp_path):
    rounded = copy.deepcopy(models[family]).to(getattr(torch, dtype))
    rounded.save_pretrained(tmp_path, **options)
    shards = len(list(tmp_path.glob("*.safetensors")))
    assert (shards > 1) == ("max_shard_size" in options)
    assert ("model.layers.2.mlp.experts.gate_up_proj" in stored(tmp_path)) == ("save_original_format" in options)
    # Loaded anew: `to` has rounded the rotary frequencies too, which no file holds.
    expected = loss_of(load(tmp_path), valid_ids(data))
    assert evaluated(tmp_path, data, "train.precision=fp32") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_imported_is_exported_byte_by_byte(family, models, directories, runs, tmp_path):
    jobs.run("export", runs[family], tmp_path, "--to", family, "--max-shard-size", "30KB",
             ranks=2 if family == "glm4_moe" else None)
    ours, theirs = stored(tmp_path), stored(directories[family])
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        assert ours[name].dtype == values.dtype and torch.equal(ours[name], values), name
    ids = torch.arange(SEQUENCE)[None] * 7 % 320
    with torch.no_grad():
        assert torch.equal(load(tmp_path)(ids).logits, models[family](ids).logits)


def train_with_torch(model, batches):
    """As TRAINING says; returns losses and the first gradients."""
    model = copy.deepcopy(model).train()
    groups = []
    for name, parameter in model.named_parameters():
        group = {"params": [parameter], "lr": 1e-2, "weight_decay": 0.0 if name.endswith("norm.weight") else 0.1}
        if name.endswith(("_proj.bias", "shared_expert_gate.weight")):  # what Granule does not have stays as it is
            parameter.requires_grad_(False)
        elif name.endswith("shared_expert.down_proj.weight"):  # stored twice as large, trained as what it stands for
            parameter.register_hook(lambda gradient: 2 * gradient)
            group |= {"lr": 2e-2, "weight_decay": 0.05}
        groups.append(group)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-4)
    losses, gradients = [], None
    for rows in batches:
        optimizer.zero_grad()
        logits = model(rows[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        gradients = gradients or {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        optimizer.step()
        losses.append(loss.item())
    return model, losses, gradients


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_and_updates_are_those_of_transformers(family, models, runs, directories, data, tmp_path):
    start = [] if family == "llama" else [f"checkpoint.load={directories[family]}", "checkpoint.finetune=true"]
    layout = ["parallel.expert=2"] if family == "qwen2_moe" else []
    arguments = [runs[family] / "config.yaml", f"data.train=[{data}/train]", *TRAINING, *start, *layout]
    run = runs[family].with_name(f"{family}-trained") if start else runs[family]
    arguments.append(f"run_dir={run}")
    batches = [torch.tensor(json.loads(jobs.run("inspect", "batch", *arguments, "--step", step, ranks=None).stdout)
                            ["tokens"]) for step in range(3)]
    jobs.run("train", *arguments, ranks=2 if layout else 1)
    twin, losses, gradients = train_with_torch(models[family], batches)

    assert list(jobs.metrics(run).values()) == pytest.approx(losses, rel=1e-4)
    twin.save_pretrained(tmp_path / "twin")
    jobs.run("export", run, tmp_path / "ours", "--to", family, ranks=None)
    ours = stored(tmp_path / "ours")
    for name, values in stored(tmp_path / "twin").items():
        assert torch.allclose(ours[name], values, rtol=1e-4, atol=2e-5), name
    moments = jobs.tensors(run / "checkpoints" / "step-0000001")
    compared = 0
    for name, expected in gradients.items():  # the first moment after one update is a tenth of the gradient
        moment = moments.get("exp_avg/" + name.replace(".shared_expert.", ".shared_experts."))
        if moment is not None:  # transformers has stacks of experts
            compared += 1
            assert np.allclose(moment * 10, expected, rtol=1e-3, atol=1e-6), name
    assert compared > 20


def test_a_run_from_a_directory_must_have_its_settings(runs, directories, data, tmp_path):
    arguments = [runs["llama"] / "config.yaml", f"run_dir={tmp_path}", f"data.train=[{data}/train]", *TRAINING,
                 f"checkpoint.load={directories['llama']}"]
    error = jobs.run("train", *arguments, "checkpoint.finetune=false", ranks=None, code=2).stderr
    assert "checkpoint.finetune = false" in error
    error = jobs.run("train", *arguments, "model.rope_theta=10000", ranks=None, code=2).stderr
    assert "model.rope_theta = 10000 differs" in error


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Softmax with two shared experts, sigmoid with bias and without shared experts: as Granule trains them."""
    sigmoid = ["model.scoring_func=sigmoid", "model.moe_router_enable_expert_bias=true", "model.norm_topk_prob=true",
               "model.routed_scaling_factor=2.5", "model.n_shared_experts=0", "model.moe_router_bias_update_rate=0.02"]
    found = {}
    for name, settings in (("softmax", []), ("sigmoid", sigmoid), ("bf16", ["train.precision=bf16"])):
        config = jobs.write_config(tmp_path_factory.mktemp(name), data)
        jobs.run("train", config, "optimizer.lr=1e-2", *settings, ranks=None)
        found[name] = config.parent / "run"
    return found


@pytest.mark.parametrize("run, to, tolerance", [("softmax", "qwen2_moe", 1e-5), ("sigmoid", "glm4_moe", 1e-5),
                                                ("bf16", "qwen2_moe", 3e-3)])
def test_a_model_that_granule_trained_is_the_same_in_transformers(run, to, tolerance, trained, data, tmp_path):
    jobs.run("export", trained[run], tmp_path / "out", "--to", to, ranks=None)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["dtype"] == ("bfloat16" if run == "bf16" else "float32")
    model = load(tmp_path / "out")
    assert evaluated(trained[run], data) == pytest.approx(loss_of(model, valid_ids(data)), rel=tolerance)

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert config["eos_token_id"] == tokenizer.eos_token_id
    prompt = "The router"
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    if run == "bf16":
        return
    with torch.no_grad():
        for _ in range(12):
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], 1)
    text = jobs.run("generate", tmp_path / "out", "--prompt", prompt, "--temperature", 0, "--max-tokens", 12,
                    ranks=None).stdout
    assert text.rstrip("\n") == tokenizer.decode(ids[0], skip_special_tokens=True).rstrip("\n")
    # And back again: nothing is lost on the way.
    jobs.run("import", tmp_path / "out", tmp_path / "back", ranks=None)
    before = {name: values for name, values in jobs.tensors(jobs.newest_checkpoint(trained[run])).items()
              if name.startswith("parameter/")}
    after = jobs.tensors(jobs.newest_checkpoint(tmp_path / "back"))
    assert after.keys() == before.keys()
    for name, values in before.items():
        assert np.array_equal(after[name], values), name


def test_deepseek_names_are_those_of_the_public_checkpoint(trained, tmp_path):
    jobs.run("export", trained["softmax"], tmp_path, "--to", "deepseek", "--dtype", "bf16", ranks=None)
    expected = {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"}
    for layer in range(3):
        block = f"model.layers.{layer}."
        expected |= {block + name for name in ("input_layernorm.weight", "post_attention_layernorm.weight")}
        expected |= {f"{block}self_attn.{part}_proj.weight" for part in "qkvo"}
        mlps = ["mlp."] if layer == 0 else ["mlp.shared_experts.", *(f"mlp.experts.{e}." for e in range(8))]
        expected |= {f"{block}{mlp}{part}_proj.weight" for mlp in mlps for part in ("gate", "up", "down")}
        expected |= {block + "mlp.gate.weight"} if layer > 0 else set()
    tensors = stored(tmp_path)
    assert tensors.keys() == expected
    assert {values.dtype for values in tensors.values()} == {torch.bfloat16}
    parameters = jobs.tensors(jobs.newest_checkpoint(trained["softmax"]))
    for name, values in tensors.items():
        assert torch.equal(values, torch.from_numpy(parameters["parameter/" + name]).bfloat16()), name


def test_files_beside_the_tokenizer_travel_along(directories, trained, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(directories["llama"], source)
    (source / "generation_config.json").unlink()
    texts = {"tokenizer.json": (trained["softmax"] / "tokenizer.json").read_text(),
             "tokenizer_config.json": (trained["softmax"] / "tokenizer_config.json").read_text(),
             "special_tokens_map.json": "{}", "chat_template.jinja": "{{ messages }}",
             "generation_config.json": '{"bos_token_id": 7, "eos_token_id": [5, 6]}'}
    for name, text in texts.items():
        (source / name).write_text(text)
    jobs.run("import", source, tmp_path / "run", ranks=None)
    jobs.run("export", jobs.newest_checkpoint(tmp_path / "run"), tmp_path / "out", ranks=None)
    for name, text in texts.items():
        assert (tmp_path / "out" / name).read_text() == text, name
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"]) == (7, 5)


def test_a_tokenizer_that_is_named_is_exported_in_the_place_of_the_models_own(trained, tmp_path):
    named = json.loads((trained["softmax"] / "tokenizer.json").read_text())
    vocab = named["model"]["vocab"]
    vocab.update(a=vocab["e"], e=vocab["a"])
    (tmp_path / "named").mkdir()
    for name, content in (("swapped.json", named), ("tokenizer_config.json", {"model_max_length": 77})):
        (tmp_path / "named" / name).write_text(json.dumps(content))
    jobs.run("export", trained["softmax"], tmp_path / "out", f"data.tokenizer={tmp_path}/named/swapped.json", ranks=None)
    assert json.loads((tmp_path / "out/tokenizer.json").read_text()) == named
    assert json.loads((tmp_path / "out/tokenizer_config.json").read_text()) == {"model_max_length": 77}
    error = jobs.run("export", trained["softmax"], tmp_path / "none", f"data.tokenizer={tmp_path}/none.json", ranks=None,
                     code=2).stderr
    assert "none.json is not there" in error and not (tmp_path / "none/config.json").exists()


def test_files_beside_the_weights_travel_without_a_tokenizer(directories, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(directories["llama"], source)
    texts = {"generation_config.json": '{"eos_token_id": 5}', "tokenizer.model": "pieces", "chat_template.jinja": "{}"}
    for name, text in texts.items():
        (source / name).write_text(text)
    jobs.run("import", source, tmp_path / "run", ranks=None)
    for step, out in ((jobs.newest_checkpoint(tmp_path / "run"), "imported"), (source, "in_place")):
        jobs.run("export", step, tmp_path / out, ranks=None)
        assert {name: (tmp_path / out / name).read_text() for name in texts} == texts
        assert json.loads((tmp_path / out / "config.json").read_text())["eos_token_id"] == 5


def test_ends_of_texts_that_only_config_json_names_travel_along(directories, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(directories["llama"], source)
    (source / "generation_config.json").unlink()
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "bos_token_id": 1, "eos_token_id": [2, 3]}))
    jobs.run("import", source, tmp_path / "run", ranks=None)
    jobs.run("export", tmp_path / "run", tmp_path / "out", ranks=None)
    written = json.loads((tmp_path / "out/generation_config.json").read_text())
    assert (written["bos_token_id"], written["eos_token_id"]) == (1, [2, 3])


def test_the_config_of_an_import_trains_from_the_imported_model_wherever_it_runs(directories, data, tmp_path):
    jobs.run("import", directories["llama"], tmp_path / "run", ranks=None)
    shutil.rmtree(tmp_path / "run/checkpoints")  # the import did not get so far
    for own in ((), (f"run_dir={tmp_path}/elsewhere",)):
        job = jobs.run("train", tmp_path / "run/config.yaml", *own, f"data.train=[{data}/train]", "train.seq_length=32",
                       "train.train_iters=1", "scheduler.lr_warmup_iters=0", ranks=None)
        assert f"starting from the parameters of {directories['llama']}" in job.stderr
    error = jobs.run("train", tmp_path / "run/config.yaml", f"run_dir={directories['llama']}", ranks=None, code=3).stderr
    assert "would hide the run's checkpoints" in error


def fill_the_disk():
    """No file may grow beyond what tokenizers and small tensors take."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))


def test_a_failed_export_is_no_model_and_is_done_again(directories, data, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    jobs.run("import", directories["llama"], run, ranks=None)
    export = ("export", run, out, "--max-shard-size", "10KB")
    job = subprocess.run(jobs.command(*export, ranks=None), env=jobs.environment(), preexec_fn=fill_the_disk,
                         capture_output=True, text=True, timeout=jobs.PATIENCE_SECONDS)
    assert job.returncode != 0 and "File too large" in job.stderr
    assert (out / "unfinished_export").exists() and not (out / "config.json").exists()
    assert "did not finish" in jobs.run("eval", out, "--data", data / "valid", ranks=None, code=3).stderr

    (out / "notes.txt").write_text("mine")
    error = jobs.run(*export, ranks=None, code=3).stderr
    assert "but also notes.txt" in error
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    (out / "model-00003-of-00099.safetensors.tmp-1").write_text("not listed")
    assert "but also model-00003-of-00099" in jobs.run(*export, ranks=None, code=3).stderr
    (out / "model-00003-of-00099.safetensors.tmp-1").unlink()

    jobs.run("export", run, out, ranks=2)
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "generation_config.json", "model.safetensors"]
    assert evaluated(out, data) == evaluated(run, data)


def test_what_cannot_be_is_refused_with_its_reason(trained, runs, directories, tmp_path):
    error = jobs.run("export", trained["sigmoid"], tmp_path / "x", "--to", "qwen2_moe", ranks=None, code=2).stderr
    assert "model.scoring_func = sigmoid; glm4_moe can" in error
    assert not (tmp_path / "x").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("mine")
    assert "is not empty" in jobs.run("export", runs["llama"], tmp_path / "full", ranks=None, code=3).stderr
    assert "has checkpoints already" in jobs.run("import", directories["llama"], runs["llama"], ranks=None, code=3).stderr
    assert "none: there is no such directory" in jobs.run("import", tmp_path / "none", tmp_path / "x", ranks=None,
                                                          code=3).stderr
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.yaml").write_text("run_dir: mine\n")
    for problem in ("is of no run", "is the config of another run"):
        assert problem in jobs.run("import", directories["llama"], tmp_path / "begun", ranks=None, code=3).stderr
        assert (tmp_path / "begun" / "config.yaml").read_text() == "run_dir: mine\n"
        (tmp_path / "begun" / "lock").touch()

    shutil.copytree(directories["glm4_moe"], tmp_path / "half")
    config = json.loads((tmp_path / "half" / "config.json").read_text())
    config["rope_parameters"]["partial_rotary_factor"] = 0.5
    (tmp_path / "half" / "config.json").write_text(json.dumps(config))
    error = jobs.run("import", tmp_path / "half", tmp_path / "run", ranks=2, code=3).stderr
    assert "rope_parameters.partial_rotary_factor is 0.5" in error
    assert not (tmp_path / "run").exists()
