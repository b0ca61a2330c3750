"""Writes golden/safetensors_verdicts.txt: files, whole, broken and odd, and whether the reference reader takes them.

Run with the environment of scripts/requirements-test.txt when the rules are in doubt. A line is `+` or `-` and the
file's bytes in hexadecimal. Left out are files that the reference takes and the format's text forbids (a header that
does not begin with `{`), because we refuse those.
"""

import copy
import json
import random
import struct
import tempfile
from pathlib import Path

from safetensors import safe_open

GOLDEN = Path(__file__).parent / "golden" / "safetensors_verdicts.txt"
NUM_FILES = 500
BYTES = {"F32": 4, "U8": 1, "I64": 8, "BF16": 2, "F4": 0.5, "BOOL": 1, "F6_E2M3": 0.75}
ODD_VALUES = [
    0, 1, -1, 4, 1.0, 1e3, None, True, "x", "F32", "U8", [], [1], [0, 4], [0, 1], [-1, 0], {}, {"a": "b"},
    2**63, 2**64, 2**64 - 1, "ü", [[1]], [0, 4, 4],
]  # fmt: skip
ODD_BYTES = b'{}[]",:0 19aF\\\x00\n\xff-.e'


def sound_header(random):
    header, end = {}, 0
    for i in range(random.randint(0, 2)):
        dtype = random.choice(list(BYTES))
        shape = [random.choice([0, 1, 2, 3, 4]) for _ in range(random.randint(0, 3))]
        elements = 1
        for size in shape:
            elements *= size
        begin, end = end, end + int(elements * BYTES[dtype])
        header[f"t{i}"] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    if random.random() < 0.5:
        header["__metadata__"] = random.choice([{}, {"format": "pt"}])
    return header, end


def put_odd_value(random, node):
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    odd = copy.deepcopy(random.choice(ODD_VALUES))
    if not keys or random.random() < 0.2:
        if isinstance(node, dict):
            node[random.choice(["new", "dtype", "shape", "data_offsets", "__metadata__", "t0"])] = odd
        else:
            node.append(odd)
        return
    key = random.choice(keys)
    if isinstance(node[key], (dict, list)) and random.random() < 0.7:
        put_odd_value(random, node[key])
    elif random.random() < 0.2:
        del node[key]
    else:
        node[key] = odd


def some_file(random):
    header, end = sound_header(random)
    for _ in range(random.choice([0, 0, 1, 1, 2])):
        put_odd_value(random, header)
    text = bytearray(json.dumps(header, ensure_ascii=random.random() < 0.5).encode())
    if random.random() < 0.3:
        text += b" " * random.randint(0, 9)
    if random.random() < 0.25:
        place = random.randrange(len(text))
        text[place : place + random.randint(0, 1)] = bytes([random.choice(ODD_BYTES)])
    length = len(text) + (random.choice([-1, 1, 8, 2**40]) if random.random() < 0.05 else 0)
    size = max(0, end + (random.choice([-1, 1, 4]) if random.random() < 0.05 else 0))
    return struct.pack("<Q", max(0, length)) + bytes(text) + bytes(size)


def is_taken(path):
    try:
        with safe_open(path, "np"):
            return True
    except Exception:
        return False


def main():
    numbers = random.Random(7)
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.safetensors"
        while len(lines) < NUM_FILES:
            content = some_file(numbers)
            path.write_bytes(content)
            taken = is_taken(path)
            if not taken or content[8:9] == b"{":
                lines.append(("+ " if taken else "- ") + content.hex())
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
