"""What building and testing do in a directory that was built before."""
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROJECT = """\
cmake_minimum_required(VERSION 3.25)
project(uses_libtorch LANGUAGES NONE)
set(CMAKE_FIND_LIBRARY_PREFIXES lib)
set(CMAKE_FIND_LIBRARY_SUFFIXES .so)
list(APPEND CMAKE_MODULE_PATH {root}/cmake)
find_package(LibTorch 2.11 REQUIRED)
get_target_property(headers LibTorch::cpu INTERFACE_INCLUDE_DIRECTORIES)
file(WRITE ${{CMAKE_BINARY_DIR}}/found "${{headers}} ${{LibTorch_CPU}}")
"""

# A test program of GoogleTest as the script sees it.
PROGRAM = """\
#!/bin/sh
for argument; do
  case $argument in --gtest_output=xml:*) echo '<testsuite><testcase/></testsuite>' >"${argument#*xml:}" ;; esac
done
"""


def make_torch(directory: Path) -> Path:
    """What cmake/FindLibTorch.cmake asks of LibTorch."""
    files = ["include/ATen/ATen.h", "lib/libc10.so", "lib/libtorch_cpu.so", "lib/libgomp.so.1",
             "include/torch/headeronly/version.h"]
    for name in files:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text('#define TORCH_VERSION "2.11.0"\n')
    return directory


def test_headers_and_libraries_are_those_of_the_environment_that_is_named_last(tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(PROJECT.format(root=ROOT))
    for name in ("first", "second"):
        torch = make_torch(tmp_path / name / "torch")
        subprocess.run(["cmake", "-G", "Ninja", "-S", tmp_path, "-B", tmp_path / "build", f"-DGRANULE_LIBTORCH={torch}"],
                       check=True, capture_output=True)
        found = (tmp_path / "build/found").read_text()
        assert found == f"{torch}/include;{torch}/include/torch/csrc/api/include {torch}/lib/libtorch_cpu.so"


def write_manifest(build: Path, *tests: str) -> None:
    """A build that copies the program for each test."""
    edges = "".join(f"build tests/{test}: copy program\n" for test in tests)
    (build / "build.ninja").write_text(f"rule copy\n  command = cp $in $out\n{edges}")
    subprocess.run(["ninja", "-C", build], check=True, capture_output=True)


def test_programs_of_removed_tests_are_neither_run_nor_counted(tmp_path):
    scripts, build = tmp_path / "scripts", tmp_path / "build/cpu"
    scripts.mkdir()
    build.mkdir(parents=True)
    for name in ("test.sh", "environment.sh", "count_tests.py", "requirements.txt", "requirements-test.txt"):
        shutil.copy(ROOT / "scripts" / name, scripts)
    (scripts / "setup.sh").write_text("#!/bin/sh\n")
    (scripts / "setup.sh").chmod(0o755)
    (scripts / "check_layers.py").write_text("")
    (build / "program").write_text(PROGRAM)
    (build / "program").chmod(0o755)
    write_manifest(build, "old_test", "new_test")
    write_manifest(build, "new_test", "other_test")
    assert (build / "tests/old_test").exists()
    done = subprocess.run([scripts / "test.sh", "--quick"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2 passed, 0 failed, 0 skipped"
