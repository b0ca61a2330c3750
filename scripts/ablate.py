#!/usr/bin/env python3
"""Trains the variants of a suite on equal terms and says what came out: `ablate.py SUITE.yaml [SUITE.yaml ...]`.

  scripts/ablate.py configs/ablations/figure3.yaml                  # check, train what is missing, report
  scripts/ablate.py configs/ablations/figure3.yaml --check          # only the table of what is equal and what is not
  scripts/ablate.py configs/ablations/figure3.yaml --report-only    # a report of what there is

Killed or stopped at any moment, the same command goes on; what is finished is never trained again on the same data, also
where two suites share a variant. Exit codes: 0 done, 1 some runs failed, 2 the suite is wrong, 75 stopped by a signal.
"""
import argparse
import shutil
import signal
import sys
import time
from pathlib import Path

from ablation_jobs import STOPPED, Runner, jobs_of, merged
from ablation_report import comparison_table, write_report
from ablation_suite import SuiteError, check_comparable, check_files, load_suite, make_plans

ROOT = Path(__file__).resolve().parents[1]


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1")
    return int(text)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="+", type=Path, metavar="SUITE.yaml")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"), metavar="DIR",
                        help="where runs and reports are (default: %(default)s)")
    parser.add_argument("--jobs", type=at_least_one, default=1, metavar="N", help="runs at once (default: %(default)s)")
    parser.add_argument("--threads", type=at_least_one, default=1, metavar="N",
                        help="threads of a rank (default: %(default)s)")
    parser.add_argument("--tokens", type=at_least_one, metavar="N", help="another budget for every run")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="other seeds")
    parser.add_argument("--granule", default=None, metavar="PROGRAM", help="default: on PATH, or build/cpu/granule")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="compare the variants' plans, train nothing")
    what.add_argument("--report-only", action="store_true", help="train nothing, report what there is")
    return parser.parse_args()


def find_granule(given: str | None) -> str:
    found = shutil.which(given) if given else shutil.which("granule") or shutil.which(ROOT / "build/cpu/granule")
    if not found:
        raise SuiteError(f"{given or 'granule'} is not there: build it, or say where it is with --granule")
    return found


def train(suites, arguments, granule: str) -> int:
    runner = Runner(granule, arguments.threads, say)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: runner.stop())
    jobs = merged([job for suite in suites for job in jobs_of(suite, arguments.runs)])
    say(f"{len(jobs)} runs, {sum(job.finished() for job in jobs)} of them finished before")

    def report(_) -> None:
        for suite in suites:
            write_report(suite, jobs_of(suite, arguments.runs), arguments.runs)

    runner.run(jobs, arguments.jobs, report)
    if runner.stopping:
        say("stopped; the same command goes on")
        return STOPPED
    return 1 if any(job.failure for job in jobs) else 0


def main() -> int:
    arguments = parse_arguments()
    try:
        granule = find_granule(arguments.granule)
        suites = [load_suite(path, arguments.tokens, arguments.seeds) for path in arguments.suites]
        for suite in suites:
            make_plans(suite, granule)
            print(comparison_table(suite), flush=True)
            check_comparable(suite)
            check_files(suite)
    except SuiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.check:
        return 0
    code = 0 if arguments.report_only else train(suites, arguments, granule)
    for suite in suites:
        jobs = jobs_of(suite, arguments.runs)
        reported = (arguments.runs / suite.name / "report.html").exists()
        if arguments.report_only and reported and not any(job.trained() for job in jobs):
            print(f"{suite.name}: no run of this config and these data is trained; its report stays as it is", file=sys.stderr)
            code = 1
            continue
        print(f"report: {write_report(suite, jobs, arguments.runs)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
