"""What the documents say of the program is true."""
import re

import jobs


def test_configuration_reference_is_made_from_the_code():
    reference = (jobs.ROOT / "docs/configuration.md").read_text()
    _, _, tables = reference.partition("-->\n")
    assert tables == jobs.run("inspect", "config", ranks=None).stdout, \
        "run: granule inspect config, and put its output below the comment of docs/configuration.md"


def test_every_shipped_training_config_is_accepted():
    for path in [*(jobs.ROOT / "configs").glob("*.yaml"), *(jobs.ROOT / "configs/sft").glob("*.yaml")]:
        ranks = int(re.search(r"expert: (\d+)", path.read_text())[1])
        jobs.run("train", path, "--print-config", ranks=ranks)


def test_every_training_command_in_the_documents_fits_its_config():
    command = re.compile(r"(?:mpirun -np (\d+) [^`#\n]*?)?granule (?:train|bench step|bench data) "
                         r"(configs/[\w/]+\.yaml)((?: [a-z_.]+=[^\s`]+)*)")
    documents = [jobs.ROOT / "README.md", *(jobs.ROOT / "docs").glob("*.md"), *(jobs.ROOT / "configs").rglob("*.yaml")]
    found = [match.groups() for document in documents for match in command.finditer(document.read_text())]
    assert len(found) > 8
    for ranks, config, overrides in found:
        jobs.run("train", jobs.ROOT / config, *overrides.split(), "--print-config", ranks=int(ranks) if ranks else None)


def test_every_command_explains_itself():
    for command in ("train", "eval", "generate", "inspect", "plan", "bench", "import", "export"):
        assert command in jobs.run("--help", ranks=None).stdout
        assert "Usage" in jobs.run(command, "--help", ranks=None).stdout


def test_a_wrong_command_line_is_refused():
    for arguments in (["trian"], ["train"], ["eval", "x", "--batch-size", "0"], []):
        jobs.run(*arguments, ranks=None, code=2)


def test_a_misspelt_command_is_answered_with_the_nearest():
    assert 'did you mean "train"' in jobs.run("trian", ranks=None, code=2).stderr
    assert 'did you mean "checkpoint"' in jobs.run("inspect", "chekpoint", "x", ranks=None, code=2).stderr
