#!/usr/bin/env python3
"""Checks that the house is built as drawn: `check_layers.py [ROOT]`; exit code 1 and a line for each fault.

Looked at: includes between rooms of src/, circles among files, where foreign headers and the environment are seen,
a test for every source file, and src/README.md, which names every file pair once. Long files and functions only warn.
"""
import re
import sys
from collections import Counter
from pathlib import Path

# The one table of allowed arrows: room -> rooms it may include. Everything else points up or sideways.
ALLOWED = {
    "app": {"bench", "train", "interchange", "optim", "data", "model", "comm", "ops", "base"},
    "bench": {"train", "optim", "data", "model", "comm", "ops", "base"},
    "train": {"interchange", "optim", "data", "model", "comm", "ops", "base"},
    "optim": {"comm", "ops", "base"},
    "data": {"base"},
    "interchange": {"model", "base"},
    "model": {"comm", "ops", "base"},
    "comm": {"base"},
    "ops": {"base"},
    "base": set(),
}

# What is seen in few places: (what, a pattern of source lines, a pattern of the files that may have them).
CONFINED = [
    ("yaml-cpp", r'#include\s+[<"]yaml-cpp/', r"base/yaml_node\.cpp"),
    ("spdlog", r'#include\s+[<"]spdlog/', r"base/log\.cpp"),
    ("CLI11", r'#include\s+[<"]CLI/', r"app/.*"),
    ("MPI", r'#include\s+[<"]mpi\.h', r"comm/mpi_[^/]*"),
    ("NCCL", r'#include\s+[<"]nccl\.h', r"comm/nccl_[^/]*"),
    ("CUDA", r'#include\s+[<"](cuda|cublas|(ATen|c10)/cuda/)', r".*\.cuh?|.*_cuda\.cpp|comm/nccl_[^/]*"),
    ("LibTorch", r'#include\s+[<"](ATen|torch|c10)/', r"(?!base/).*"),
    ("the environment", r"\b(secure_)?getenv\s*\(|\benviron\b", r"comm/world\.cpp"),
]

# One concept may have a source file for each device or instruction set, or one for builds without the device; the test
# and the README name the concept.
BACKEND = re.compile(r"_(cpu|cuda|none|plain|avx2|avx512|avx512_bf16)$")

# Source files whose test has another name: parts that are only tested well where they are put together.
TESTED_BY = {
    "app/main.cpp": "end_to_end/test_docs.py",
    "app/train_command.cpp": "end_to_end/test_train.py",
    "app/eval_command.cpp": "end_to_end/test_evaluation.py",
    "app/generate_command.cpp": "end_to_end/test_transformers.py",
    "app/chat_command.cpp": "end_to_end/test_chat.py",
    "app/sampling_options.cpp": "end_to_end/test_transformers.py",
    "app/option_checks.cpp": "end_to_end/test_plan.py",
    "app/list_option.cpp": "end_to_end/test_analyze.py",
    "app/inspect_command.cpp": "end_to_end/test_train.py",
    "app/plan_command.cpp": "end_to_end/test_plan.py",
    "app/bench_command.cpp": "end_to_end/test_bench.py",
    "app/import_command.cpp": "end_to_end/test_interchange.py",
    "app/export_command.cpp": "end_to_end/test_interchange.py",
    "app/analyze_command.cpp": "end_to_end/test_analyze.py",
    "train/expert_analysis_json.cpp": "end_to_end/test_analyze.py",
    "train/expert_analysis_report.cpp": "end_to_end/test_analyze.py",
    "train/step.cpp": "multi_rank/layout_test.cpp",
    "train/run_parts.cpp": "end_to_end/test_train.py",
    "train/trainer.cpp": "end_to_end/test_train.py",
    "train/evaluate.cpp": "end_to_end/test_transformers.py",
    "train/choice_task.cpp": "train/evaluation_task_test.cpp",
    "train/match_task.cpp": "train/evaluation_task_test.cpp",
    "train/rolling_task.cpp": "train/evaluation_task_test.cpp",
    "train/trained_model.cpp": "end_to_end/test_transformers.py",
    "bench/step_benchmark.cpp": "end_to_end/test_bench.py",
    "bench/step_report.cpp": "end_to_end/test_bench.py",
    "bench/timed_case.cpp": "end_to_end/test_bench.py",
    "bench/attention_cases.cpp": "end_to_end/test_bench.py",
    "bench/comm_cases.cpp": "end_to_end/test_bench.py",
    "bench/data_cases.cpp": "end_to_end/test_bench.py",
    "train/import_model.cpp": "end_to_end/test_interchange.py",
    "train/export_model.cpp": "end_to_end/test_interchange.py",
    "interchange/llama.cpp": "interchange/architecture_test.cpp",
    "interchange/qwen2_moe.cpp": "interchange/architecture_test.cpp",
    "interchange/glm4_moe.cpp": "interchange/architecture_test.cpp",
    "interchange/mixtral.cpp": "interchange/architecture_test.cpp",
    "interchange/deepseek.cpp": "interchange/architecture_test.cpp",
    "model/attention.cpp": "model/transformer_test.cpp",
    "model/block.cpp": "model/transformer_test.cpp",
    "model/feed_forward.cpp": "model/moe_test.cpp",
    "model/initialize.cpp": "model/transformer_test.cpp",
    "model/linear.cpp": "model/transformer_test.cpp",
    "model/model_config.cpp": "model/transformer_test.cpp",
    "model/norm.cpp": "model/transformer_test.cpp",
    "model/recompute.cpp": "model/transformer_test.cpp",
    "comm/mpi_alltoallv.cpp": "multi_rank/communicator_test.cpp",
    "comm/mpi_communicator.cpp": "multi_rank/communicator_test.cpp",
    "comm/mpi_runtime.cpp": "multi_rank/communicator_test.cpp",
    "ops/expert_kernels.cpp": "ops/expert_mlp_test.cpp",
    "ops/expert_grouped.cpp": "ops/device_test.cpp",
    "ops/expert_matmul.cpp": "ops/expert_mlp_test.cpp",
    "ops/kernels.cpp": "ops/isa_test.cpp",
    "ops/kernels_avx2.cpp": "ops/expert_mlp_test.cpp",
    "ops/kernels_avx512.cpp": "ops/expert_mlp_test.cpp",
    "ops/kernels_avx512_bf16.cpp": "ops/expert_mlp_test.cpp",
    "ops/kernels_plain.cpp": "ops/expert_mlp_test.cpp",
    "ops/scratch.cpp": "ops/expert_mlp_test.cpp",
    "ops/team.cpp": "ops/expert_mlp_test.cpp",
    "ops/weight_gradient.cpp": "ops/expert_mlp_test.cpp",
    "ops/wide_matmul.cpp": "ops/device_test.cpp",
    "comm/accelerator_none.cpp": "comm/device_test.cpp",
    "comm/accelerator_cuda.cpp": "gpu/gpu_test.cpp",
    "comm/nccl_transport.cpp": "gpu/gpu_test.cpp",
}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


class House:
    def __init__(self, root: Path):
        self.root = root
        self.src = root / "src"
        self.faults: list[str] = []
        self.warnings: list[str] = []
        suffixes = {".h", ".cpp", ".cu", ".cuh"}
        self.files = sorted(path for path in self.src.rglob("*") if path.suffix in suffixes)
        self.lines = {path: path.read_text(encoding="utf-8").splitlines() for path in self.files}

    def name(self, path: Path) -> str:
        return path.relative_to(self.src).as_posix()

    def fault(self, path: Path, line: int, text: str) -> None:
        self.faults.append(f"{path.relative_to(self.root)}:{line}: {text}")

    def includes(self, path: Path) -> list[tuple[int, str]]:
        found = ((number, INCLUDE.match(line)) for number, line in enumerate(self.lines[path], 1))
        return [(number, match[1]) for number, match in found if match]

    def check_arrows(self) -> None:
        for path in self.files:
            room = self.name(path).split("/")[0]
            if room not in ALLOWED:
                self.fault(path, 1, f"{room} is no room of the table in scripts/check_layers.py")
                continue
            for line, target in self.includes(path):
                target_room = target.split("/")[0]
                if not (self.src / target).is_file():
                    self.fault(path, line, f'"{target}" is no file below src/')
                elif target_room != room and target_room not in ALLOWED[room]:
                    allowed = ", ".join(sorted(ALLOWED[room])) or "no room"
                    self.fault(path, line, f"{room} may not include {target_room}; it may include {allowed}")

    def check_circles(self) -> None:
        graph = {self.name(path): [target for _, target in self.includes(path)] for path in self.files}
        finished: set[str] = set()

        def walk(file: str, way: list[str]) -> None:
            if file in way:
                circle = way[way.index(file):] + [file]
                self.faults.append(f"src/{file}: files include one another: " + " -> ".join(circle))
            elif file not in finished:
                for target in graph.get(file, []):
                    walk(target, way + [file])
                finished.add(file)

        for file in graph:
            walk(file, [])

    def check_confinement(self) -> None:
        for path in self.files:
            for line, text in enumerate(self.lines[path], 1):
                for what, pattern, places in CONFINED:
                    if re.search(pattern, text) and not re.fullmatch(places, self.name(path)):
                        self.fault(path, line, f"{what} may be seen only in files that match {places}")

    def check_headers(self) -> None:
        for path in self.files:
            if path.suffix == ".h" and not any(line == "#pragma once" for line in self.lines[path][:3]):
                self.fault(path, 1, "a header begins with #pragma once")

    def check_tests(self) -> None:
        tests = self.root / "tests"
        for path in self.files:
            name = self.name(path)
            if path.suffix not in {".cpp", ".cu"}:
                continue
            room, stem = path.parent.name, path.stem
            concept = BACKEND.sub("", stem)
            candidates = [f"{folder}/{test}_test.cpp" for folder in (room, "multi_rank") for test in {stem, concept}]
            candidates += [f"{room}/test_{concept}.py", TESTED_BY.get(name, "")]
            if not any((tests / candidate).is_file() for candidate in candidates):
                self.fault(path, 1, f"has no test: tests/{room}/{concept}_test.cpp is missing")

    def check_readme(self) -> None:
        """`## room` headings, and below each a line "- `concept`: ..." for every file pair."""
        readme = self.src / "README.md"
        existing = {f"{path.parent.name}/{BACKEND.sub('', path.stem)}" for path in self.files}
        listed: Counter[str] = Counter()
        room = ""
        for number, line in enumerate(readme.read_text().splitlines() if readme.is_file() else [], 1):
            if line.startswith("## "):
                room = line.removeprefix("## ").strip().strip("`/")
            elif match := re.match(r"- `([^`]+)`", line):
                concept = f"{room}/{match[1]}"
                listed[concept] += 1
                if concept not in existing:
                    self.fault(readme, number, f"{concept} is no file of src/")
        for concept in sorted(existing - set(listed)):
            self.faults.append(f"src/README.md: {concept} is missing")
        for concept, times in sorted(listed.items()):
            if times > 1:
                self.faults.append(f"src/README.md: {concept} is listed {times} times")

    def measure(self) -> None:
        for path, lines in self.lines.items():
            place = path.relative_to(self.root)
            if len(lines) > MAX_FILE_LINES:
                self.warnings.append(f"{place}: {len(lines)} lines, more than {MAX_FILE_LINES}")
            begin = 0
            for number, line in enumerate(lines, 1):
                # Formatted code: what starts in the first column and opens a brace ends with a brace there.
                if re.match(r"[A-Za-z}]", line) and line.endswith("{"):
                    begin = 0 if re.match(r"(namespace|class|struct|enum|extern|union)\b", line) else number
                elif line.startswith("}") and begin:
                    if number - begin > MAX_FUNCTION_LINES:
                        self.warnings.append(f"{place}:{begin}: a function of {number - begin} lines, "
                                             f"more than {MAX_FUNCTION_LINES}")
                    begin = 0

    def check(self) -> bool:
        self.check_arrows()
        self.check_circles()
        self.check_confinement()
        self.check_headers()
        self.check_tests()
        self.check_readme()
        self.measure()
        return not self.faults


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    house = House(root.resolve())
    if not house.files:
        print(f"{root}: no sources below src/")
        return 1
    sound = house.check()
    for warning in house.warnings:
        print(f"warning: {warning}")
    for fault in house.faults:
        print(fault)
    print(f"{len(house.files)} files, {len(house.faults)} faults, {len(house.warnings)} warnings")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
