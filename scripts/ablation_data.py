"""What data hold, so that nothing learned or measured on other content is taken for theirs. Used by ablate.py."""
import functools
import hashlib
import json
from pathlib import Path

SAMPLE = 1 << 20
# A checkpoint's manifest has the hashes of all its files.
MODEL_FILES = ["config.json", "*.safetensors", "manifest.json", "*/manifest.json", "checkpoints/*/manifest.json"]
SAMPLES = 256  # of a file; one that is not larger is read whole


def short_hash(said) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def content_hash(path: Path) -> str | None:
    """Of size, begin, end and samples spread evenly between; None if it cannot be read, of which the program that needs
    it will say more."""
    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            for offset in [*range(0, size, max(SAMPLE, size // SAMPLES)), max(0, size - SAMPLE)]:
                file.seek(offset)
                digest.update(file.read(SAMPLE))
    except OSError:
        return None
    return f"{size} {digest.hexdigest()}"


@functools.cache
def fingerprint(data: str) -> str:
    """Changes with the content of a token file, given by its prefix, or of any other file, and of the vocabulary beside;
    for a directory, of the model that a run left there or that Hugging Face has."""
    path = Path(data)
    files = [Path(f"{data}.idx"), Path(f"{data}.bin"), path, path.parent / "tokenizer.json"]
    if path.is_dir():
        files += [file for pattern in MODEL_FILES for file in sorted(path.glob(pattern))]
    return short_hash([content_hash(file) for file in files])
