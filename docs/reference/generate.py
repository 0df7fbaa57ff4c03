"""Write the generated pages of this folder from the tables in the code: ``make reference``."""

import ast
import re
import sys
from pathlib import Path

import pandas as pd
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "workflow" / "support")]

import run_status  # noqa: E402
from badpix_selfcal import associations, catalog, file_state, summary  # noqa: E402
from badpix_selfcal.figure_table import FIGURES  # noqa: E402
from badpix_selfcal.parameters import PARAMETERS, SETTING  # noqa: E402
from badpix_selfcal.paths import RESULTS  # noqa: E402
from figures import draw_shared  # noqa: E402
from tools import check, mask, verify  # noqa: E402
from tune import draw_tune, score  # noqa: E402

TABLES = yaml.safe_load((HERE / "tables.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())["properties"]
scores = pd.DataFrame([dict.fromkeys(score.COLUMNS, 1)])
recall = draw_tune.average_scores(scores)
COLUMNS = {
    "results/members.csv": associations.COLUMNS,
    "results/summary.csv": summary.COLUMNS,
    "results/status.csv": run_status.COLUMNS,
    "results/checksums.csv": file_state.DIGEST_COLUMNS,
    "associations/pool.csv": catalog.COLUMNS,
    "results/check.csv": check.COLUMNS,
    "results/mask/{detector}.csv": mask.COLUMNS,
    "results/verify.csv": verify.COLUMNS,
    "results/figures/shared.csv": draw_shared.COLUMNS,
    "results/tune/{stack}/settings.csv": tuple(draw_tune.sum_strengths(recall)),
    "results/tune/{stack}/recall.csv": tuple(recall),
    "results/tune/{stack}/{injection}/score.csv": score.COLUMNS,
}
NOTE = "<!-- Written by `make reference`; edit tables.yaml, the schema or the code. -->\n"


def agree(what, said, found):
    """Raise an error unless descriptions and code name the same things."""
    if set(said) != set(found):
        raise SystemExit(f"tables.yaml: {what}: {sorted(set(said) ^ set(found))} in one place only")


def table(titles, rows):
    """Format a table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def config_page():
    """Return the page of the config keys."""
    agree("config", [key for keys in TABLES["config"].values() for key in keys], SCHEMA)
    text = (
        "Keys that are unknown, and values out of range, stop a run before any work. "
        "[How a config is found](../howto/resume.md#where-parameters-come-from).\n"
    )
    for heading, keys in TABLES["config"].items():
        rows = []
        for key in keys:
            rule = SCHEMA[key]
            allowed = rule.get("x-allowed") or ", ".join(map(str, rule.get("enum", ())))
            default = str(rule["default"]).lower() if rule["default"] != "" else "empty"
            rows.append((f"`{key}`", default, allowed, rule["description"]))
        text += f"\n## {heading}\n\n" + table(("key", "default", "values", "meaning"), rows)
    return f"# Config keys\n\n{NOTE}\n{text}"


def files_page():
    """Return the page of the result files."""
    agree("files", TABLES["files"], RESULTS)
    rows = [(f"`{RESULTS[name]}`", TABLES["files"][name]) for name in RESULTS]
    figures = [(f"`{f.name}.png`{', `.svg`' * f.vector}", f.caption) for f in FIGURES]
    return (
        f"# Result files\n\n{NOTE}\nAll lie below the run folder. `{{stack}}`, `{{exposure}}` and "
        "`{association}` are names. `generate` writes `associations/`, and each job its log, "
        "`logs/{rule}/`. Your exposures are never changed.\n\n"
        + table(("file", "what it is"), rows)
        + "\n## Figures of a stack\n\n[How to read them](../howto/look.md).\n\n"
        + table(("file in `results/figures/{stack}/`", "what it shows"), figures)
    )


def columns_page():
    """Return the page of the columns of all tables."""
    text = f"# Columns of the tables\n\n{NOTE}\nIn the order of the files.\n"
    agree("columns", TABLES["columns"], COLUMNS)
    for file, meanings in TABLES["columns"].items():
        names = COLUMNS[file]
        if file.startswith("results/tune/"):
            names = ("setting", *(name for name in names if name not in SETTING))
        agree(file, meanings, names)
        rows = [(f"`{n}`", meanings[n] or SCHEMA[n]["description"]) for n in names]
        text += f"\n## {file}\n\n" + table(("column", "meaning"), rows)
    return text


def find_cards():
    """List the keywords of header cards that the code writes; nnnn stands for a number."""
    found = {p.card for p in PARAMETERS}
    for path in (ROOT / "scripts").glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            # (keyword, value, comment), or the arguments of write_key.
            parts = node.elts if isinstance(node, ast.Tuple) else ()
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "write_key":
                parts = node.args
            numbered = len(parts) > 1 and isinstance(parts[0], ast.JoinedStr)
            first = (parts[0].values if numbered else parts or (None,))[0]
            keyword = str(getattr(first, "value", ""))
            if len(parts) in (2, 3) and re.fullmatch("BPX[A-Z]+", keyword):
                found.add(f"{keyword}nnnn" if numbered else keyword)
    return found


def cards_page():
    """Return the page of the header cards."""
    agree("cards", TABLES["cards"], find_cards())
    key = {p.card: p.name for p in PARAMETERS}
    rows = [("S_BPXSLF", "COMPLETE, or SKIPPED where nothing was flagged")]
    for card, meaning in TABLES["cards"].items():
        rows.append((card, meaning or f"`{key[card]}`: {SCHEMA[key[card]]['description']}"))
    return (
        f"# Header cards\n\n{NOTE}\nIn the primary header of a flagged exposure and, as far as "
        "they are known, in the files of `results/stacks/`. Of them, [the pipeline's products]"
        "(../howto/pipeline.md#what-the-headers-of-products-tell) keep some.\n\n"
        + table(("card", "meaning"), rows)
        + "\nFILENAME and HISTORY change, too. All else in the header stays as it was.\n"
    )


def messages_page():
    """Return the page of the messages."""
    sources = [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")]
    # Texts go over several lines in the code.
    code = re.sub(r'["\'\s]+f?["\'](?=\S)', "", "".join(path.read_text() for path in sources))
    text = ""
    for heading, messages in TABLES["messages"].items():
        missing = [said for said, *_ in messages if re.sub(r'["\']', "", said) not in code]
        agree("messages", missing, ())
        rows = [(f"... {said.strip()} ...", *rest) for said, *rest in messages]
        text += f"\n## {heading}\n\n" + table(("message", "what it means", "what to do"), rows)
    return (
        f"# Messages\n\n{NOTE}\nA message names the file, the fault and the remedy in one line; "
        "the log that it names has the details. Faults of associations and config stop a run "
        "before any work, all of them listed. A fault of an exposure stops its stack alone.\n"
        + text
    )


def make_pages():
    """Return the text of each generated page by its name."""
    pages = {"config": config_page, "files": files_page, "columns": columns_page,
             "cards": cards_page, "messages": messages_page}  # fmt: skip
    return {f"{name}.md": page() for name, page in pages.items()}


if __name__ == "__main__":
    for name, text in make_pages().items():
        (HERE / name).write_text(text)
