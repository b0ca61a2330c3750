"""Jobs of several ranks in which one misbehaves: the job must end soon, with the documented exit code, and say why.

The multi-rank test program acts the parts (tests/multi_rank/misbehaviour.cpp); every case also tests its harness.
"""
import os
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

# Far more than any case takes; a job that needs it hangs.
PATIENCE_SECONDS = 120


def find_test_program() -> str:
    folders = os.environ["PATH"].split(os.pathsep)
    found = shutil.which("multi_rank_test", path=os.pathsep.join([f"{folder}/tests" for folder in folders] + folders))
    assert found, "the build directory, which holds tests/multi_rank_test, must be on PATH"
    return found


def run_job(part: str, *flags: str, ranks: int = 2) -> subprocess.CompletedProcess:
    mpirun = ["mpirun", "-np", str(ranks), "--oversubscribe", "--bind-to", "none"]
    program = [find_test_program(), "--with_misbehaviour", f"--gtest_filter=Misbehaviour.{part}", "--gtest_color=no"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for _ in range(3):
        job = subprocess.run([*mpirun, *program, *flags], env=environment, capture_output=True, text=True,
                             timeout=PATIENCE_SECONDS)
        # OpenMPI 4.1's mpirun now and then crashes in its own clean-up after an aborted job; that is none of ours.
        if not (job.returncode == -signal.SIGSEGV and "PMIx_server_finalize" in job.stderr):
            break
    return job


@pytest.mark.parametrize("part, code, text", [
    ("ThrowsConfigError", 2, "model.depth = 0 must be positive"),
    ("ThrowsInputError", 3, "tokens.bin: ends after 3 bytes"),
    ("ThrowsStandardException", 1, "the roof is on fire"),
])
@pytest.mark.parametrize("ranks", [2, 4])
def test_exception_on_one_rank_ends_all_with_its_text_and_code(part, code, text, ranks):
    # The watchdog must not be needed.
    job = run_job(part, "--gtest_catch_exceptions=0", "--hang_seconds=1000", ranks=ranks)
    assert job.returncode == code, job.stderr
    assert f"error (rank {ranks - 1}): {text}" in job.stderr


def test_stopped_rank_is_noticed_and_the_collective_named():
    job = run_job("StopsForEver", "--hang_seconds=2", ranks=3)
    assert job.returncode == 18, job.stderr
    # Each waiting rank says so; the stopped one cannot.
    for rank in (0, 1):
        assert f"error (rank {rank}): waits for other ranks in all_reduce_sum #2 of group world" in job.stderr
    assert "error (rank 2)" not in job.stderr
    assert "barrier #1 of group world" in job.stderr


def test_killed_rank_ends_the_job():
    job = run_job("DiesSilently", "--hang_seconds=1000")
    assert job.returncode == 137, job.stderr


def test_failure_on_another_rank_fails_the_program_and_names_the_rank(tmp_path):
    report = tmp_path / "report.xml"
    job = run_job("FailsOnTheLastRank", f"--gtest_output=xml:{report}", ranks=3)
    assert job.returncode == 1, job.stderr
    assert "rank 2: " in job.stderr and "a wrong number" in job.stderr
    assert "[  FAILED  ] Misbehaviour.FailsOnTheLastRank" in job.stdout
    assert job.stdout.count("[==========]") == 2, "rank 0 alone prints"
    failures = list(ElementTree.parse(report).iter("failure"))
    assert len(failures) == 1 and "failed on rank 2" in failures[0].get("message")


def test_fatal_failure_on_one_rank_cannot_hang_the_others():
    job = run_job("LeavesFatallyOnTheLastRank", "--hang_seconds=2")
    assert job.returncode == 18, job.stderr
    assert "rank 1: " in job.stderr and "a fatal number" in job.stderr
    assert "error (rank 0): waits for other ranks in barrier #1 of group world" in job.stderr
