"""
The page of a run, the pages to blink images, and Snakemake's report with that page in it, in a
real browser without a network: they open; they show and say the truth.
"""

import html
import io
import re
import time
from functools import partial
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from browser import MISSING, PHONE, list_errors, list_requests, open_browser, resize
from conftest import ROOT, Workflow, wait_for, write_association, write_exposure
from docutils.core import publish_doctree
from docutils.nodes import emphasis, problematic, reference, system_message

from badpix_selfcal.figure_table import FIGURES
from figures.draw_stack import list_numbers

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

ODD = '<b onclick="alert(1)">&amp;'  # as a BUNIT
RIGHT, TAB = "\ue014", "\ue004"
OUTLINE = "return parseFloat(getComputedStyle(document.activeElement).outlineWidth)"
OPEN = "document.querySelectorAll('details').forEach(d => d.open = true)"
# Lists the numbers of a page that two lines share.
BROKEN = """const broken = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) for (const found of walk.currentNode.data.matchAll(/\\d{2,}/g)) {
        const range = document.createRange();
        range.setStart(walk.currentNode, found.index);
        range.setEnd(walk.currentNode, found.index + found[0].length);
        const tops = [...range.getClientRects()].map(box => box.top);
        if (new Set(tops).size > 1) broken.push(found[0]);
    }
    return broken;"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two stacks, of which one has a warning, and of a product that is skipped."""
    workflow = Workflow(tmp_path_factory.mktemp("page"))
    for i in range(4):
        odd = {"BUNIT": ODD} if i < 2 else {}
        primary = {"FILTER": "F290LP", "GRATING": "G395H" if i != 3 else "G235H"}
        primary |= {"PROGRAM": f"0120{i // 2}", "TARGPROP": f"NGC-{i // 2}"}
        path = workflow.path("asn", f"e{i}_nrs1_rate.fits")
        write_exposure(path, seed=i, science=odd, primary=primary)
    for n, (a, b) in enumerate([(0, 1), (2, 3)]):
        nods = [(f"e{a}_nrs1_rate.fits", "science"), (f"e{b}_nrs1_rate.fits", "background")]
        nods.append((f"e{a}_nrs1_rate.fits", "selfcal"))
        products = [(f"jw01204001001_02101_0000{n}{i}_product", nods) for i in range(1 + n)]
        write_association(workflow.path(f"asn/x{n}_asn.json"), *products)
    alone = [("e3_nrs1_rate.fits", "science")]
    write_association(workflow.path("asn/y_asn.json"), ("alone", alone))
    after = ("--report", "report.html", "--report-after-run")
    workflow.run("--quiet", "all", *after, "--", "all", "report")
    return workflow


@pytest.fixture(scope="module")
def chromium():
    browser = open_browser()
    yield browser
    browser.quit()


@pytest.fixture(params=[1280, 1920, PHONE[0]])
def browser(chromium, request):
    """Yield a browser of some width; its pages must raise no error and ask for nothing."""
    yield resize(chromium, request.param, 844)
    assert (list_errors(chromium), list_requests(chromium)) == ([], [])


@pytest.fixture
def desk(chromium):
    yield resize(chromium, 1440, 900)
    assert (list_errors(chromium), list_requests(chromium)) == ([], [])


def open_blink(browser, run):
    page = min(run.path("results/report").glob("*.html"))
    browser.get(page.as_uri())
    wait_for(lambda: browser.execute_script("return document.body.dataset.ready"), "images")
    return run.path("results/stacks", page.stem)


def measure_overflow(browser):
    return browser.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


# ---- the page ------------------------------------------------------------------------------------


def test_the_page_fits_every_screen_and_all_of_it_loads(run, browser):
    browser.get(run.path("results/report.html").as_uri())
    assert len(browser.find_elements("tag name", "article")) == 2
    browser.execute_script(OPEN)
    images = browser.find_elements("tag name", "img")
    assert len(images) == 2 * (1 + len(FIGURES)) + 1  # thumbnail and figures; what they share
    for image in images:
        browser.execute_script("arguments[0].scrollIntoView()", image)
        loaded = partial(browser.execute_script, "return arguments[0].naturalWidth > 40", image)
        wait_for(loaded, image.get_attribute("src")[:80])
    assert measure_overflow(browser) == 0
    assert browser.execute_script(BROKEN) == []


def test_what_the_page_says(run, desk):
    desk.get(run.path("results/report.html").as_uri())
    text = desk.find_element("tag name", "body").text
    for said in (
        "4 products in 2 stacks: 3 done, 1 skipped.",
        "program 01200, NGC-0",
        "NIRSpec IFU, several gratings/F290LP, NRS1",
        "kernel 15 pixels along x, edges zero, flagfrac 0.001 low, 0.001 high",
        "2 exposures: 1 science, 1 background",
        "commit",
    ):
        assert said in text
    assert "save_flagged_bkg" not in text  # the config is folded away
    assert text.count("GRATING G235H against G395H") == 1  # of two products
    assert text.index("no background or selfcal") < text.rindex("NIRSpec IFU, G395H/F290LP, NRS1")
    for path in run.path("results/stacks").glob("*/flags.fits"):
        assert f"above {fits.getheader(path)['BPXTHHI']:.4g}" in text
    links = desk.find_elements("css selector", "article a[href$='.fits'], article a[href$='.reg']")
    assert len(links) == 3 + 2 * (3 + 1)
    for link in links:
        assert run.path(link.get_attribute("href").partition(str(run.folder))[2][1:]).exists()
    # It prints, and leads to the images and back.
    done = desk.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(done["data"]) > 20_000
    desk.find_element("css selector", "a.button").click()
    wait_for(lambda: desk.execute_script("return document.body.dataset.ready"), "images")
    desk.find_element("css selector", "a.back").click()
    wait_for(lambda: desk.find_elements("tag name", "article"), "page")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible(run, chromium, scheme):
    """By axe-core, all of WCAG 2.1 A and AA that it knows: contrast, names, alternative texts."""
    axe = (files("axe_core_python") / "axe.min.js").read_text()
    tags = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
    said = """axe.run(document, arguments[0]).then(({violations}) => arguments[1](
        violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html}`))))"""
    background = "return getComputedStyle(document.body).backgroundColor"
    for width in (1440, PHONE[0]):
        resize(chromium, width, scheme=scheme)
        for page in (run.path("results/report.html"), *run.path("results/report").glob("*.html")):
            chromium.get(page.as_uri())
            chromium.execute_script(OPEN)
            chromium.execute_script(axe)
            assert chromium.execute_async_script(said, tags) == []
            light = int(re.search(r"\d+", chromium.execute_script(background))[0]) > 200
            assert light == (scheme == "light")
            for _ in range(3):  # whatever has the focus is outlined
                press(chromium, TAB)
                assert chromium.execute_script(OUTLINE) >= 3


def test_data_are_escaped(run):
    pages = [run.path("results/report.html"), *run.path("results/report").glob("*.html")]
    assert len(pages) == 3
    assert not any("<b onclick" in page.read_text() for page in pages)
    assert html.escape(ODD, quote=False).partition("onclick")[0] in pages[0].read_text()


# ---- images to blink -----------------------------------------------------------------------------


def read_view(browser):
    """Return what the canvas shows: the image's name, the scale, the middle x and y."""
    browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0]))")
    data = browser.execute_script("return {...document.getElementById('image').dataset}")
    return data["image"], *(float(data[key]) for key in ("scale", "x", "y"))


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()
    return read_view(browser) if browser.find_elements("id", "image") else None


def set_value(browser, name, value, event):
    """Set the value of an element, as its user does; return the element."""
    element = browser.find_element("id", name)
    script = """const [element, value, event] = arguments;
        element.value = value; element.dispatchEvent(new Event(event))"""
    browser.execute_script(script, element, value, event)
    return element


def read_values(browser):
    """Return the table of the pixel under the pointer, by its first column."""
    script = """return [...document.querySelectorAll("aside tr")].map(
        row => [...row.querySelectorAll("th, td")].map(cell => cell.innerText.trim()))"""
    return dict(browser.execute_script(script))


def test_the_images_fit_every_screen(run, browser):
    open_blink(browser, run)
    assert measure_overflow(browser) == 0
    size = browser.find_element("id", "image").size
    assert (size["width"] > 300, size["height"] > 280) == (True, True)
    for button in browser.find_elements("css selector", "nav button"):
        button.click()
        assert read_view(browser)[0] == button.get_attribute("data-show")
    assert button.get_attribute("data-show") == "after"


def test_keys_blink_zoom_and_move(run, desk):
    open_blink(desk, run)
    assert read_view(desk)[0] == "minimum"
    assert press(desk, "5", "6")[0] == "after"
    assert press(desk, " ")[0] == "before"
    name, scale, x, _ = press(desk, " ")
    assert name == "after"
    assert press(desk, "+", "+")[1] == pytest.approx(scale * 1.5**2)
    assert press(desk, "2")[:2] == ("median", pytest.approx(scale * 1.5**2))  # one zoom for all
    assert press(desk, RIGHT)[2] > x
    assert press(desk, "0")[1] == pytest.approx(scale)
    press(desk, "1", "4", "b")  # blinks by itself
    seen, end = set(), time.monotonic() + 20
    while len(seen) < 2 and time.monotonic() < end:
        seen.add(read_view(desk)[0])
    assert seen == {"minimum", "flags"}


def test_the_pointer_blinks_zooms_and_moves(run, desk):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    open_blink(desk, run)
    canvas = desk.find_element("id", "image")
    before = read_view(desk)
    ActionChains(desk).move_to_element(canvas).click().perform()
    assert read_view(desk)[0] == "flags" != before[0]
    at = ScrollOrigin.from_element(canvas, 100, 50)
    ActionChains(desk).scroll_from_origin(at, 0, -240).perform()
    zoomed = read_view(desk)
    assert zoomed[1] == pytest.approx(2 * before[1])
    assert zoomed[2] == pytest.approx(before[2] + 50 / before[1], abs=1 / before[1])
    drag = ActionChains(desk).move_to_element(canvas).click_and_hold()
    drag.move_by_offset(-60, 0).release().perform()
    moved = read_view(desk)
    assert moved[0] == zoomed[0]  # a drag is no click
    assert moved[2] == pytest.approx(zoomed[2] + 60 / zoomed[1], abs=0.1)


def test_flagged_pixels_come_one_after_the_other_with_their_exact_values(run, desk):
    stack = open_blink(desk, run)
    flags = fits.getdata(stack / "flags.fits")
    minimum, median = (fits.getdata(stack / f"{name}.fits") for name in ("minimum", "median"))
    seen, residuals = {}, []
    for _ in range((flags > 0).sum()):
        x, y = map(int, press(desk, "n")[2:])
        said = seen[y, x] = read_values(desk)
        assert said["pixel, from 0"].split() == ["x", str(x), "y", str(y)]
        assert said["in ds9, from 1"] == f"({x + 1}, {y + 1})"
        assert float(said["minimum"]) == pytest.approx(minimum[y, x], rel=1e-3)
        assert float(said["median"]) == pytest.approx(median[y, x], rel=1e-3)
        assert said["exposure after"] == "no value"
        assert said["flag"].startswith(("", "flagged low", "flagged high")[flags[y, x]])
        residuals.append(abs(minimum[y, x] - median[y, x]))
    assert set(seen) == set(zip(*(axis.tolist() for axis in np.nonzero(flags)), strict=True))
    assert residuals == sorted(residuals, reverse=True)
    assert press(desk, "p")[2:] != (x + 0.5, y + 0.5)
    for order, first in (("weakest", (y, x)), ("place", min(seen))):  # it starts at its first
        set_value(desk, "order", order, "change")
        assert tuple(map(int, read_view(desk)[:1:-1])) == first
    assert desk.find_element("id", "count").text == f"1 of {len(seen)}"


def test_good_pixels_have_their_error_and_marks_are_seen_of_the_whole_detector(run, desk):
    open_blink(desk, run)
    orange = """const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
        let n = 0;
        for (let i = 0; i < data.length; i += 4) n += data[i] > 240 && data[i + 2] < 60;
        return n"""
    desk.execute_script("view.scale = 1; draw()")  # as a whole detector has it
    assert press(desk)[0] == "minimum"
    assert desk.execute_script(orange) > 0
    press(desk, "m")
    assert desk.execute_script(orange) == 0
    good = "data.mask.indexOf(0)"
    desk.execute_script(f"view.pointer = toScreen({good} % nx + 0.5, {good} / nx | 0); tell()")
    said = read_values(desk)
    assert said["flag"] == "good"
    names = ("minimum", "median", "residual", "exposure before", "in units of noise")
    assert all(re.fullmatch(r"-?[\d.]+ ± [\d.]+( σ)?", said[name]) for name in names)
    assert float(said["in units of noise"].split()[2]) > 0


def test_values_are_as_right_as_the_page_says(run, desk):
    """Every pixel of every image, against the files."""
    stack = open_blink(desk, run)
    errors = desk.execute_script("return facts.errors")
    (flagged,) = run.path("results/flagged", stack.name).glob("e[02]_*.fits")
    exposure = run.path("asn", flagged.name.replace("badpix_selfcal", "rate"))
    minimum, median = (fits.getdata(stack / f"{name}.fits") for name in ("minimum", "median"))
    truth = {"minimum": minimum, "median": median, "residual": minimum - median}
    truth |= {"before": fits.getdata(exposure, "SCI"), "after": fits.getdata(flagged, "SCI")}
    for name, image in truth.items():
        script = f"return [...data.{name}].map((v, i) => data.mask[i] & blank.{name} ? null : v)"
        values = np.array(desk.execute_script(script), float).reshape(image.shape)
        assert np.array_equal(np.isnan(values), np.isnan(image)), name
        valid = ~np.isnan(image)
        error, size = np.abs(values - image)[valid], np.abs(image)[valid]
        assert np.all(error <= errors[name] + 0.01 * size), name


def test_the_stretch_changes_the_picture_and_not_the_values(run, desk):
    open_blink(desk, run)
    press(desk, "3")
    limit = float(desk.find_element("id", "high").text)
    picture = "return document.getElementById('image').toDataURL()"
    before = desk.execute_script(picture)
    slider = set_value(desk, "stretch", 40, "input")
    read_view(desk)
    assert desk.execute_script(picture) != before
    assert float(desk.find_element("id", "high").text) < limit
    press(desk, "1")
    assert slider.get_property("value") == "0"  # images and residual have one each
    limit = desk.find_element("id", "high").text
    press(desk, "5")
    assert desk.find_element("id", "high").text == limit


# ---- Snakemake's report --------------------------------------------------------------------------


def wait_for_text(browser, wanted):
    """Return the page's text once it holds what is wanted."""

    body = wait_for(lambda: browser.find_element("tag name", "body"), "page")
    wait_for(lambda: wanted in body.text, wanted)
    return body.text


def click(browser, text):
    """Click on the link that says this."""
    path = f"//a[contains(normalize-space(), '{text}')]"
    wait_for(lambda: browser.find_elements("xpath", path), text)[0].click()


def find_icons(browser, name):
    """Return the icons of the list of figures, by figure."""
    script = """return [...document.querySelectorAll(`tr a[iconname='${arguments[0]}']`)].map(
        icon => [icon.closest("tr").cells[0].innerText.trim(), icon])"""
    return dict(browser.execute_script(script, name))


def test_snakemakes_report_has_the_graph_the_page_and_every_figure_with_its_numbers(run, desk):
    desk.get(run.path("report.html").as_uri())
    wait_for_text(desk, "Page holds the page of the run")
    graph = wait_for(lambda: desk.find_elements("tag name", "canvas"), "rule graph")[0]
    assert graph.size["height"] > 300
    files = run.path("results/stacks").glob("*/flags.fits")
    (stack,) = (path.parent.name for path in files if fits.getval(path, "BUNIT") == "DN/s")
    widths = """return [...document.querySelectorAll("img[src^='data:image/png']")].map(
        image => image.naturalWidth)"""
    for label in (figure.label for figure in FIGURES):
        click(desk, "Stacks")
        click(desk, stack)
        wait_for(lambda: len(find_icons(desk, "eye")) == len(FIGURES), "figures")
        find_icons(desk, "eye")[label].click()
        wait_for(lambda: any(w > 500 for w in desk.execute_script(widths)), f"picture {label}")
        find_icons(desk, "information-circle")[label].click()
        text = wait_for_text(desk, "high threshold [DN/s]")
        assert "flagfrac_upper 0.001" in text
    desk.refresh()
    click(desk, "Page")
    (page,) = wait_for(lambda: find_icons(desk, "eye"), "page")
    assert page == "all stacks, with their products"


def test_a_report_before_any_figure_exists(done):
    assert "Traceback" not in done.run("--report", "report.html").stdout
    assert done.path("report.html").stat().st_size > 10_000


def test_what_a_header_holds_is_no_markup(tmp_path):
    """Units that would be links or emphasis in a caption: docutils has nothing to complain of."""
    cards = dict.fromkeys(("BPXNEXP", "BPXKERN", "BPXNLO", "BPXNHI", "BPXNEDGE"), 1)
    unit = r"MJy_ / |sr|_ *of* `sky`_ \n"
    stack = SimpleNamespace(header={**cards, "BPXEDGE": "zero"}, axis=1, unit=unit, sigma=1.0)
    table = tmp_path / "numbers.csv"
    table.write_text("".join(f"{name},{value}\n" for name, value in list_numbers(stack)))
    caption = (ROOT / "workflow/report/flags.rst").read_text()
    caption = caption.replace("{{ snakemake.wildcards.stack }}", "e__-0123456789ab")
    caption = caption.replace("{{ snakemake.output.numbers }}", str(table))
    page = publish_doctree(caption, settings_overrides={"warning_stream": io.StringIO()})
    for kind in (system_message, problematic, reference, emphasis):
        assert not list(page.findall(kind))
    assert unit in page.astext()
