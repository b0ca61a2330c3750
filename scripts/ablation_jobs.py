"""The runs of a suite, several at once. All state is on disk: what a run still needs is read off its directory, so a
runner may be killed at any moment and started again. Used by ablate.py."""
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from ablation_suite import Suite, Variant
from small_yaml import write_yaml

STOPPED = 75  # granule's exit code after a checkpoint that somebody asked for
MAX_RESTARTS = 5
PR_SET_PDEATHSIG = 1


@dataclass
class Job:
    """One variant with one seed."""

    variant: Variant
    seed: int
    steps: int
    evaluate: dict[str, str]
    directory: Path
    restarts: int = 0
    seconds: float = 0
    failure: str = ""

    def name(self) -> str:
        return f"{self.variant.name}, seed {self.seed}"

    def trained(self) -> bool:
        return (self.directory / "checkpoints" / f"step-{self.steps:07d}" / "manifest.json").is_file()

    def evaluation(self, name: str) -> dict | None:
        """What `granule eval` said about a set, if it has been asked."""
        try:
            said = json.loads((self.directory / "evaluation" / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None
        return said if said["data"] == [self.evaluate[name]] else None

    def finished(self) -> bool:
        return self.trained() and all(self.evaluation(name) for name in self.evaluate)

    def begun(self) -> bool:
        return (self.directory / "metrics.jsonl").is_file()

    def busy(self) -> bool:
        """Whether a job, maybe another runner's, writes into the directory."""
        try:
            with open(self.directory / "lock", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True


def jobs_of(suite: Suite, runs: Path) -> list[Job]:
    """Seed by seed, so that an unfinished suite has something to say about every variant."""
    return [Job(variant, seed, suite.steps, suite.evaluate, runs / variant.key() / f"seed-{seed}")
            for seed in suite.seeds for variant in suite.variants]


def die_with_parent() -> None:
    """In the child: SIGTERM when the runner is gone, however it went; granule then writes a checkpoint and stops."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Step:
    """A command that runs now for a job: its training or one evaluation."""

    job: Job
    evaluated: str  # name of the set; empty: training
    process: subprocess.Popen = None
    begin: float = field(default_factory=time.monotonic)


class Runner:
    """Works through jobs, `at_once` at a time. `say` gets a line about each thing that happens."""

    def __init__(self, granule: str, threads: int, say):
        self.granule = granule
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self.say = say
        self.stopping = False
        self.running: list[Step] = []

    def run(self, jobs: list[Job], at_once: int, finished_one) -> None:
        """Returns when every job is finished or has failed, or after stop(). `finished_one(job)` is called for each."""
        waiting = [job for job in jobs if not job.finished()]
        while (waiting and not self.stopping) or self.running:
            while not self.stopping and len(self.running) < at_once:
                job = next((job for job in waiting if not job.busy()), None)
                if job is None:
                    break
                waiting.remove(job)
                self.start(job)
            time.sleep(0.2)
            for step in [step for step in self.running if step.process.poll() is not None]:
                self.running.remove(step)
                self.end(step)
                if step.job.finished():
                    self.say(f"{step.job.name()}: finished after {step.job.seconds:.0f} s")
                    finished_one(step.job)
                elif not step.job.failure:
                    waiting.insert(0, step.job)

    def stop(self) -> None:
        """Asks what runs to write a checkpoint and end; nothing new is started."""
        self.stopping = True
        for step in self.running:
            step.process.send_signal(signal.SIGTERM if step.evaluated else signal.SIGUSR1)

    def start(self, job: Job) -> None:
        job.directory.mkdir(parents=True, exist_ok=True)
        evaluated = next((name for name in job.evaluate if not job.evaluation(name)), "") if job.trained() else ""
        config = job.directory.parent / "variant.yaml"
        if evaluated:
            command = [self.granule, "eval", job.directory, "--data", job.evaluate[evaluated], "--json"]
        else:
            config.write_text(write_yaml({**job.variant.config, "run_dir": "set for each seed"}))
            command = [self.granule, "train", config, f"run_dir={job.directory}", f"rng.seed={job.seed}"]
        if job.variant.ranks > 1:
            command = ["mpirun", "-np", str(job.variant.ranks), "--oversubscribe", "--bind-to", "none", *command]
        output = job.directory / (f"evaluation/{evaluated}.new" if evaluated else "console.log")
        output.parent.mkdir(exist_ok=True)
        if not evaluated:
            self.say(f"{job.name()}: {'goes on' if job.begun() else 'begins'} in {job.directory}")
        with open(output, "wb" if evaluated else "ab") as out, open(job.directory / "console.log", "ab") as errors:
            process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                                       env=self.environment, preexec_fn=die_with_parent)
        self.running.append(Step(job, evaluated, process))

    def end(self, step: Step) -> None:
        job, code = step.job, step.process.returncode
        job.seconds += time.monotonic() - step.begin
        if code == 0 and step.evaluated:
            new = job.directory / "evaluation" / f"{step.evaluated}.new"
            new.replace(new.with_suffix(".json"))
        if code == 0 or self.stopping:
            return
        interrupted = code == STOPPED or code < 0 or code > 128
        if interrupted and job.restarts < MAX_RESTARTS:
            job.restarts += 1
            self.say(f"{job.name()}: interrupted ({'stopped' if code == STOPPED else code}), goes on")
            return
        job.failure = f"exit code {code}; see {job.directory / 'console.log'}"
        self.say(f"{job.name()}: failed, {job.failure}")
