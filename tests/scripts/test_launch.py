"""launch/train.sbatch, with programs in place of mpirun and scontrol that write down what they are asked."""
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "launch/train.sbatch"

# A job that trains until it is signalled, then takes its time over the checkpoint.
TRAINS = """\
trap 'sleep 0.3; exit 75' USR1
touch begun
for _ in $(seq 3000); do sleep 0.02; done
"""


def start(directory: Path, mpirun: str) -> subprocess.Popen:
    for name, body in (("mpirun", mpirun), ("scontrol", "")):
        program = directory / name
        program.write_text(f'#!/bin/sh\necho "$@" >{name}.asked\n{body}')
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "GRANULE": "granule"}
    return subprocess.Popen(["bash", SCRIPT, "my.yaml", "a.b=c d"], cwd=directory, env=environment)


# 138: the signal ended a program that had not come to its handler.
@pytest.mark.parametrize("code", [75, 138])
def test_the_signal_reaches_mpirun_and_the_job_queues_itself_again(tmp_path, code):
    job = start(tmp_path, TRAINS.replace("75", str(code)))
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "begun").exists():
            assert job.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        job.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
        job.send_signal(signal.SIGUSR1)
        assert job.wait(timeout=60) == code
    finally:
        job.kill()
    assert (tmp_path / "mpirun.asked").read_text() == "--bind-to none granule train my.yaml a.b=c d\n"
    assert (tmp_path / "scontrol.asked").read_text() == "requeue 7\n"


@pytest.mark.parametrize("code", [0, 3, 137, 138])
def test_a_job_that_is_done_or_has_failed_is_not_queued_again(tmp_path, code):
    assert start(tmp_path, f"exit {code}").wait(timeout=60) == code
    assert not (tmp_path / "scontrol.asked").exists()
