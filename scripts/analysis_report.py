#!/usr/bin/env python3
"""Figures of expert analyses as one page: `analysis_report.py [NAME=]FILE.json ... [--output FILE]`.

The files are what `granule analyze RUN --json` printed. Files of one NAME are taken as seeds of one model: means with a
band from the lowest to the highest. The page needs no network and no other file.
"""
import argparse
import json
import sys
from pathlib import Path

from analysis_charts import Analyzed, disabled_chart, divergence_chart, experts_html, fewer_chart
from report import COLORS, html_page, write_page


def page_of(models: list[Analyzed]) -> str:
    charts = [disabled_chart(models), fewer_chart(models, []), divergence_chart(models)]
    sets = ", ".join(f"{one['name']} ({one['tokens']} tokens)" for one in models[0].found[0]["sets"])
    subtitle = f"{', '.join(model.name for model in models)}; losses are means over {sets}"
    return html_page("What the experts are for", subtitle, experts_html(models, charts))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="[NAME=]FILE")
    parser.add_argument("--output", type=Path, default=Path("analysis.html"), help="default: %(default)s")
    arguments = parser.parse_args()
    found: dict[str, list[dict]] = {}
    for said in arguments.files:
        name, equals, path = said.partition("=")
        path = Path(path if equals else said)
        try:
            analysis = json.loads(path.read_text(encoding="utf-8"))
            analysis["unchanged"]["loss"], analysis["layers"]
        except (OSError, ValueError, KeyError, TypeError):
            parser.error(f"{path} is not what `granule analyze --json` prints")
        if analysis["unchanged"]["loss"] is None:
            parser.error(f"{path}: the model's own loss is not finite; there is nothing to compare with it")
        found.setdefault(name if equals else path.stem, []).append(analysis)
    if len(found) > len(COLORS):
        parser.error(f"at most {len(COLORS)} models fit into one page")
    models = [Analyzed(name, color, analyses) for (name, analyses), color in zip(found.items(), COLORS)]
    write_page(arguments.output, page_of(models))
    return 0


if __name__ == "__main__":
    sys.exit(main())
