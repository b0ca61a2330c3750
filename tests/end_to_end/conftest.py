import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import jobs  # noqa: E402


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return jobs.make_data(tmp_path_factory.mktemp("corpus") / "bytes")
