"""What Snakemake does alike in each run, done once: it looks for plugins, it parses the rules."""

import gc
import io
from pathlib import Path
from types import SimpleNamespace

from snakemake import cli, parser, workflow

ROOT = Path(__file__).parent.parent
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]
PLACE = SimpleNamespace(get_path_or_uri=lambda secret_free: "/in/whose/place")


def parsed(path):
    """Parse a file of rules as if it stood in PLACE; return text, code, lines, number of rules."""
    text, lines = path.read_text(), {}
    cache = SimpleNamespace(open=lambda place: io.StringIO(text))
    code, n_rules = parser.parse(PLACE, SimpleNamespace(sourcecache=cache), lines)
    return text, (code, lines, n_rules)


def parse(path, workflow, linemap, overwrite_shellcmd=None, rulecount=0):
    """Parse as Snakemake does; of a text that is known, be it a copy, only the place is new."""
    with workflow.sourcecache.open(path) as file:
        text = file.read()
    if overwrite_shellcmd or text not in KNOWN:
        return parser.parse(path, workflow, linemap, overwrite_shellcmd, rulecount)
    code, lines, n_rules = KNOWN[text]
    linemap |= lines
    place = path.get_path_or_uri(secret_free=True)
    return code.replace(PLACE.get_path_or_uri(True), place), rulecount + n_rules


cli.get_argument_parser()
KNOWN = dict(map(parsed, RULES))
workflow.parse = parse
gc.freeze()  # else each fork looks for garbage among the modules, and so copies them
