"""data/sources.py: which files are read, and text made of their content."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "data"))

import sources  # noqa: E402


def test_directories_behind_links_are_read_once(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for directory in (root / "b", elsewhere / "deep"):
        directory.mkdir(parents=True)
        (directory / "x.txt").write_text("text\n")
    (root / "c").symlink_to(elsewhere)
    (root / "d").symlink_to(root / "b")
    (root / "a").symlink_to(elsewhere)
    (root / "b" / "up").symlink_to(root)
    (elsewhere / "deep" / "back").symlink_to(elsewhere)
    (root / "gone").symlink_to(tmp_path / "nowhere")
    (root / "beside").symlink_to(tmp_path)  # leads to all that lies around the root
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.txt").write_text("secret\n")
    (root / "shown").symlink_to(tmp_path / ".hidden")
    found = sources.TextSource([root]).files
    assert [str(path.relative_to(root)) for path in found] == ["a/deep/x.txt", "b/x.txt"]
    (tmp_path / "link").symlink_to(elsewhere)
    assert sources.JsonlSource([tmp_path / "link"], "text").files == [tmp_path / "link" / "deep" / "x.txt"]
    assert sources.files_below(root, follow_links=False) == [root / "b" / "x.txt"]


def test_a_directory_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(sources.SourceError, match="closed: Permission denied"):
        sources.files_below(tmp_path)


def test_long_texts_are_cut_at_blank_lines_without_loss():
    paragraphs = ["word " * length + "\n\n" for length in range(1, 90)]
    text = "".join(paragraphs)
    pieces = list(sources.cut_text(text, 1000))
    assert "".join(pieces) == text and len(pieces) > 10
    assert all(len(piece) <= 1000 for piece in pieces)
    assert all(piece.endswith("\n\n") for piece in pieces)
    assert "".join(sources.cut_text("x" * 2500, 1000)) == "x" * 2500
    assert list(sources.cut_text("", 1000)) == []


def test_html_becomes_what_a_browser_shows():
    markup = (
        "<html><head><title>no</title><style>p {}</style></head><body><h1>Title</h1><p>One &amp;\n two"
        " <b>bold</b>.</p><script>var x;</script><ul><li>a<li>b</ul><pre>  kept\n    as is</pre></body></html>"
    )
    assert sources.text_of_html(markup) == "Title\n\nOne & two bold.\n\na\nb\n\n  kept\n    as is\n"
