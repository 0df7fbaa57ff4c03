"""What README.md and docs/howto say: commands run; links, graph and reference are up to date."""

import re
import shutil
import subprocess
import sys

from conftest import ROOT, SHAPES, Workflow, planes_of, write_association
from download import download

DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted((DOCS / "howto").glob("*.md")))


def list_blocks(page):
    """List the blocks of commands of a page; `make run` and `make test` are run by CI itself."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.S | re.M)
    return [block for block in blocks if not block.startswith("make ")]


def test_commands_run(tmp_path):
    """In the order of the pages, in a copy of the repository."""
    repository, data = tmp_path / "repository", tmp_path / "data"
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listing, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for name in tracked.stdout.split():
        if (ROOT / name).exists():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, repository / name, follow_symlinks=False)
    # `tune` does with each line of its table what it does with the first ones.
    table = repository / "workflow" / "tune.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:4]))
    names = [f"jw01204021001_02101_0000{i}_mirifulong" for i in (1, 2)]
    for i, name in enumerate(names):
        download(data / "mastDownload", name, planes=planes_of(SHAPES["MIRIFULONG"], i))
    asn = "jw01204-o021_20261001t120000_spec2_00001_asn.json"
    pairs = [(f"{names[0]}_rate.fits", "science"), (f"{names[1]}_rate.fits", "background")]
    write_association(data / asn, (names[0], pairs))
    block = re.search(r"^```yaml\n(.*?)^```", PAGES[0].read_text(), re.S | re.M)[1]
    (data / "config.yaml").write_text(block)
    (repository / ".venv").symlink_to(sys.prefix)
    blocks = [(page.name, block) for page in PAGES for block in list_blocks(page)]
    for page, block in blocks:
        block = block.replace("/data/jw01204", str(data))
        options = {"cwd": repository, "capture_output": True, "text": True}
        done = subprocess.run(["bash", "-ec", block], **options)
        assert done.returncode == 0, f"{page}: {block}\n{done.stdout}{done.stderr}"
    assert len(blocks) >= 12
    assert (repository / "results" / "associations" / asn).exists()
    for path in ("summary.csv", "report.html", "SHA256SUMS", "mask/mirifulong.fits"):
        assert (data / "results" / path).exists()
    assert list(data.glob("results/figures/*/flags.png"))
    assert list(data.glob("results/tune/*/suggestion.txt"))


def test_links_lead_to_files():
    """Of the pages that are no part of the site, which `make docs` checks."""
    for page in (*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("examples/*/*.md")):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page}: {link}"


def test_the_rules_are_the_workflows():
    page = (DOCS / "development/house.md").read_text()
    drawn = re.search(r"^```text\n(.*?)^```", page, re.S | re.M)[1]
    lines = [line.split() for line in drawn.splitlines()]
    edges = {(needed, rule) for rule, *needs in lines for needed in needs}
    out = Workflow(ROOT).run("--rulegraph", "mermaid-js", associations=None).stdout
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", out))
    found = {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", out)}
    assert edges == {(a, b) for a, b in found if b != "all"}


def test_the_reference_is_of_this_code(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "reference")
    import generate

    for name, text in generate.make_pages().items():
        assert (DOCS / "reference" / name).read_text() == text, f"{name} is old: make reference"
