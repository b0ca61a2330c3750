"""`granule chat` and `granule generate --prompts`: the words of transformers' greedy search, on any number of ranks."""
import json
import os
import pty
import select
import signal
import subprocess
import time

import jobs
import pytest
import torch
from transformers import PreTrainedTokenizerFast
from twin import make_twin

EOS = "<|endoftext|>"


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    config = jobs.write_config(tmp_path_factory.mktemp("trained"), data)
    jobs.run("train", config, "optimizer.lr=1e-2", "train.train_iters=40", "train.seq_length=256", ranks=None)
    return config.parent / "run"


@pytest.fixture(scope="module")
def twin(trained):
    return make_twin(trained)


@pytest.fixture(scope="module")
def tokenizer(trained):
    return PreTrainedTokenizerFast(tokenizer_file=str(trained / "tokenizer.json"), eos_token=EOS, pad_token=EOS)


def continuation(twin, tokenizer, text, count):
    """Greedy search of transformers, alone and without a cache."""
    ids = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        answer = twin.generate(ids, max_new_tokens=count, do_sample=False, use_cache=False,
                               eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id)
    return tokenizer.decode(answer[0, ids.shape[1]:], skip_special_tokens=True)


PROMPTS = ["The router", "A", "Every rank of the job reads other rows of the batch, and then", "x = [", "Größe 日本",
           "loss", "The experts of a layer"]


@pytest.mark.parametrize("ranks, layout, batch", [(None, [], 3), (2, ["parallel.expert=2"], 2), (3, [], 8)])
def test_a_batch_of_prompts_goes_on_as_each_alone_in_transformers(trained, twin, tokenizer, tmp_path, ranks, layout,
                                                                  batch):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    job = jobs.run("generate", trained, *layout, "--prompts", path, "--temperature", 0, "--max-tokens", 24,
                   "--batch-size", batch, ranks=ranks)
    lines = [json.loads(line) for line in job.stdout.splitlines()]
    assert [line["prompt"] for line in lines] == PROMPTS
    for line in lines:
        assert line["text"] == continuation(twin, tokenizer, line["prompt"], 24), line["prompt"]


def test_prompts_are_lines_of_a_text_file_too(trained, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("The router\nloss\n")
    arguments = ("generate", trained, "--prompts", path, "--max-tokens", 8, "--seed", 3)
    lines = [json.loads(line) for line in jobs.run(*arguments, ranks=None).stdout.splitlines()]
    assert [line["prompt"] for line in lines] == ["The router", "loss"]
    assert jobs.run(*arguments, ranks=2).stdout == jobs.run(*arguments, ranks=None).stdout
    path.write_text("")
    assert "holds no prompts" in jobs.run(*arguments, ranks=None, code=3).stderr


def write_tokenizer(trained, path, change):
    """The run's own with another vocabulary, as an override that names it."""
    tokenizer = json.loads((trained / "tokenizer.json").read_text())
    change(tokenizer["model"]["vocab"])
    path.write_text(json.dumps(tokenizer))
    return f"data.tokenizer={path}"


def test_a_tokenizer_that_is_named_takes_the_place_of_the_models_own(trained, tmp_path):
    named = write_tokenizer(trained, tmp_path / "swapped.json", lambda vocab: vocab.update(a=vocab["e"], e=vocab["a"]))
    swap = str.maketrans("ae", "ea")

    def generated(prompt, *more):
        return jobs.run("generate", trained, *more, "--prompt", prompt, "--temperature", 0, "--max-tokens", 20,
                        ranks=None).stdout

    prompt = "The router takes each"
    assert generated(prompt, named) == generated(prompt.translate(swap)).translate(swap) != generated(prompt)

    def evaluated(target, *more):
        examples = tmp_path / "examples.jsonl"
        examples.write_text(json.dumps({"query": "", "target": target}))
        return json.loads(jobs.run("eval", trained, *more, "--task", "match", "--data", examples, "--json",
                                   ranks=None).stdout)["perplexity"]

    assert evaluated(prompt, named) == evaluated(prompt.translate(swap)) != evaluated(prompt)


def test_a_tokenizer_that_is_named_must_be_there_and_fit_the_model(trained, tmp_path):
    named = write_tokenizer(trained, tmp_path / "large.json", lambda vocab: vocab.update(U=5000))
    for command in (("generate", "--prompt", "Use"), ("chat",)):
        error = jobs.run(command[0], trained, named, *command[1:], ranks=None, code=2, stdin="Use\n").stderr
        assert "model.vocab_size = 320 is too small for the token id 5000 of" in error
    for command in ("eval", "generate", "chat"):
        assert "none.json is not there" in jobs.run(command, trained, f"data.tokenizer={tmp_path}/none.json", ranks=None,
                                                    code=2, stdin="Use\n").stderr


def chat(trained, lines, *more, ranks=None, count=12):
    return jobs.run("chat", trained, "--temperature", 0, "--max-tokens", count, *more, ranks=ranks, stdin=lines).stdout


@pytest.mark.parametrize("ranks, layout", [(None, []), (2, ["parallel.expert=2"]), (2, [])])
def test_each_answer_follows_from_all_that_was_said(trained, twin, tokenizer, ranks, layout):
    text, expected = "", ""
    for said in ("What is a router?", "And an expert?", "Thanks"):
        text += f"User: {said}\n\nAssistant:"
        # The space before an answer is the template's, whether the model wrote it or not.
        answer = continuation(twin, tokenizer, text, 12).removeprefix(" ")
        expected += answer + "\n"
        text += " " + answer + EOS
    assert chat(trained, "What is a router?\nAnd an expert?\nThanks\n", *layout, ranks=ranks) == expected


def test_reset_forgets_and_exit_ends(trained):
    once = chat(trained, "What is a router?\n")
    assert chat(trained, "What is a router?\n/reset\nWhat is a router?") == 2 * once
    assert chat(trained, "/exit\nWhat is a router?\n") == ""
    assert 'did you mean "/reset"' in chat(trained, "/rest\n")


def test_a_template_is_chosen_by_name_and_checked(trained):
    assert chat(trained, "Hello\n", "--template", "alpaca") != chat(trained, "Hello\n")
    assert "deepseek" in jobs.run("chat", trained, "--template", "nonesuch", ranks=None, code=2, stdin="x\n").stderr
    assert "<|im_" in jobs.run("chat", trained, "--template", "chatml", ranks=None, code=3, stdin="x\n").stderr
    assert "top-p" in jobs.run("chat", trained, "--top-p", 0, ranks=None, code=2, stdin="x\n").stderr
    assert "not in range" in jobs.run("chat", trained, "--max-length", 10 ** 12, ranks=None, code=2, stdin="x\n").stderr


def test_that_old_turns_are_left_out_is_said_once(trained):
    job = jobs.run("chat", trained, "--max-tokens", 40, "--max-length", 128, ranks=2, stdin="What is a router?\n" * 5)
    assert job.stderr.count("the conversation has outgrown the 128 tokens") == 1


def test_a_turn_that_is_too_long_is_not_sent(trained):
    answers = chat(trained, "x" * 400 + "\nHello\n").splitlines()
    assert "not sent: that has" in answers[0]
    assert answers[1:] == chat(trained, "Hello\n").splitlines()


class Terminal:
    """A chat on a terminal of its own."""

    def __init__(self, *arguments):
        self.main, other = pty.openpty()
        self.job = subprocess.Popen(jobs.command("chat", *arguments, ranks=None), env=jobs.environment(), stdin=other,
                                    stdout=other, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(other)
        self.seen = ""

    def wait_for(self, text):
        deadline = time.monotonic() + jobs.PATIENCE_SECONDS
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.main], [], [], 1)[0]:
                self.seen += os.read(self.main, 4096).decode("utf-8", "replace")
        _, _, self.seen = self.seen.partition(text)

    def write(self, text):
        os.write(self.main, text.encode())

    def end(self):
        code = self.job.wait(timeout=jobs.PATIENCE_SECONDS)
        os.close(self.main)
        return code


def test_ctrl_c_ends_an_answer_and_then_the_chat(trained):
    terminal = Terminal(trained, "--max-tokens", 100000, "--max-length", 200000, "--temperature", 1)
    terminal.wait_for("> ")
    terminal.write("Go on\n")
    terminal.wait_for("Go on\r\n")
    time.sleep(1)
    terminal.job.send_signal(signal.SIGINT)
    terminal.wait_for("\r\n> ")
    assert terminal.job.poll() is None
    terminal.job.send_signal(signal.SIGINT)
    assert terminal.end() == 0


def test_the_end_of_input_on_a_terminal_ends_the_chat(trained):
    terminal = Terminal(trained)
    terminal.wait_for("> ")
    terminal.write("\x04")
    assert terminal.end() == 0
