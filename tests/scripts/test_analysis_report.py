"""scripts/analysis_report.py: what it refuses, and what its charts show. Whole pages are made by the suites' tests."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
import analysis_charts  # noqa: E402


@pytest.mark.parametrize("analysis, reason", [
    ({"loss": 1.5}, "is not what `granule analyze --json` prints"),
    ([], "is not what `granule analyze --json` prints"),
    ({"unchanged": {"loss": None}, "layers": []}, "loss is not finite"),
])
def test_files_without_a_loss_are_refused_by_name(tmp_path, analysis, reason):
    path = tmp_path / "said.json"
    path.write_text(json.dumps(analysis), encoding="utf-8")
    job = subprocess.run([sys.executable, SCRIPTS / "analysis_report.py", path, "--output", tmp_path / "page.html"], capture_output=True, text=True)
    assert job.returncode == 2
    assert f"{path}" in job.stderr and reason in job.stderr
    assert not (tmp_path / "page.html").exists()


def test_lift_is_one_for_experts_chosen_independently_of_one_another():
    # Three experts, every pair equally often; then 0 and 1 three times as often.
    layer = {"sets": {"a": {"tokens_per_expert": [2, 2, 2], "chosen_together": [[2, 1, 1], [1, 2, 1], [1, 1, 2]]}}}
    lifts = analysis_charts.lifts(layer)
    assert all(lifts[a][b] == pytest.approx(1) for a in range(3) for b in range(3))
    layer["sets"]["a"]["chosen_together"] = [[4, 3, 1], [3, 4, 1], [1, 1, 2]]
    lifts = analysis_charts.lifts(layer)
    assert lifts[0][1] == pytest.approx(3 / (4 * 4 / 6)) and lifts[0][2] < 1 and lifts[0][1] == lifts[1][0]
