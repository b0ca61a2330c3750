"""Where documents come from: Python sources of the torch wheel, text files, JSONL, Debian packages.

A source lists its files and yields documents as (name, text). Files are read one at a time, in sorted order.
"""

import contextlib
import gzip
import html.parser
import io
import json
import os
import re
import subprocess
import sysconfig
import tempfile
from pathlib import Path

# A longer text is cut into documents at blank lines, so that a book can be split between training and validation.
LONGEST_TEXT = 64 * 1024
COMPRESSED = (".gz", ".dz", ".zst")
UTF8 = "utf-8-sig"  # without the mark that some programs put before a file's text
LARGEST_WINDOW = 1 << 31  # of zstd --long=31; more than its library takes unless told


class SourceError(Exception):
    """Something the user can mend: a path, a file's content, a package's name."""


class ZstdFile(io.RawIOBase):
    """The decompressed frames of a file. zstandard's own reader takes a file that is cut short for a whole one."""

    INPUT_BYTES = 64 << 10

    def __init__(self, path):
        self._file = open(path, "rb")
        self._frame = None  # the one that has begun and not ended
        self._input = self._output = b""

    def readable(self):
        return True

    def close(self):
        self._file.close()
        super().close()

    def readinto(self, buffer):
        while not self._output:
            self._input = self._input or self._file.read(self.INPUT_BYTES)
            if not self._input:
                if self._frame:
                    raise EOFError("Compressed file ended inside a frame")
                return 0
            self._decompress()
        size = min(len(buffer), len(self._output))
        buffer[:size], self._output = self._output[:size], self._output[size:]
        return size

    def _decompress(self):
        import zstandard

        frame = self._frame or zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj()
        self._output = memoryview(frame.decompress(self._input))
        self._input = frame.unused_data
        self._frame = None if frame.eof else frame


def open_binary(path):
    """The decompressed bytes of a file as a stream."""
    if path.suffix in (".gz", ".dz"):
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        return io.BufferedReader(ZstdFile(path))
    return open(path, "rb")


@contextlib.contextmanager
def decompressed(path):
    """open_binary's stream; what goes wrong in reading it becomes a SourceError that names the file."""
    try:
        with open_binary(path) as file:
            yield file
    except (OSError, EOFError) as error:
        raise SourceError(f"{path}: {error}") from error
    except Exception as error:
        # zlib's and zstandard's own errors share no base class.
        raise SourceError(f"{path}: damaged: {error}") from error


def read_bytes(path):
    with decompressed(path) as file:
        return file.read()


def lines_of(path):
    with decompressed(path) as file:
        yield from file


def leads_astray(link, root):
    """Whether a link to a directory leads to one that holds the root, so to all that lies beside it, or to a hidden one."""
    target = Path(os.path.realpath(link))
    return link.is_symlink() and (target.name.startswith(".") or target in (root, *root.parents))


def refuse(error):
    raise SourceError(f"{error.filename}: {error.strerror}")


def files_below(path, made=frozenset(), follow_links=True):
    """Regular files of a directory, sorted, without hidden ones and the resolved paths in `made`; or the file itself.
    A directory to which several ways lead is read once, by the first in the order of names."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SourceError(f"{path}: no such file or directory")
    found, seen, root = [], set(), Path(os.path.realpath(path))
    for directory, names, files in os.walk(path, onerror=refuse, followlinks=follow_links):
        if os.path.realpath(directory) in seen:
            names.clear()
            continue
        seen.add(os.path.realpath(directory))
        names[:] = sorted(name for name in names
                          if not name.startswith(".") and not leads_astray(Path(directory) / name, root))
        found += [Path(directory) / name for name in files if not name.startswith(".")]
    return sorted(file for file in found if file.is_file() and file.resolve() not in made)


def cut_text(text, longest=LONGEST_TEXT):
    """The text in pieces of at most about `longest` characters, cut behind blank lines, else lines, else anywhere."""
    begin = 0
    while len(text) - begin > longest:
        window = text[begin:begin + longest]
        for border in ("\n\n", "\n", " "):
            cut = window.rfind(border, longest // 2)
            if cut >= 0:
                break
        end = begin + (cut + len(border) if cut >= 0 else longest)
        yield text[begin:end]
        begin = end
    if begin < len(text):
        yield text[begin:]


class TextOfHtml(html.parser.HTMLParser):
    """Collects what a browser would show."""

    BREAKS = {"p", "br", "div", "section", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6",
              "ul", "ol", "dl", "li", "dt", "dd", "table", "tr"}
    HIDDEN = {"script", "style", "head", "nav"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts = []
        self.hidden = 0
        self.preformatted = 0

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in self.HIDDEN
        self.preformatted += tag == "pre"
        if tag in self.BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag):
        self.hidden = max(0, self.hidden - (tag in self.HIDDEN))
        self.preformatted = max(0, self.preformatted - (tag == "pre"))
        if tag in self.BREAKS:
            self.parts.append("\n")

    def handle_data(self, data):
        if self.hidden:
            return
        if not self.preformatted:
            data = re.sub(r"\s+", " ", data)
            if not self.parts or self.parts[-1].endswith(("\n", " ")):
                data = data.lstrip()
        if data:
            self.parts.append(data)

    def text(self):
        text = re.sub(r"[ \t]+\n", "\n", "".join(self.parts))
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def text_of_html(markup):
    parser = TextOfHtml()
    parser.feed(markup)
    parser.close()
    return parser.text()


class WheelSource:
    """The Python sources inside the installed torch wheel, each file a document."""

    def __init__(self):
        self.root = Path(sysconfig.get_paths()["purelib"]) / "torch"
        if not self.root.is_dir():
            raise SourceError(f"{self.root}: no torch wheel is installed in this Python environment")
        self.files = sorted(self.root.rglob("*.py"))
        self.skipped = []

    def describe(self):
        return {"kind": "wheel", "files": len(self.files)}

    def documents(self):
        for path in self.files:
            yield str(path.relative_to(self.root)), read_bytes(path).decode(UTF8, errors="replace")


class TextSource:
    """Text files; long ones are cut at blank lines. Files with NUL bytes are no text and are left out by name; in those
    that are not UTF-8, what cannot be read becomes U+FFFD."""

    def __init__(self, paths, made=frozenset()):
        self.files = [file for path in paths for file in files_below(Path(path), made)]
        self.skipped, self.replaced = [], []

    def describe(self):
        return {"kind": "text", "files": len(self.files), "skipped": self.skipped, "replaced": self.replaced}

    def documents(self):
        self.skipped, self.replaced = [], []
        for path in self.files:
            content = read_bytes(path)
            if b"\0" in content:
                self.skipped.append(str(path))
                continue
            for number, text in enumerate(cut_text(self.text_of(path, content))):
                yield f"{path}#{number}", text

    def text_of(self, path, content):
        try:
            return content.decode(UTF8)
        except UnicodeDecodeError:
            self.replaced.append(str(path))
            return content.decode(UTF8, errors="replace")


class JsonlSource:
    """Files with one JSON object a line, whose `key` holds the text of a document."""

    def __init__(self, paths, key, made=frozenset()):
        self.files = [file for path in paths for file in files_below(Path(path), made)]
        self.key = key

    def describe(self):
        return {"kind": "jsonl", "files": len(self.files), "key": self.key}

    def documents(self):
        for path in self.files:
            for number, line in enumerate(lines_of(path), 1):
                if line.strip():
                    yield f"{path}:{number}", self.text_of(line, f"{path}:{number}")

    def text_of(self, line, place):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise SourceError(f"{place}: no JSON: {error}") from error
        except RecursionError as error:
            raise SourceError(f"{place}: lists or objects are nested too deeply to be read") from error
        if not isinstance(record, dict):
            raise SourceError(f"{place}: expected an object, found {type(record).__name__}")
        if self.key not in record:
            raise SourceError(f'{place}: has no "{self.key}", only: {", ".join(sorted(record))}')
        if not isinstance(record[self.key], str):
            raise SourceError(f'{place}: "{self.key}" is no text')
        return self.whole(record[self.key], place)

    def whole(self, text, place):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(text[error.start]):04x}"
            raise SourceError(f'{place}: "{self.key}" holds {half}, half of a pair that makes a character') from error
        return text


class DebianSource:
    """Text, HTML and dictd files of Debian packages, downloaded and unpacked without root."""

    TEXT = {".txt", ".text", ".md", ".rst", ".dict", ""}
    HTML = {".html", ".htm", ".xhtml"}
    # What programs read, and what is there a second time.
    NO_TEXT = {"lintian", "doc-base", "applications", "menu", "_sources", "_static", "markdown", "locale"}
    # What every package has and nobody reads.
    BOILERPLATE = re.compile(r"^(copyright|changelog.*|news(\.debian)?|readme\.debian|authors|todo)$", re.IGNORECASE)

    def __init__(self, packages):
        self.packages = packages
        self.archives = {}
        self._directory = tempfile.TemporaryDirectory(prefix="granule-debian-")
        self.files = []
        for package in packages:
            self.files += self._fetch(package)
        self.skipped = []

    def describe(self):
        return {"kind": "debian", "archives": self.archives, "files": len(self.files), "skipped": len(self.skipped)}

    def _fetch(self, package):
        directory = Path(self._directory.name)
        downloads = directory / f"{package}.download"
        downloads.mkdir()
        if not self._download(package, downloads, []) and not self._download_with_own_lists(package, downloads):
            raise SourceError(f"{package}: apt-get cannot download this package; is the name right?")
        archive = next(downloads.glob("*.deb"))
        self.archives[package] = archive.name
        subprocess.run(["dpkg-deb", "-x", archive, directory / package], check=True)
        shared = directory / package / "usr" / "share"
        # A package's links lead to what is in it a second time, or out of it.
        return [file for file in files_below(shared, follow_links=False) if self._wanted(file)] if shared.is_dir() else []

    def _download(self, package, directory, options):
        command = ["apt-get", *options, "--quiet", "--quiet", "download", package]
        return subprocess.run(command, cwd=directory, capture_output=True).returncode == 0

    def _download_with_own_lists(self, package, directory):
        # On a machine where nobody ran `apt-get update`, package lists of our own need no root.
        lists, cache = Path(self._directory.name) / "lists", Path(self._directory.name) / "cache"
        options = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}"]
        if not lists.exists():
            (lists / "partial").mkdir(parents=True)
            (cache / "archives" / "partial").mkdir(parents=True)
            subprocess.run(["apt-get", *options, "--quiet", "--quiet", "update"], capture_output=True)
        return self._download(package, directory, options)

    @staticmethod
    def _kind(path):
        return (path.with_suffix("") if path.suffix in COMPRESSED else path).suffix.lower()

    def _wanted(self, path):
        stem = path.name
        for suffix in COMPRESSED:
            stem = stem.removesuffix(suffix)
        known = self._kind(path) in self.TEXT | self.HTML
        return known and not self.NO_TEXT & set(path.parts) and not path.is_symlink() and not self.BOILERPLATE.match(stem)

    def documents(self):
        root = Path(self._directory.name)
        self.skipped = []
        for path in self.files:
            content = read_bytes(path)
            if b"\0" in content or content.startswith(b"\x7fELF"):
                self.skipped.append(str(path.relative_to(root)))
                continue
            try:
                text = content.decode(UTF8)
            except UnicodeDecodeError:
                text = content.decode("cp1252", errors="replace")
            if self._kind(path) in self.HTML:
                text = text_of_html(text)
            for number, piece in enumerate(cut_text(text)):
                yield f"{path.relative_to(root)}#{number}", piece
