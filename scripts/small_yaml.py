"""The part of YAML that configs and suites use, read with nothing but the standard library: mappings by indentation,
scalars, lists in brackets, comments. Anything else is refused with file and line. Used by ablate.py and
compare_transformers.py."""
import json
import re
from pathlib import Path

Scalar = str | int | float | bool

KEY = re.compile(r"""(?:"([^"]*)"|'([^']*)'|([^\s:#"'\[\]{},&*!|>%@`-][^:#"']*?))\s*:(?:\s+|$)""")
ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|.)")
UNSEEN = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, line ends and half characters that JSON leaves


class YamlError(Exception):
    """`file:line: what`."""


def read_yaml(path: Path) -> dict:
    """The file's mapping; a key twice, a tab, or a construct outside the subset is an error."""
    root: dict = {}
    open_mappings: list[tuple[int, dict]] = [(0, root)]
    header = None  # (indentation, mapping, key) of a key without value, whose mapping may follow
    for number, line in enumerate(text_of(path).splitlines(), 1):
        place = f"{path}:{number}"
        text = without_comment(line, place).rstrip()
        if not text.strip():
            continue
        indentation = len(text) - len(text.lstrip(" "))
        if "\t" in text[:indentation + 1]:
            raise YamlError(f"{place}: a tab; indentation is made of spaces")
        if header and indentation > header[0]:
            header[1][header[2]] = {}
            open_mappings.append((indentation, header[1][header[2]]))
        while open_mappings[-1][0] > indentation:
            open_mappings.pop()
        if open_mappings[-1][0] != indentation:
            raise YamlError(f"{place}: this indentation fits no line above")
        match = KEY.match(text.strip())
        if not match:
            raise YamlError(f"{place}: expected `key: value`, found {text.strip()!r}")
        key, value = next(group for group in match.groups() if group is not None), text.strip()[match.end():].strip()
        mapping = open_mappings[-1][1]
        if key in mapping:
            raise YamlError(f"{place}: {key} is here a second time")
        mapping[key] = read_value(value, place) if value else {}
        header = None if value else (indentation, mapping, key)
    return root


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise YamlError(f"{path}: no UTF-8 text: {error.reason} at byte {error.start}") from error


def without_comment(line: str, place: str) -> str:
    quote, escaped = None, False
    for index, letter in enumerate(line):
        if quote:
            quote = None if letter == quote and not escaped else quote
            escaped = quote == '"' and letter == "\\" and not escaped
        elif letter in "\"'" and (index == 0 or line[index - 1] in " [,{"):
            quote = letter
        elif letter == "#" and (index == 0 or line[index - 1] == " "):
            return line[:index]
    if quote:
        raise YamlError(f"{place}: a quote without its end")
    return line


def read_value(text: str, place: str) -> Scalar | list:
    if text.startswith("["):
        if not text.endswith("]"):
            raise YamlError(f"{place}: a list ends on the line where it begins, with ]")
        inside = text[1:-1].strip()
        return [read_scalar(item.strip(), place) for item in inside.split(",")] if inside else []
    return read_scalar(text, place)


def read_scalar(text: str, place: str) -> Scalar:
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        return unquoted(text, place)
    if not text or text[0] in "{}[]&*!|>%@`\"'" or text.startswith("- "):
        raise YamlError(f"{place}: {text!r} is outside the YAML that suites use")
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


def unquoted(text: str, place: str) -> str:
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    try:
        return json.loads(ESCAPE.sub(lambda match: f"\\u00{match[1]}" if match[1] else match[0], text), strict=False)
    except ValueError:
        raise YamlError(f"{place}: {text} is outside the YAML that suites use") from None


def flatten(mapping: dict, prefix: str = "") -> dict[str, Scalar | list]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat = {}
    for key, value in mapping.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def quoted(value: Scalar | list) -> str:
    """As JSON, which is YAML but for the pairs of escapes that it makes of one character above U+FFFF."""
    return UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def write_yaml(flat: dict[str, Scalar | list]) -> str:
    """A config of sections from flat keys."""
    lines, open_sections = [], []
    for key, value in sorted(flat.items(), key=lambda item: ("." in item[0], item[0])):
        *sections, name = key.split(".")
        for depth, section in enumerate(sections):
            if sections[:depth + 1] != open_sections[:depth + 1]:
                lines.append(f"{'  ' * depth}{section}:")
        open_sections = sections
        lines.append(f"{'  ' * len(sections)}{name}: {quoted(value)}")
    return "\n".join(lines) + "\n"
