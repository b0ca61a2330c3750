"""What scripts/analysis_report.py refuses; its charts are tested with the suites'."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/analysis_report.py"


@pytest.mark.parametrize("analysis, reason", [
    ({"loss": 1.5}, "is not what `granule analyze --json` prints"),
    ([], "is not what `granule analyze --json` prints"),
    ({"unchanged": {"loss": None}, "layers": []}, "loss is not finite"),
])
def test_files_without_a_loss_are_refused_by_name(tmp_path, analysis, reason):
    path = tmp_path / "said.json"
    path.write_text(json.dumps(analysis), encoding="utf-8")
    job = subprocess.run([sys.executable, SCRIPT, path, "--output", tmp_path / "page.html"], capture_output=True, text=True)
    assert job.returncode == 2
    assert f"{path}" in job.stderr and reason in job.stderr
    assert not (tmp_path / "page.html").exists()
