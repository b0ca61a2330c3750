"""The runs of a suite, several at once. All state is on disk: what a run still needs is read off its directory, so a
runner may be killed at any moment and started again. Used by ablate.py."""
import ctypes
import fcntl
import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from ablation_data import fingerprint, short_hash
from ablation_suite import Suite, Variant
from small_yaml import write_yaml

STOPPED = 75  # granule's exit code after a checkpoint that somebody asked for
MAX_RESTARTS = 5
PR_SET_PDEATHSIG = 1
ERROR = re.compile(r"error(?: \(rank \d+\))?: (.*)")  # of granule, on one rank and on several


@dataclass
class Job:
    """One variant with one seed."""

    variant: Variant
    seed: int
    steps: int
    evaluate: list[tuple[str, str]]  # name and token file of each set
    analyses: list[list[str]]  # each what `granule analyze` is asked: its arguments but the run
    directory: Path
    restarts: int = 0
    seconds: float = 0
    failure: str = ""

    def name(self) -> str:
        return f"{self.variant.name}, seed {self.seed}"

    def trained(self) -> bool:
        return (self.directory / "checkpoints" / f"step-{self.steps:07d}" / "manifest.json").is_file()

    # A file for each question, as suites that share a run may ask different ones, or mean another set by a name, and
    # data may be made anew.
    def evaluation_file(self, name: str, prefix: str) -> Path:
        return self.directory / "evaluation" / f"{name}-{short_hash([prefix, fingerprint(prefix)])}.json"

    def evaluation(self, name: str, prefix: str) -> dict | None:
        """What `granule eval` said about a set, if it has been asked."""
        return read_json(self.evaluation_file(name, prefix))

    def analysis_file(self, question: list[str]) -> Path:
        sets = question[question.index("--data") + 1:]
        content = [fingerprint(prefix) for _, prefix in (one.split("=", 1) for one in sets)]
        return self.directory / "analysis" / f"{short_hash([question, content])}.json"

    def analysis(self, question: list[str]) -> dict | None:
        """What `granule analyze` said about the run, if it has been asked."""
        return read_json(self.analysis_file(question))

    def finished(self) -> bool:
        return self.trained() and self.next_question() is None

    def next_question(self) -> tuple[list, Path] | None:
        """What the trained model has still to be asked, as arguments of granule, and where the answer goes."""
        for name, prefix in self.evaluate:
            if not self.evaluation(name, prefix):
                return ["eval", self.directory, "--data", prefix, "--json"], self.evaluation_file(name, prefix)
        for question in self.analyses:
            if not self.analysis(question):
                return ["analyze", self.directory, "--json", *question], self.analysis_file(question)
        return None

    def begun(self) -> bool:
        return (self.directory / "metrics.jsonl").is_file()

    def busy(self) -> bool:
        """Whether a job, maybe another runner's, writes into the directory."""
        try:
            # For writing, without which file systems of a network refuse an exclusive lock.
            with open(self.directory / "lock", "r+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True


def read_json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def replace_text(path: Path, text: str) -> None:
    """In one move, since runs of other seeds may be reading it."""
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def analysis_question(suite: Suite) -> list[str]:
    bound = ["--tokens", str(suite.analyze_tokens)] if suite.analyze_tokens else []
    return [*bound, "--data", *(f"{name}={prefix}" for name, prefix in suite.evaluate.items())]


def jobs_of(suite: Suite, runs: Path) -> list[Job]:
    return [Job(variant, seed, suite.steps, list(suite.evaluate.items()),
                [analysis_question(suite)] if variant.name in suite.analyze else [],
                runs / variant.key() / f"seed-{seed}")
            for variant in suite.variants for seed in suite.seeds]


def merged(jobs: list[Job]) -> list[Job]:
    """Each run once, with all that any of the suites wants to know of it; seed by seed, so that unfinished suites have
    something to say about every variant."""
    by_directory: dict[Path, Job] = {}
    for job in jobs:
        known = by_directory.setdefault(job.directory, job)
        known.evaluate = known.evaluate + [asked for asked in job.evaluate if asked not in known.evaluate]
        known.analyses = known.analyses + [asked for asked in job.analyses if asked not in known.analyses]
    return sorted(by_directory.values(), key=lambda job: job.seed)


def die_with_parent() -> None:
    """In the child: SIGTERM when the runner is gone, however it went; granule then writes a checkpoint and stops."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Step:
    """A command that runs now for a job."""

    job: Job
    answer: Path | None  # where its output goes when it is done; None: it trains
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
            step.process.send_signal(signal.SIGTERM if step.answer else signal.SIGUSR1)

    def start(self, job: Job) -> None:
        job.directory.mkdir(parents=True, exist_ok=True)
        question, answer = (job.next_question() if job.trained() else None) or ([], None)
        if not answer:
            config = job.directory.parent / "variant.yaml"
            replace_text(config, write_yaml({**job.variant.config, "run_dir": "set for each seed"}))
            question = ["train", config, f"run_dir={job.directory}", f"rng.seed={job.seed}"]
            self.say(f"{job.name()}: {'goes on' if job.begun() else 'begins'} in {job.directory}")
        command = [self.granule, *question]
        if job.variant.ranks > 1:
            command = ["mpirun", "-np", str(job.variant.ranks), "--oversubscribe", "--bind-to", "none", *command]
        output = answer.with_suffix(".new") if answer else job.directory / "console.log"
        output.parent.mkdir(exist_ok=True)
        with open(output, "wb" if answer else "ab") as out, open(job.directory / "console.log", "ab") as errors:
            process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                                       env=self.environment, preexec_fn=die_with_parent)
        self.running.append(Step(job, answer, process))

    def end(self, step: Step) -> None:
        job, code = step.job, step.process.returncode
        job.seconds += time.monotonic() - step.begin
        if code == 0 and step.answer:
            step.answer.with_suffix(".new").replace(step.answer)
        complete = job.trained() if step.answer is None else read_json(step.answer) is not None
        if (code == 0 and complete) or self.stopping or job.busy():
            return  # busy: another runner was faster
        interrupted = code == STOPPED or code < 0 or code > 128
        if interrupted and job.restarts < MAX_RESTARTS:
            job.restarts += 1
            self.say(f"{job.name()}: interrupted ({'stopped' if code == STOPPED else code}), goes on")
            return
        console = job.directory / "console.log"
        errors = ERROR.findall(console.read_text(errors="replace"))
        job.failure = f"exit code {code}: {errors[-1] if errors else 'no message'} ({console})"
        self.say(f"{job.name()}: failed, {job.failure}")
