"""The report, in a real browser: it opens offline, what it says and shows is there."""

import io
import re
from types import SimpleNamespace

import pytest
from browser import MISSING, errors, on_screen, open_browser
from conftest import ROOT, Workflow, wait_for, write_association, write_exposure
from docutils.core import publish_doctree
from docutils.nodes import emphasis, problematic, reference, system_message

from badpix_selfcal.tables import write_table
from figures.draw_stack import numbers

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a run with a warning, a skipped product and one stack."""
    workflow = Workflow(tmp_path_factory.mktemp("report"))
    for i in range(3):
        write_exposure(workflow.path("asn", f"e{i}_nrs1_rate.fits"), seed=i)
    nods = [("e0_nrs1_rate.fits", "science"), ("e1_nrs1_rate.fits", "background")]
    write_association(workflow.path("asn/x_asn.json"), ("product0", nods))
    write_association(
        workflow.path("asn/y_asn.json"), ("alone", [("e2_nrs1_rate.fits", "science")])
    )
    after = ("--report", "report.html", "--report-after-run")
    workflow.run("--quiet", "all", *after, "--", "all", "report")
    return workflow.path("report.html")


@pytest.fixture(scope="module")
def chromium():
    browser = open_browser()
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium):
    return on_screen(chromium)


def text_of(browser, wanted):
    """Return the page's text once it holds what is wanted."""

    def text():
        page = browser.find_element("tag name", "body").text
        return page if wanted in page else None

    return wait_for(text, wanted)


def click(browser, text):
    """Click on the link that says this."""
    path = f"//a[contains(normalize-space(), '{text}')]"
    wait_for(lambda: browser.find_elements("xpath", path), text)[0].click()


def icons(browser, name):
    """Return the icons of the list of figures, by figure."""
    return {
        icon.find_element("xpath", "./ancestor::tr/td[1]").text: icon
        for icon in browser.find_elements("css selector", f"tr a[iconname='{name}']")
    }


def test_the_first_page(report, browser):
    browser.get(report.as_uri())
    text_of(browser, "Page holds the page of the run")
    graph = wait_for(lambda: browser.find_elements("tag name", "canvas"), "rule graph")[0]
    assert graph.size["height"] > 300
    assert errors(browser) == []


def test_every_figure_loads_and_its_caption_states_the_thresholds(report, browser):
    browser.get(report.as_uri())
    click(browser, "Stacks")
    figures = wait_for(lambda: sorted(icons(browser, "eye")), "figures")
    assert len(figures) == 9
    widths = """return [...document.querySelectorAll("img[src^='data:image/png']")].map(
        image => image.naturalWidth)"""
    for name in figures:
        icons(browser, "eye")[name].click()
        wait_for(lambda: any(w > 500 for w in browser.execute_script(widths)), f"picture {name}")
        icons(browser, "information-circle")[name].click()
        text = text_of(browser, "high threshold [DN/s]")
        assert "flagfrac_upper 0.001" in text
        assert "kernel_size 15" in text
        click(browser, "Stacks")
        wait_for(lambda: len(icons(browser, "eye")) == 9, "figures")
    assert errors(browser) == []


def test_the_page_of_the_run_is_in_it(report, browser):
    browser.get(report.as_uri())
    click(browser, "Page")
    assert wait_for(lambda: sorted(icons(browser, "eye")), "page") == [
        "all stacks, with their products"
    ]


def test_a_report_before_any_figure_exists(nods):
    nods.run("--quiet", "all")
    done = nods.run("--report", "report.html")
    assert "Traceback" not in done.stdout
    assert nods.path("report.html").stat().st_size > 10_000


def test_what_a_header_holds_is_no_markup(tmp_path):
    """Units that would be links or emphasis in a caption: docutils has nothing to complain of."""
    cards = dict.fromkeys(("BPXNEXP", "BPXKERN", "BPXNLO", "BPXNHI", "BPXNEDGE"), 1)
    unit = r"MJy_ / |sr|_ *of* `sky`_ \n"
    stack = SimpleNamespace(header={**cards, "BPXEDGE": "zero"}, axis=1, unit=unit, sigma=1.0)
    write_table(str(tmp_path / "numbers.csv"), numbers(stack))
    caption = (ROOT / "workflow/report/flags.rst").read_text()
    caption = caption.replace("{{ snakemake.wildcards.stack }}", "e__-0123456789ab")
    caption = caption.replace("{{ snakemake.output.numbers }}", str(tmp_path / "numbers.csv"))
    page = publish_doctree(caption, settings_overrides={"warning_stream": io.StringIO()})
    for kind in (system_message, problematic, reference, emphasis):
        assert not list(page.findall(kind))
    assert unit in page.astext()


def test_nothing_is_fetched(report):
    """No script, style, picture or font comes from elsewhere."""
    page = report.read_text()
    assert not re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=.https?:", page)
    assert not re.findall(r"@import url|@font-face", page)
