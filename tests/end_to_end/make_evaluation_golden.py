"""Writes golden/evaluation.json: what lm-evaluation-harness says of a model on examples of every task.

Run with the build directory on PATH and, beside scripts/requirements-test.txt, lm-eval==0.4.13 installed. The model is
untrained, so that its parameters follow from the seed; test_evaluation.py makes the same one.
"""
import json
import random
import re
import tempfile
from pathlib import Path

import jobs
import torch
from transformers import PreTrainedTokenizerFast
from twin import make_twin

GOLDEN = Path(__file__).parent / "golden" / "evaluation.json"
MAX_LENGTH = 32
MAX_TOKENS = 16
EOS = "<|endoftext|>"
WORDS = ("the router chooses experts for every token in layer and loss of batch is 3.14 or 1024 it's naïve café "
         "日本語の文章 Привет 😀 import numpy\n").split(" ")


def make_run(directory: Path) -> Path:
    """A run with the first values of a model that finds some tokens much likelier than others."""
    golden = json.loads((jobs.ROOT / "tests/data/golden/tokenizer_gpt2.json").read_text())
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = directory / "tokenizer.json"
    tokenizer.write_text(json.dumps(golden["tokenizer"]))
    data = jobs.make_data(directory / "data", "--tokenizer", str(tokenizer))
    config = jobs.write_config(directory, data)
    jobs.run("train", config, "model.vocab_size=440", "model.initializer_range=0.3", "train.train_iters=1",
             "optimizer.lr=0", "scheduler.lr_warmup_iters=0", ranks=None)
    return directory / "run"


def make_examples(run: Path) -> dict[str, list[dict]]:
    rng = random.Random(7)

    def words(low, high):
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))

    choice = [{"query": words(1, 6) + rng.choice(["", "", " ", "\n", ":"]),
               "choices": [words(1, rng.randint(1, 4)) for _ in range(rng.randint(2, 5))], "gold": 0}
              for _ in range(40)]
    choice += [{"query": words(2, 4) + "\nAnswer:", "choices": ["A", "B", "C", "D"], "gold": rng.randrange(4)}
               for _ in range(8)]
    choice += [{"query": "", "choices": ["the layer", "a token"], "gold": 1},
               {"query": words(60, 60), "choices": ["the layer", "日本語", "😀😀"], "gold": 2},
               {"query": "ab\u3000", "choices": ["é", "e", "\n"], "gold": 0}]
    for example in choice[:40]:
        example["gold"] = rng.randrange(len(example["choices"]))
    match = [{"query": words(1, 9), "target": " " + words(1, 2)} for _ in range(20)]
    match += [{"query": query, "target": target} for query in (words(1, 9) for _ in range(30))
              if (target := greedy_text(run, query))]
    answer = [{"query": words(1, 12), "target": "7"} for _ in range(24)]
    rolling = [{"text": words(1, 80)} for _ in range(12)] + [{"text": " \n two ends \u2003"}, {"text": "x"}]
    return {"choice": choice, "match": match, "rolling": rolling, "answer": answer}


def tokenizer_of(run: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_file=str(run / "tokenizer.json"), eos_token=EOS, pad_token=EOS)


def greedy_text(run: Path, query: str) -> str:
    """The likeliest token after the query, if its text is encoded as that token."""
    tokenizer = tokenizer_of(run)
    ids = tokenizer(query, return_tensors="pt").input_ids
    with torch.no_grad():
        following = make_twin(run)(ids[:, -MAX_LENGTH:]).logits[0, -1].argmax().item()
    text = tokenizer.decode([following])
    return text if tokenizer(query + text).input_ids == [*ids[0].tolist(), following] else ""


TASKS = {
    "choice": {"output_type": "multiple_choice", "doc_to_text": "{{query}}", "doc_to_choice": "{{choices}}",
               "doc_to_target": "{{gold}}",
               "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True}
                               for name in ("acc", "acc_norm", "acc_bytes")]},
    "match": {"output_type": "loglikelihood", "doc_to_text": "{{query}}", "doc_to_target": "{{target}}",
              "metric_list": [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
                              {"metric": "acc", "aggregation": "mean", "higher_is_better": True}]},
    "rolling": {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}",
                "metric_list": [{"metric": name} for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")]},
    # As the harness's gsm8k.
    "answer": {"output_type": "generate_until", "doc_to_text": "{{query}}", "doc_to_target": "{{target}}",
               "generation_kwargs": {"until": ["Question:", "</s>", "<|im_end|>"], "do_sample": False,
                                     "temperature": 0.0, "max_gen_toks": MAX_TOKENS},
               "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True,
                                "ignore_case": True, "ignore_punctuation": False,
                                "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"]}],
               "filter_list": [
                   {"name": "strict", "filter": [
                       {"function": "regex", "regex_pattern": "#### (\\-?[0-9\\.\\,]+)"},
                       {"function": "take_first"}]},
                   {"name": "flexible", "filter": [
                       {"function": "regex", "group_select": -1, "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)"},
                       {"function": "take_first"}]}]},
}


def examine(run: Path, examples: dict[str, list[dict]]) -> dict[str, dict]:
    """Metrics of each task, and the log-probabilities or the text of each example."""
    from lm_eval import evaluator
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=make_twin(run), tokenizer=tokenizer_of(run), max_length=MAX_LENGTH, batch_size=3,
                 device="cpu")
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        for name, lines in examples.items():
            path = Path(directory) / f"{name}.jsonl"
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
            task = {"task": f"golden_{name}", "dataset_path": "json", "test_split": "test", "num_fewshot": 0,
                    "dataset_kwargs": {"data_files": {"test": str(path)}}, **TASKS[name]}
            report = evaluator.simple_evaluate(model=model, tasks=[task], log_samples=True)
            metrics = {name_of(key): value for key, value in report["results"][task["task"]].items()
                       if isinstance(value, float)}
            samples = {sample["doc_id"]: sample for sample in report["samples"][task["task"]]}
            results[name] = {"metrics": metrics, "responses": [responses_of(samples[i]) for i in range(len(lines))]}
    return results


def name_of(metric: str) -> str:
    """"exact_match_stderr,strict" is our "exact_match_strict_stderr"."""
    name, _, filtered = metric.partition(",")
    if filtered == "none":
        return name
    stem = name.removesuffix("_stderr")
    return f"{stem}_{filtered}{name.removeprefix(stem)}"


def responses_of(sample) -> list:
    responses = [response[0] for response in sample["resps"]]
    return [response[0] if isinstance(response, (list, tuple)) else response for response in responses]


def main():
    with tempfile.TemporaryDirectory() as directory:
        run = make_run(Path(directory))
        examples = make_examples(run)
        # Half of the answers are right: what was written the first time is the target of the second.
        written = examine(run, {"answer": examples["answer"]})["answer"]["responses"]
        for example, (text,) in list(zip(examples["answer"], written))[::2]:
            numbers = re.findall(r"-?[0-9][0-9.,]*", text)
            example["target"] = f"so it is\n#### {numbers[-1]}" if numbers else "none"
        results = examine(run, examples)
    GOLDEN.parent.mkdir(exist_ok=True)
    golden = {name: {"examples": lines, **results[name]} for name, lines in examples.items()}
    GOLDEN.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
