#!/usr/bin/env python3
"""Figures of expert analyses as one page: `analysis_report.py [NAME=]FILE.json ... [--output FILE]`.

The files are what `granule analyze RUN --json` printed. Files of one NAME are taken as seeds of one model: means with a
band from the lowest to the highest. The page needs no network and no other file.
"""
import argparse
import json
import sys
from html import escape
from pathlib import Path

from analysis_charts import Analyzed, disabled_chart, divergence_chart, fewer_chart, replaced_rows, together_maps, use_map
from report import COLORS, SCRIPT, STYLE, html_table


def page_of(models: list[Analyzed]) -> str:
    charts = "".join([disabled_chart(models), fewer_chart(models, []), divergence_chart(models)])
    maps = "".join(use_map(model.name, model.found[0]) + together_maps(model.name, model.found[0]) for model in models)
    replaced = replaced_rows(models)
    table = f"<h2>Shared experts replaced by routed ones</h2>{html_table(replaced)}" if len(replaced) > 1 else ""
    sets = ", ".join(f"{one['name']} ({one['tokens']} tokens)" for one in models[0].found[0]["sets"])
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Experts</title>'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
            f'<h1>What the experts are for</h1><p class="sub">{escape(", ".join(model.name for model in models))}; losses '
            f'are means over {escape(sets)}</p><div class="charts">{charts}</div>{table}<h2>Who uses which expert</h2>'
            f'<div class="charts">{maps}</div><script>{SCRIPT}</script></body></html>\n')


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
            analysis["unchanged"], analysis["layers"]
        except (OSError, ValueError, KeyError, TypeError):
            parser.error(f"{path} is not what `granule analyze --json` prints")
        found.setdefault(name if equals else path.stem, []).append(analysis)
    if len(found) > len(COLORS):
        parser.error(f"at most {len(COLORS)} models fit into one page")
    models = [Analyzed(name, color, analyses) for (name, analyses), color in zip(found.items(), COLORS)]
    arguments.output.write_text(page_of(models), encoding="utf-8")
    print(f"report: {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
