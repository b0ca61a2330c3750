"""scripts/check_layers.py on small houses: a sound one, and one for each fault."""
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_layers.py"

SOUND = {
    "src/README.md": "# src\n## train\n- `step`: a step\n## model\n- `moe`: experts\n## base\n- `text`: words\n",
    "src/app/main.cpp": '#include "train/step.h"\n',
    "src/base/text.h": "#pragma once\n",
    "src/base/text.cpp": '#include "base/text.h"\n',
    "src/model/moe.h": '#pragma once\n#include "base/text.h"\n#include <ATen/ATen.h>\n',
    "src/model/moe_cpu.cpp": '#include "model/moe.h"\n',
    "src/model/moe_cuda.cu": '#include <cuda_runtime.h>\n#include "model/moe.h"\n',
    "src/train/step.h": '#pragma once\n#include "model/moe.h"\n',
    "src/train/step.cpp": '#include "train/step.h"\n',
    "tests/base/text_test.cpp": "",
    "tests/model/moe_test.cpp": "",
    "tests/multi_rank/step_test.cpp": "",
    "tests/end_to_end/test_docs.py": "",
}
SOUND["src/README.md"] += "## app\n- `main`: the program\n"

FAULTS = {
    "an arrow up": ({"src/model/moe.h": '#pragma once\n#include "train/step.h"\n'},
                    "src/model/moe.h:2: model may not include train; it may include base, comm, ops"),
    "a sibling": ({"src/data/loader.h": '#pragma once\n#include "model/moe.h"\n'},
                  "src/data/loader.h:2: data may not include model"),
    "an unknown room": ({"src/attic/box.h": "#pragma once\n"}, "src/attic/box.h:1: attic is no room"),
    "a missing file": ({"src/train/step.cpp": '#include "train/stop.h"\n'}, '"train/stop.h" is no file below src/'),
    "a circle": ({"src/train/a.h": '#pragma once\n#include "train/b.h"\n',
                  "src/train/b.h": '#pragma once\n#include "train/a.h"\n'},
                 "train/a.h -> train/b.h -> train/a.h"),
    "yaml-cpp": ({"src/base/text.cpp": "#include <yaml-cpp/yaml.h>\n"}, "text.cpp:1: yaml-cpp may be seen only"),
    "MPI": ({"src/train/step.cpp": "#include <mpi.h>\n"}, "step.cpp:1: MPI may be seen only"),
    "NCCL": ({"src/model/moe_cuda.cu": "#include <nccl.h>\n"}, "moe_cuda.cu:1: NCCL may be seen only"),
    "CUDA": ({"src/model/moe_cpu.cpp": "#include <cuda_runtime.h>\n"}, "moe_cpu.cpp:1: CUDA may be seen only"),
    "CUDA of LibTorch": ({"src/model/moe.h": "#pragma once\n#include <ATen/cuda/CUDAContext.h>\n"},
                         "moe.h:2: CUDA may be seen only"),
    "LibTorch in base": ({"src/base/text.h": "#pragma once\n#include <ATen/ATen.h>\n"},
                         "text.h:2: LibTorch may be seen only"),
    "the environment": ({"src/train/step.cpp": 'auto x = std::getenv("X");\n'}, "the environment may be seen only"),
    "no guard": ({"src/base/text.h": "// words\n"}, "text.h:1: a header begins with #pragma once"),
    "no test": ({"tests/base/text_test.cpp": None}, "src/base/text.cpp:1: has no test: tests/base/text_test.cpp"),
    "not in the list": ({"src/base/file.h": "#pragma once\n"}, "src/README.md: base/file is missing"),
    "twice in the list": ({"src/README.md": SOUND["src/README.md"] + "## base\n- `text`: again\n"},
                          "src/README.md: base/text is listed 2 times"),
    "gone from the house": ({"src/README.md": SOUND["src/README.md"] + "- `attic`: gone\n"},
                            "app/attic is no file of src/"),
    "no list": ({"src/README.md": None}, "src/README.md: base/text is missing"),
}


def build(root: Path, changes: dict) -> subprocess.CompletedProcess:
    for name, text in {**SOUND, **changes}.items():
        if text is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return subprocess.run([sys.executable, str(SCRIPT), str(root)], capture_output=True, text=True)


def test_sound_house_passes(tmp_path):
    done = build(tmp_path, {})
    assert done.returncode == 0, done.stdout
    assert "0 faults, 0 warnings" in done.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named_with_its_place(tmp_path, fault):
    changes, message = FAULTS[fault]
    done = build(tmp_path, changes)
    assert done.returncode == 1
    assert message in done.stdout


def test_length_only_warns(tmp_path):
    function = "void long_one() {\n" + "  step();\n" * 61 + "}\n"
    done = build(tmp_path, {"src/train/step.cpp": '#include "train/step.h"\n' + function + "\n" * 400})
    assert done.returncode == 0
    assert "warning: src/train/step.cpp: 465 lines" not in done.stdout.splitlines()[-1]
    assert "warning: src/train/step.cpp:2: a function of 62 lines" in done.stdout
    assert "more than 400" in done.stdout


def test_empty_house_is_a_fault(tmp_path):
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1
