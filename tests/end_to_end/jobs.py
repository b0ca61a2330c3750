"""Running the real program: jobs, their configs and data, and what they leave behind."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[2]
# Far more than any case takes; a job that needs it hangs.
PATIENCE_SECONDS = 300

CONFIG = """\
run_dir: {run_dir}
model:
  vocab_size: 320
  hidden_size: 32
  num_hidden_layers: 3
  num_attention_heads: 4
  num_key_value_heads: 2
  intermediate_size: 64
  moe_intermediate_size: 16
  n_routed_experts: 8
  num_experts_per_tok: 3
  n_shared_experts: 2
  first_k_dense_replace: 1
  moe_aux_loss_coeff: 0.01
  initializer_range: 0.05
data:
  train: [{data}/train]
  valid: [{data}/valid]
train:
  train_iters: 10
  global_batch_size: 8
  micro_batch_size: 2
  seq_length: 32
optimizer:
  lr: 3.0e-3
scheduler:
  lr_warmup_iters: 3
checkpoint:
  save_interval: 5
validation:
  eval_interval: 5
  eval_iters: 2
logger:
  log_interval: 1
  tensorboard: false
"""


def make_data(directory: Path, *vocabulary: str) -> Path:
    """Token files of this repository's documents, of bytes if nothing else is asked for: no training of a vocabulary,
    no network."""
    sources = [str(path) for path in sorted((ROOT / "docs").glob("*.md"))] + [str(ROOT / "src" / "README.md")]
    subprocess.run([sys.executable, str(ROOT / "data" / "prepare.py"), "--output", str(directory),
                    "--valid-fraction", "0.3", *(vocabulary or ["--bytes"]), "--text", *sources], check=True, capture_output=True)
    return directory


def write_config(directory: Path, data: Path, **replaced: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(run_dir=directory / "run", data=data)
    for old, new in replaced.items():
        text = text.replace(old, new)
    path = directory / "config.yaml"
    path.write_text(text)
    return path


def granule() -> str:
    program = shutil.which("granule")
    assert program, "the build directory, which holds granule, must be on PATH"
    return program


def command(*arguments, ranks: int | None = 1) -> list[str]:
    """`ranks` None: without mpirun."""
    own = [granule(), *map(str, arguments)]
    if ranks is None:
        return own
    return ["mpirun", "-np", str(ranks), "--oversubscribe", "--bind-to", "none", *own]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def run(*arguments, ranks: int | None = 1, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess:
    for _ in range(3):
        job = subprocess.run(command(*arguments, ranks=ranks), env=environment(), input=stdin, capture_output=True,
                             text=True, timeout=PATIENCE_SECONDS)
        # OpenMPI 4.1's mpirun now and then crashes in its own clean-up after an aborted job; that is none of ours.
        if not (code != 0 and job.returncode == -signal.SIGSEGV and "PMIx_server_finalize" in job.stderr):
            break
    assert job.returncode == code, f"exit code {job.returncode}, expected {code}\n{job.stdout}\n{job.stderr}"
    return job


def start(*arguments, ranks: int | None = 1) -> subprocess.Popen:
    return subprocess.Popen(command(*arguments, ranks=ranks), env=environment(), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, start_new_session=True)


def end(job: subprocess.Popen) -> None:
    """Ends a job and all its ranks, whatever state it is in."""
    try:
        os.killpg(job.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    job.wait(timeout=PATIENCE_SECONDS)


def metrics(run_dir: Path, name: str = "lm loss") -> dict[int, float]:
    """The values of a metric by step."""
    records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return {record["step"]: record[name] for record in records if name in record}


def wait_for_steps(job: subprocess.Popen, run_dir: Path, count: int) -> None:
    """Until the running job has logged so many steps."""
    while not (run_dir / "metrics.jsonl").exists() or len(metrics(run_dir)) < count:
        assert job.poll() is None
        time.sleep(0.05)


def newest_checkpoint(run_dir: Path) -> Path:
    complete = [path for path in (run_dir / "checkpoints").glob("step-*") if (path / "manifest.json").exists()
                and ".tmp" not in path.name and ".bad" not in path.name]
    return max(complete)


STATE = ("parameter", "exp_avg", "exp_avg_sq")


def tensors(checkpoint: Path) -> dict[str, np.ndarray]:
    """All state of a checkpoint put together: "exp_avg/model.norm.weight" -> values, whatever layout wrote it."""
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    shards = [safe_open(checkpoint / file["name"], "np") for file in manifest["files"]
              if file["name"].endswith(".safetensors")]
    held = {name: shard for shard in shards for name in shard.keys()}
    whole: dict[str, np.ndarray] = {}
    for name, shard in held.items():
        full_name, _, span = name.rpartition("[")
        begin, end_of_slice = map(int, span.rstrip("]").split(":"))
        shape = next(p["shape"] for p in manifest["parameters"] if full_name.endswith("/" + p["name"]))
        values = whole.setdefault(full_name, np.full(int(np.prod(shape)), np.nan, np.float32))
        values[begin:end_of_slice] = shard.get_tensor(name)
    for full_name in whole:
        shape = next(p["shape"] for p in manifest["parameters"] if full_name.endswith("/" + p["name"]))
        assert not np.isnan(whole[full_name]).any(), full_name
        whole[full_name] = whole[full_name].reshape(shape)
    return whole


def assert_same_state(left: Path, right: Path) -> None:
    ours, theirs = tensors(left), tensors(right)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert np.array_equal(values, theirs[name]), name


def kill_rank(job: subprocess.Popen, number: int, by: int = signal.SIGKILL) -> None:
    """A signal for one of mpirun's ranks; nothing if the job is over."""
    children = subprocess.run(["pgrep", "-P", str(job.pid), "-x", "granule"], capture_output=True, text=True).stdout
    ranks = [int(pid) for pid in children.split()]
    if number < len(ranks):
        os.kill(ranks[number], by)
