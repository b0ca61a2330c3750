"""A suite of ablations: a base config, named variants, seeds, a budget, and what must be equal between the variants.
Used by ablate.py; docs/ablations.md explains the file."""
import difflib
import json
import math
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from ablation_data import fingerprint, short_hash
from small_yaml import YamlError, flatten, read_yaml, write_yaml

MEASURES = {"total": "feed-forward parameters", "activated": "activated feed-forward parameters", "flops": "FLOPs a token"}
SUITE_KEYS = {"title": str, "base": str, "tokens": int, "seeds": list, "ranks": int, "variants": dict, "baseline": str,
              "tolerance": (str, float, int), "differs": dict, "evaluate": dict, "analyze": list, "analyze_tokens": int}
KINDS = {str: "text", int: "a whole number", list: "a list in brackets", dict: "a section with lines of its own",
         (str, float, int): "a share such as 1%"}
BATCH_KEYS = ["train.global_batch_size", "train.seq_length"]
SET_BY_RUNNER = ["run_dir", "rng.seed", "train.train_iters"]
DATA_KEYS = ["data.train", "data.valid", "data.tokenizer", "model.moe_router_hash_counts", "checkpoint.load"]
TOGETHER = "together"  # in reports: the mean over the sets
SET_NAME = re.compile(r"\w[\w .-]*")  # that a file's name may hold and `granule analyze NAME=PREFIX` takes


class SuiteError(Exception):
    """What the user can mend."""


@dataclass
class Variant:
    name: str
    config: dict  # flat: every key that base or variant says, without what the runner sets for each run
    ranks: int
    plan: dict = field(default_factory=dict)

    def key(self) -> str:
        """The same for the same config and content of data in any suite, so that it is trained once."""
        return short_hash({**self.config, "ranks": self.ranks, "content": [fingerprint(data) for data in self.data()]})

    def data(self) -> list[str]:
        """The data that the config names."""
        said = [self.config.get(key) or [] for key in DATA_KEYS]
        return [str(data) for value in said for data in (value if isinstance(value, list) else [value])]

    def measure(self, name: str) -> float:
        """Experts and dense feed-forwards together: a dense layer is one expert that is always on."""
        parameters, flops = self.plan["parameters"], self.plan["sequence_flops"]
        return {"total": parameters["experts"] + parameters["dense"],
                "activated": parameters["experts_activated"] + parameters["dense"],
                "flops": flops["paper_configured"] / flops["tokens"]}[name]


@dataclass
class Suite:
    name: str
    title: str
    variants: list[Variant]
    baseline: Variant
    seeds: list[int]
    steps: int
    tokens: int
    tolerance: float
    differs: dict[str, list[str]]  # variant -> measures that are meant to differ
    evaluate: dict[str, str]       # name of a set -> prefix of its token file
    analyze: list[str]             # variants whose experts are analyzed
    analyze_tokens: int            # of each set; 0: all


def nearest(word: str, words: list[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.4)
    return f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(words)}"


def expect(condition: bool, path: Path, message: str) -> None:
    if not condition:
        raise SuiteError(f"{path}: {message}")


def check_kinds(path: Path, said: dict) -> None:
    for key, value in said.items():
        expect(key in SUITE_KEYS, path, f"unknown key {key}{nearest(key, list(SUITE_KEYS))}")
        found = "is empty" if value == {} else f"= {value}"
        expect(isinstance(value, SUITE_KEYS[key]), path, f"{key} {found}: expected {KINDS[SUITE_KEYS[key]]}")
    for key in ("base", "variants", "evaluate"):
        expect(key in said, path, f"{key} is missing")
    for key, kind in (("differs", list), ("evaluate", str)):
        for name, value in said.get(key, {}).items():
            expect(isinstance(value, kind), path, f"{key}.{name} = {value}: expected {KINDS[kind]}")
    for name in said["evaluate"]:
        expect(SET_NAME.fullmatch(name) and name != TOGETHER, path,
               f"evaluate.{name}: a set's name is made of letters, digits, _ . - and spaces, begins with none of . - and "
               f"space, and is not {TOGETHER}")
    for key, lowest in (("ranks", 1), ("analyze_tokens", 0)):
        expect(said.get(key, lowest) >= lowest, path, f"{key} = {said.get(key)}: must be at least {lowest}")


def load_suite(path: Path, tokens: int | None = None, seeds: list[int] | None = None) -> Suite:
    """Reads and checks all that needs no program. `tokens` and `seeds` replace the suite's."""
    try:
        said = read_yaml(path)
        check_kinds(path, said)
        base_path = path.parent / said["base"]
        expect(base_path.is_file(), path, f"base = {said['base']}: {base_path} does not exist")
        base = {"train.global_batch_size": 32, "train.seq_length": 512} | flatten(read_yaml(base_path))
    except (YamlError, OSError) as error:
        raise SuiteError(str(error)) from error
    base.pop("run_dir", None)
    expect(isinstance(said["variants"], dict) and said["variants"], path, "variants is empty")
    variants = []
    for name, overrides in said["variants"].items():
        expect(isinstance(overrides, dict), path, f"variants.{name} must hold overrides, or {{}} by leaving it empty")
        flat = flatten(overrides)
        for key in SET_BY_RUNNER:
            expect(key not in flat, path, f"variants.{name}.{key}: the runner sets it, from the suite")
        variants.append(Variant(name, base | flat, said.get("ranks", 1)))
    return finish(path, said, variants, tokens or said.get("tokens"), seeds or said.get("seeds", [1]))


def tolerance_of(path: Path, said) -> float:
    try:
        share = float(str(said).removesuffix("%")) / (100 if str(said).endswith("%") else 1)
    except ValueError:
        share = -1
    expect(0 <= share < 1, path, f"tolerance = {said}: a share such as 1%")
    return share


def finish(path: Path, said: dict, variants: list[Variant], tokens, seeds) -> Suite:
    names = [variant.name for variant in variants]
    baseline = said.get("baseline", names[0])
    expect(baseline in names, path, f"baseline = {baseline} is no variant{nearest(str(baseline), names)}")
    expect(isinstance(tokens, int) and tokens > 0, path, "tokens, the budget of every run, must be a positive number")
    expect(all(isinstance(seed, int) and seed >= 0 for seed in seeds) and len(set(seeds)) == len(seeds) > 0, path,
           "seeds must be different numbers from 0")
    differs = said.get("differs") or {}
    for name, measures in differs.items():
        expect(name in names, path, f"differs.{name} is no variant{nearest(name, names)}")
        for measure in measures:
            expect(measure in MEASURES, path, f"differs.{name}: {measure}{nearest(measure, list(MEASURES))}")
    analyzed = said.get("analyze", [])
    for name in analyzed:
        expect(name in names, path, f"analyze: {name} is no variant{nearest(str(name), names)}")
    expect(bool(said["evaluate"]), path, "evaluate is empty: name at least one token file")
    for variant in variants:
        for key in BATCH_KEYS:
            value = variant.config[key]
            expect(isinstance(value, int) and value > 0, path,
                   f"variant {variant.name}: {key} = {value}: must be a whole number from 1")
    batches = {math.prod(variant.config[key] for key in BATCH_KEYS) for variant in variants}
    expect(len(batches) == 1, path, f"variants have steps of {sorted(batches)} tokens; equal tokens need equal steps")
    steps = tokens // batches.pop()
    expect(steps > 0, path, f"{tokens} tokens are less than one step")
    for variant in variants:
        variant.config["train.train_iters"] = steps
    return Suite(path.stem, said.get("title", path.stem), variants, variants[names.index(baseline)], list(seeds), steps,
                 tokens, tolerance_of(path, said.get("tolerance", "1%")), differs, said["evaluate"], analyzed,
                 said.get("analyze_tokens", 0))


def check_files(suite: Suite) -> None:
    """Throws SuiteError unless every set that models are evaluated on is there; results are found by its content."""
    for name, prefix in suite.evaluate.items():
        for file in (f"{prefix}.idx", f"{prefix}.bin"):
            if not Path(file).is_file():
                raise SuiteError(f"{suite.name}: evaluate.{name} = {prefix}: there is no file {file}")


def make_plans(suite: Suite, granule: str) -> None:
    """Lets the program check every variant's config and count it. Throws SuiteError with the program's words."""
    with tempfile.TemporaryDirectory() as directory:
        for variant in suite.variants:
            path = Path(directory) / "variant.yaml"
            path.write_text(write_yaml({**variant.config, "run_dir": "none"}), encoding="utf-8")
            # A suite may run on any machine: what fits into one is not asked here.
            job = subprocess.run([granule, "plan", str(path), "--ranks", str(variant.ranks), "--memory", "1e9", "--json"],
                                 capture_output=True, text=True)
            if job.returncode != 0:
                reason = job.stderr.strip().replace(str(path), "its config")
                raise SuiteError(f"variant {variant.name}: {reason}")
            variant.plan = json.loads(job.stdout)
            if "fault" in variant.plan:
                raise SuiteError(f"variant {variant.name} cannot run: ranks = {variant.ranks}: {variant.plan['fault']}")


def differences(suite: Suite) -> dict[tuple[str, str], float]:
    """(variant, measure) -> how far it is from the baseline, relative."""
    return {(variant.name, name): variant.measure(name) / suite.baseline.measure(name) - 1
            for variant in suite.variants for name in MEASURES}


def check_comparable(suite: Suite) -> None:
    """Throws SuiteError unless every variant equals the baseline within tolerance in all that is not in `differs`."""
    faults = [f"{variant}: {MEASURES[name]} {share:+.1%} from {suite.baseline.name}"
              for (variant, name), share in differences(suite).items()
              if abs(share) > suite.tolerance and name not in suite.differs.get(variant, [])]
    if faults:
        raise SuiteError(f"{suite.name}: variants cannot be compared at a tolerance of {suite.tolerance:.1%}\n  "
                         + "\n  ".join(faults) + "\nlist under `differs` what a variant is meant to have more or less of")
