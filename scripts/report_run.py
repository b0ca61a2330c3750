"""A run directory as data: config, metrics by name, facts. Used by report.py."""
import json
import re
from pathlib import Path


def read_config(text: str) -> dict:
    """The YAML that `granule` itself prints: sections by two spaces, lists in brackets."""
    root: dict = {}
    open_sections: list[tuple[int, dict]] = [(-1, root)]
    for line in text.splitlines():
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        while open_sections[-1][0] >= indent:
            open_sections.pop()
        parent = open_sections[-1][1]
        key, _, value = words.partition(":")
        if value.strip():
            parent[key] = read_value(value.strip())
        else:
            parent[key] = {}
            open_sections.append((indent, parent[key]))
    return root


def read_value(text: str):
    try:
        return json.loads(re.sub(r"\\x([0-9a-f]{2})", r"\\u00\1", text))
    except ValueError:
        return text


class Run:
    """`series(name)` gives (step, tokens, value) of the lines that have the metric; null values are kept as None."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.name = directory.resolve().name
        self.records = read_records(directory / "metrics.jsonl")
        config = directory / "config.yaml"
        self.config_text = config.read_text(encoding="utf-8", errors="replace") if config.is_file() else ""
        self.config = read_config(self.config_text)
        sample = directory / "sample.txt"
        self.sample = sample.read_text(encoding="utf-8", errors="replace") if sample.is_file() else ""

    def series(self, name: str) -> list[tuple[int, int, float | None]]:
        return [(r["step"], r.get("consumed-tokens", 0), r[name]) for r in self.records if name in r]

    def last(self, name: str) -> float | None:
        values = [value for _, _, value in self.series(name) if value is not None]
        return values[-1] if values else None

    def layers(self) -> list[str]:
        """The routed layers, "layer_01" ..., in order."""
        found = {match[1] for r in self.records for key in r if (match := re.match(r"moe/(layer_\d+)/", key))}
        return sorted(found, key=lambda layer: int(layer.removeprefix("layer_")))

    def expert_counts(self) -> tuple[int, list[tuple[str, list[int]]]]:
        """Step and tokens per expert of every layer, from the last line that has them."""
        for record in reversed(self.records):
            counts = [(layer, record[f"moe/{layer}/tokens_per_expert"]) for layer in self.layers()
                      if f"moe/{layer}/tokens_per_expert" in record]
            if counts:
                return record["step"], counts
        return 0, []

    def training_seconds(self) -> float:
        """Time in steps alone: no validation, no checkpoint, nothing between two starts."""
        total, previous = 0.0, None
        interval = self.config.get("logger", {}).get("log_interval", 1)
        for step, _, seconds in self.series("iteration-time"):
            if previous is None:  # a run may begin with the checkpoint of another
                previous = max(0, step - interval)
            total += (seconds or 0) * (step - previous)
            previous = step
        return total

    def checkpoints(self) -> list[tuple[int, int]]:
        """Step and bytes of each."""
        found = [path for path in (self.directory / "checkpoints").glob("step-*") if path.name[5:].isdecimal()]
        return sorted((int(path.name[5:]), sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))
                      for path in found)

    def parameters(self) -> tuple[int, int] | None:
        """All parameters, and those that one token uses; None without a config."""
        model = self.config.get("model")
        return count_parameters(model) if model else None


def read_runs(directories: list[Path]) -> list[Run]:
    """With names that tell them apart: as many of the last parts of a path as that takes."""
    runs = [Run(directory) for directory in directories]
    paths = [directory.resolve() for directory in directories]
    for run, path in zip(runs, paths):
        others = [other for other in paths if other != path]
        length = next(length for length in range(1, len(path.parts) + 1)
                      if all(other.parts[-length:] != path.parts[-length:] for other in others))
        run.name = str(Path(*path.parts[-length:]))
    return runs


def read_records(path: Path) -> list[dict]:
    records = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the line that is being written
            if isinstance(record, dict) and isinstance(record.get("step"), int):
                records.append(record)
    return records


def count_parameters(model: dict) -> tuple[int, int]:
    width, layers = model["hidden_size"], model["num_hidden_layers"]
    heads = model["num_attention_heads"]
    head_width = model["head_dim"] or width // heads
    kv_heads = model["num_key_value_heads"] or heads
    embedding = model["vocab_size"] * width * (1 if model["tie_word_embeddings"] else 2)
    attention = 2 * width * head_width * (heads + kv_heads)
    expert = 3 * width * model["moe_intermediate_size"]
    experts, shared, chosen = model["n_routed_experts"], model["n_shared_experts"], model["num_experts_per_tok"]
    router = 0 if model.get("moe_router_type") == "hash" else experts * width

    total = activated = embedding + width + layers * (attention + 2 * width)
    for layer in range(layers):
        sparse = layer >= model["first_k_dense_replace"] and layer % model["moe_layer_freq"] == 0
        if sparse and experts + shared > 0:
            always = shared * expert + router
            total += always + experts * expert
            activated += always + min(chosen, experts) * expert
        else:
            total += 3 * width * model["intermediate_size"]
            activated += 3 * width * model["intermediate_size"]
    return total, activated
