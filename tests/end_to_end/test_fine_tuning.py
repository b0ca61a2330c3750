"""Supervised fine-tuning through the command line: from conversations to a run, and what can be wrong with them."""
import json
import math
import shutil

import jobs
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen2MoeConfig

CHATS = [
    {"messages": [{"role": "user", "content": "What is two and two?"}, {"role": "assistant", "content": "Four."},
                  {"role": "user", "content": "And three and three?"}, {"role": "assistant", "content": "Six."}]},
    {"messages": [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "Sky?"},
                  {"role": "assistant", "content": "Blue"}]},
    {"instruction": "Turn it round.", "input": "abc", "output": "cba"},
    {"instruction": "Say hello.", "output": "Hello!"},
    {"prompt": "Count.", "completion": "One, two, three."},
    {"question": "How long is a metre?", "answer": "100 centimetres"},
    {"conversations": [{"from": "human", "value": "Grüße?"}, {"from": "gpt", "value": " ¡Olé! 日本"}]},
    *({"prompt": f"What comes after {n}?", "completion": f"After {n} comes {n + 1}."} for n in range(12)),
]
SFT = ("scheduler.lr_decay_style=constant", "scheduler.lr_warmup_iters=0", "train.seq_length=128",
       "validation.eval_iters=0")


def write_chats(path, chats=CHATS):
    path.write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    return path


@pytest.fixture(scope="module")
def base(data, tmp_path_factory):
    """A pretrained model to start from."""
    config = jobs.write_config(tmp_path_factory.mktemp("base"), data)
    jobs.run("train", config)
    return config.parent / "run"


@pytest.fixture(scope="module")
def chats(tmp_path_factory):
    directory = tmp_path_factory.mktemp("chats")
    write_chats(directory / "valid.jsonl", CHATS[:4])
    return write_chats(directory / "train.jsonl")


def write_config(directory, chats, base):
    path = jobs.write_config(directory, chats.parent)
    text = path.read_text().replace("/train]", "/train.jsonl]").replace("/valid]", "/valid.jsonl]")
    text = text.replace("checkpoint:\n", f"checkpoint:\n  load: {base}\n  finetune: true\n")
    path.write_text(text.replace("train_iters: 10", "num_train_epochs: 3"))
    return path


@pytest.fixture(scope="module")
def tuned(base, chats, tmp_path_factory):
    """Three epochs on one rank, never stopped."""
    config = write_config(tmp_path_factory.mktemp("tuned"), chats, base)
    return config, jobs.run("train", config, *SFT, "train.global_batch_size=2")


def batch(config, *overrides, step=0):
    return json.loads(jobs.run("inspect", "batch", config, f"--step={step}", *SFT, *overrides, ranks=None).stdout)


def examples(rows):
    """(ids, learned) of each example: an id is learned if it is a label that counts."""
    found = []
    for tokens, mask, segments in zip(rows["tokens"], rows["loss_mask"], rows["segments"], strict=True):
        for segment in sorted(set(segments) - {-1}):
            first = segments.index(segment)
            last = first + segments.count(segment)
            learned = [0] + [int(value) for value in mask[first:last]]
            found.append((tokens[first:last + 1], learned))
    return found


def test_it_starts_from_the_pretrained_model_and_learns_for_so_many_epochs(base, tuned, chats):
    config, job = tuned
    run_dir = config.parent / "run"
    rows = int(job.stderr.split(" rows of 129 tokens")[0].split()[-1])
    losses = jobs.metrics(run_dir)
    assert 2 < rows < len(CHATS)
    assert len(losses) == math.ceil(3 * rows / 2)
    assert f"{len(CHATS)} conversations" in job.stderr and "0 broken lines skipped" in job.stderr
    assert losses[1] < math.log(320) - 0.5, "not the pretrained model"
    assert losses[max(losses)] < losses[1] - 0.5
    assert "starting from the parameters of" in job.stderr

    report = json.loads(jobs.run("eval", run_dir, "--json").stdout)
    assert report["loss"] == pytest.approx(jobs.metrics(run_dir, "lm loss validation")[max(losses)], rel=1e-5)
    elsewhere = json.loads(jobs.run("eval", base, "train.seq_length=128", "--json", "--data",
                                    chats.parent / "valid.jsonl").stdout)
    assert elsewhere["tokens"] == report["tokens"] and elsewhere["loss"] > report["loss"]


def test_each_epoch_reads_every_conversation_once(tuned):
    config, _ = tuned
    steps = len(jobs.metrics(config.parent / "run"))
    seen = [tuple(ids) for step in range(steps)
            for ids, _ in examples(batch(config, "train.global_batch_size=2", step=step))]
    assert len(seen) == 3 * len(CHATS)
    assert all(seen.count(ids) == 3 for ids in seen)


def test_packed_and_unpacked_batches_hold_the_same_examples_and_give_the_same_step(base, chats, tmp_path):
    config = write_config(tmp_path, chats, base)
    whole = ("train.global_batch_size=32", "train.num_train_epochs=1")
    packed, unpacked = batch(config, *whole), batch(config, *whole, "data.chat.packing=false")
    assert sorted(examples(packed)) == sorted(examples(unpacked))
    assert sum(any(mask) for mask in unpacked["loss_mask"]) == len(CHATS)
    assert sum(any(mask) for mask in packed["loss_mask"]) < len(CHATS) / 2

    steps = {}
    for name, ranks, overrides in (("packed", 1, []), ("unpacked", 1, ["data.chat.packing=false"]),
                                   ("experts apart", 2, ["parallel.expert=2"])):
        run_dir = tmp_path / name
        jobs.run("train", config, *SFT, *whole, *overrides, f"run_dir={run_dir}", ranks=ranks)
        steps[name] = [jobs.metrics(run_dir, metric)[1]
                       for metric in ("lm loss", "load_balancing_loss", "grad-norm", "lm loss validation")]
    for other in ("unpacked", "experts apart"):
        assert steps[other] == pytest.approx(steps["packed"], rel=1e-4)


def test_stopping_in_the_middle_of_an_epoch_changes_nothing(base, tuned, chats, tmp_path):
    whole = jobs.newest_checkpoint(tuned[0].parent / "run")
    config = write_config(tmp_path, chats, base)
    jobs.run("train", config, *SFT, "train.global_batch_size=2", "train.num_train_epochs=0", "train.train_iters=4")
    jobs.run("train", config, *SFT, "train.global_batch_size=2")
    resumed = jobs.newest_checkpoint(tmp_path / "run")
    assert resumed.name == whole.name != "step-0000004"
    jobs.assert_same_state(resumed, whole)


def test_other_conversations_or_rows_are_said(base, chats, tmp_path):
    own = tmp_path / "train.jsonl"
    shutil.copy(chats, own)
    shutil.copy(chats.parent / "valid.jsonl", tmp_path / "valid.jsonl")
    arguments = ("train", write_config(tmp_path, own, base), *SFT, "train.global_batch_size=2",
                 "train.num_train_epochs=0")
    said = "the data come in another order"
    jobs.run(*arguments, "train.train_iters=1", ranks=None)
    assert said not in jobs.run(*arguments, "train.train_iters=2", ranks=None).stderr
    assert said in jobs.run(*arguments, "train.train_iters=3", "data.chat.packing=false", ranks=None).stderr
    write_chats(own, CHATS + CHATS[:1])
    assert said in jobs.run(*arguments, "train.train_iters=4", "data.chat.packing=false", ranks=None).stderr


def test_every_layout_learns_the_same(tuned, base, chats, tmp_path):
    config = write_config(tmp_path, chats, base)
    jobs.run("train", config, *SFT, "train.global_batch_size=2", "train.micro_batch_size=1", "parallel.expert=2", ranks=2)
    for name, tolerance in (("lm loss", 1e-4), ("lm loss validation", 1e-4), ("grad-norm", 1e-2)):
        ours, theirs = jobs.metrics(tmp_path / "run", name), jobs.metrics(tuned[0].parent / "run", name)
        assert ours.keys() == theirs.keys()
        for step in ours:
            assert ours[step] == pytest.approx(theirs[step], rel=tolerance), (name, step)


JINJA = {
    "deepseek": "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}User: {{ m.content }}\n\n"
                "{% elif m.role == 'assistant' %}Assistant: {{ m.content }}{{ eos_token }}"
                "{% else %}{{ m.content }}\n\n{% endif %}{% endfor %}",
    "chatml": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
}


# By kind: bytes, and characters with marks for spaces in both forms.
SPECIAL = {
    "deepseek": {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"},
    "llama2": {"bos_token": "<s>", "eos_token": "</s>"},
    "mistral": {"bos_token": "<s>", "eos_token": "</s>"},
}
MARKS = ("<|im_start|>", "<|im_end|>")


def write_tokenizer(directory, kind):
    golden = json.loads((jobs.ROOT / f"tests/data/golden/tokenizer_{kind}.json").read_text())["tokenizer"]
    for name in MARKS:
        largest = max([*golden["model"]["vocab"].values(), *(token["id"] for token in golden["added_tokens"])])
        golden["added_tokens"].append({"id": largest + 1, "content": name, "single_word": False, "lstrip": False,
                                       "rstrip": False, "normalized": False, "special": True})
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.json").write_text(json.dumps(golden))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **SPECIAL[kind]}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"), **SPECIAL[kind])


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("template", JINJA)
def test_ids_are_those_of_transformers_chat_templates(template, kind, base, tmp_path):
    tokenizer = write_tokenizer(tmp_path, kind)
    talks = [chat for chat in CHATS if "messages" in chat]
    config = write_config(tmp_path, write_chats(tmp_path / "train.jsonl", talks), base)
    rows = batch(config, f"data.tokenizer={tmp_path}/tokenizer.json", f"data.chat.template={template}",
                 "data.chat.packing=false", "model.vocab_size=472", "train.num_train_epochs=1",
                 "train.seq_length=400", f"train.global_batch_size={len(talks)}")
    expected = [tokenizer.apply_chat_template(chat["messages"], chat_template=JINJA[template], tokenize=True,
                                              return_dict=False) for chat in talks]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>") if template == "chatml" else tokenizer.eos_token_id
    for ids in expected:  # what follows the last answer's end is of no use
        del ids[len(ids) - ids[::-1].index(end):]
    found = examples(rows)
    assert sorted(ids for ids, _ in found) == sorted(expected)

    if kind != "deepseek":  # one token's text is not told from those beside it
        return
    answers = [[message["content"] for message in chat["messages"] if message["role"] == "assistant"] for chat in talks]
    learned = ["".join(tokenizer.decode([token]) for token, counts in zip(ids, mask, strict=True) if counts)
               for ids, mask in found]
    mark, space = tokenizer.decode([end]), " " if template == "deepseek" else ""
    assert sorted(learned) == sorted("".join(space + answer + mark for answer in turns) for turns in answers)


@pytest.mark.parametrize("template", JINJA)
def test_an_export_brings_its_chat_template_and_what_ends_an_answer(template, base, tmp_path):
    tokenizer = write_tokenizer(tmp_path, "deepseek")
    talks = [chat for chat in CHATS if "messages" in chat]
    config = write_config(tmp_path, write_chats(tmp_path / "train.jsonl", talks), base)
    jobs.run("train", config, *SFT, f"data.tokenizer={tmp_path}/tokenizer.json", f"data.chat.template={template}",
             'checkpoint.load=""', "checkpoint.finetune=false", "model.vocab_size=472", "data.valid=[]",
             "train.num_train_epochs=1", ranks=None)
    jobs.run("export", tmp_path / "run", tmp_path / "out", "--to", "qwen2_moe", ranks=None)
    exported = AutoTokenizer.from_pretrained(tmp_path / "out")
    for chat in talks:
        for messages, prompt in ((chat["messages"], False), (chat["messages"][:-1], True)):
            expected = tokenizer.apply_chat_template(messages, chat_template=JINJA[template], tokenize=False)
            expected += {"deepseek": "Assistant:", "chatml": "<|im_start|>assistant\n"}[template] if prompt else ""
            assert exported.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt) == expected
    ends = json.loads((tmp_path / "out/generation_config.json").read_text())["eos_token_id"]
    eos, mark = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert ends == ([mark, eos] if template == "chatml" else eos)
    assert json.loads((tmp_path / "out/config.json").read_text())["eos_token_id"] == (mark if template == "chatml" else eos)


@torch.no_grad()
def answer_loss(model, found):
    """Each example alone: in a packed row none sees another."""
    total, count = 0.0, 0
    for ids, learned in found:
        logits = model(torch.tensor([ids[:-1]])).logits[0].float()
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
        total += losses[torch.tensor(learned[1:], dtype=torch.bool)].sum().item()
        count += sum(learned[1:])
    return total / count


@pytest.mark.parametrize("kind", ["deepseek", "llama2"])
def test_a_directory_of_hugging_face_is_tuned_and_given_back(kind, chats, tmp_path):
    source = tmp_path / "source"
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(Qwen2MoeConfig(
        vocab_size=472, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=128, initializer_range=0.1, intermediate_size=48, moe_intermediate_size=16,
        num_experts=8, num_experts_per_tok=3, shared_expert_intermediate_size=32, bos_token_id=None,
        eos_token_id=None)).float().eval()
    for name, values in model.state_dict().items():
        if name.endswith("shared_expert_gate.weight"):  # Granule's shared experts are always on
            values.zero_()
    model.save_pretrained(source)
    write_tokenizer(source, kind)
    # The config is written by hand in life; its model section is that of an import.
    jobs.run("import", source, tmp_path / "imported", ranks=None)
    run = tmp_path / "run"
    config = (tmp_path / "imported" / "config.yaml", f"run_dir={run}", f"checkpoint.load={source}",
              "checkpoint.finetune=true", f"data.train=[{chats}]", "train.micro_batch_size=2",
              "train.num_train_epochs=3", "checkpoint.save_interval=1", "logger.log_interval=1",
              "logger.tensorboard=false", "optimizer.lr=1e-2")
    counted = jobs.run("inspect", "batch", *config, "--step=0", *SFT, ranks=None).stderr
    rows = int(counted.split(" rows of 129 tokens")[0].split()[-1])
    assert rows < len(CHATS)
    config += (f"train.global_batch_size={rows}",)  # an epoch is a step
    jobs.run("train", *config, *SFT, ranks=None)
    losses = jobs.metrics(run)
    assert len(losses) == 3
    found = examples(batch(*config))
    assert len(found) == len(CHATS)
    assert losses[1] == pytest.approx(answer_loss(model, found), rel=1e-4)
    assert losses[3] < losses[2] < losses[1]

    jobs.run("export", run / "checkpoints" / "step-0000002", tmp_path / "out", "--to", "qwen2_moe", ranks=None)
    tuned_model = AutoModelForCausalLM.from_pretrained(tmp_path / "out").float().eval()
    assert losses[3] == pytest.approx(answer_loss(tuned_model, found), rel=1e-4)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "out" / name).read_text() == (source / name).read_text()
    text = "What is two and two?"
    assert AutoTokenizer.from_pretrained(tmp_path / "out")(text).input_ids == json.loads(
        jobs.run("inspect", "tokens", run / "tokenizer.json", "--template", ranks=None, stdin=text).stdout)["ids"]

    if kind != "deepseek":  # one token's text is not told from those beside it
        return
    # Words go on behind the token that begins a text, as transformers puts it there unless told otherwise.
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer(text, return_tensors="pt").input_ids
    assert ids[0, 0] == tokenizer.bos_token_id
    answer = tuned_model.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1]:]
    job = jobs.run("generate", tmp_path / "out", "--prompt", text, "--temperature", 0, "--max-tokens", 8, ranks=None)
    assert job.stdout == text + tokenizer.decode(answer, skip_special_tokens=True) + "\n"


def test_a_run_goes_on_with_its_own_tokenizer(base, chats, tmp_path):
    """Whatever lies beside the data."""
    for name in ("train.jsonl", "valid.jsonl"):
        shutil.copy(chats.parent / name, tmp_path / name)
    run, foreign = tmp_path / "run", tmp_path / "tokenizer.json"
    shutil.copytree(base, run)
    own = (run / "tokenizer.json").read_text()
    foreign.write_text(own + "\n")
    arguments = ("train", run / "config.yaml", *SFT, f"run_dir={run}", f"data.train=[{tmp_path}/train.jsonl]",
                 f"data.valid=[{tmp_path}/valid.jsonl]", "train.train_iters=11")
    error = jobs.run(*arguments, f"data.tokenizer={foreign}", ranks=None, code=2).stderr
    assert f"data.tokenizer = {foreign} is another than {run}/tokenizer.json" in error
    jobs.run(*arguments, ranks=None)
    assert jobs.newest_checkpoint(run).name == "step-0000011"
    for directory in (run, jobs.newest_checkpoint(run)):
        assert (directory / "tokenizer.json").read_text() == own


def test_a_loaded_model_keeps_its_tokenizer_and_what_is_said_of_it(base, data, tmp_path):
    """On token files too; theirs must give the same ids."""
    model, corpus = tmp_path / "model", tmp_path / "corpus"
    shutil.copytree(base, model)
    shutil.copytree(data, corpus)
    (model / "chat_template.jinja").write_text("{{ messages }}")
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 6]}))
    shutil.copytree(model, tmp_path / "own")
    theirs = json.loads((corpus / "tokenizer.json").read_text())
    (corpus / "tokenizer.json").write_text(json.dumps(theirs, indent=3))
    config = jobs.write_config(tmp_path, corpus)
    for name, arguments in (("new", (f"checkpoint.load={model}", "checkpoint.finetune=true", "train.train_iters=2")),
                            ("own", ("train.train_iters=12",))):
        jobs.run("train", config, f"run_dir={tmp_path / name}", "scheduler.lr_decay_style=constant",
                 "scheduler.lr_warmup_iters=0", *arguments, ranks=None)
        for file in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
            assert (tmp_path / name / file).read_text() == (model / file).read_text(), (name, file)
    theirs["model"]["vocab"] = dict(zip(reversed(theirs["model"]["vocab"]), theirs["model"]["vocab"].values()))
    (corpus / "tokenizer.json").write_text(json.dumps(theirs))
    error = jobs.run("train", config, f"run_dir={tmp_path}/other", f"checkpoint.load={model}", "checkpoint.finetune=true",
                     ranks=None, code=3).stderr
    assert f"{corpus}/train: holds ids of {corpus}/tokenizer.json, where " in error


def test_a_model_of_conversations_ends_its_answers_where_their_template_does(tmp_path):
    write_chats(tmp_path / "train.jsonl", [{"prompt": "Hi", "completion": "Yes"}])
    write_tokenizer(tmp_path, "deepseek")
    config = jobs.write_config(tmp_path, tmp_path)
    run = tmp_path / "run"
    jobs.run("train", config, *SFT, f"data.train=[{tmp_path}/train.jsonl]", "data.valid=[]", "model.vocab_size=472",
             "data.chat.template=chatml", "optimizer.lr=1e-2", "train.train_iters=30", "train.global_batch_size=2",
             "checkpoint.save_interval=0", ranks=None)
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    greedy = ("--temperature", 0, "--max-tokens", 20)
    assert jobs.run("chat", run, *greedy, ranks=None, stdin="Hi\n").stdout == "Yes\n"
    assert jobs.run("generate", run, "--prompt", prompt, *greedy, ranks=None).stdout == prompt + "Yes\n"
    lines = tmp_path / "prompts.jsonl"
    lines.write_text(json.dumps({"prompt": prompt, "query": prompt, "target": "Yes"}) + "\n")
    assert json.loads(jobs.run("generate", run, "--prompts", lines, *greedy, ranks=None).stdout)["text"] == "Yes"
    jobs.run("eval", run, "--task", "answer", "--data", lines, "--max-tokens", 20, "--samples", tmp_path / "samples",
             ranks=None)
    assert json.loads((tmp_path / "samples").read_text())["answer"] == "Yes"


def refused(config, *overrides, code):
    return jobs.run("train", config, *SFT, *overrides, ranks=None, code=code).stderr


def test_bad_conversations_end_the_job_with_the_line_or_are_skipped(base, tmp_path):
    good = [json.dumps(chat) for chat in CHATS]
    path = tmp_path / "train.jsonl"
    write_chats(tmp_path / "valid.jsonl")
    config = write_config(tmp_path, path, base)
    for line, message in (('{"prompt": "a", ', "is no valid JSON"), ('{"prompt": "a"}', 'has no "completion"'),
                          ('{"text": "a"}', "has text, none of the usual shapes"),
                          ('{"messages": [{"role": "user", "content": "a"}]}', "has no assistant turn")):
        path.write_text("\n".join([*good[:2], "", line, *good[2:]]) + "\n")
        assert f"train.jsonl:4: {message}" in refused(config, code=3).replace("field (top) ", "")
        text = jobs.run("train", config, *SFT, "data.chat.on_bad_line=skip", "train.num_train_epochs=1",
                        ranks=None).stderr
        assert f"{len(CHATS)} conversations" in text and "1 broken lines skipped" in text
        shutil.rmtree(tmp_path / "run")
    path.write_text("")
    assert "no conversation to learn from" in refused(config, code=3)


def test_what_does_not_fit_is_cut_and_counted(base, tmp_path):
    long = [{"prompt": "short", "completion": "word " * 50}, {"prompt": "long " * 50, "completion": "never seen"}]
    config = write_config(tmp_path, write_chats(tmp_path / "train.jsonl", CHATS[-4:] + long), base)
    write_chats(tmp_path / "valid.jsonl")
    text = jobs.run("train", config, *SFT, "train.seq_length=64", "data.valid=[]", ranks=None).stderr
    assert "5 conversations" in text
    assert "1 cut off at 65 tokens, 1 left out because no answer begins before that" in text


def test_settings_that_cannot_be_are_refused(data, base, chats, tmp_path):
    config = write_config(tmp_path, chats, base)
    text = refused(config, "data.chat.template=chatml", code=3)
    assert 'has no added token "<|im_start|>"' in text and "it has <|endoftext|>" in text
    assert 'did you mean "alpaca"' in refused(config, "data.chat.template=alpacca", code=2)
    assert "mixes conversations" in refused(config, f"data.train=[{chats}, {data}/train]", code=2)
    assert "is for token files" in refused(config, "data.weights=[1]", code=2)
    assert "must be the tokenizer.json" in refused(config, 'checkpoint.load=""', code=2)
    assert "num_train_epochs" in refused(config, f"data.train=[{data}/train]", code=2)
    assert "must not exceed" in refused(config, "scheduler.lr_decay_style=cosine", "scheduler.lr_warmup_iters=1000",
                                        code=2)
    assert "behind {content}" in refused(config, "data.chat.template=custom", "data.chat.pattern.user=U {content}",
                                         "data.chat.pattern.assistant=A {content}", code=2)
