"""
The page of a run, the pages to blink images, and Snakemake's report with that page in it, in a
real browser without a network: they open, what they say and show is there.
"""

import html
import io
import re
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from browser import MISSING, PHONE, errors, on_screen, open_browser, requests
from conftest import ROOT, Workflow, wait_for, write_association, write_exposure
from docutils.core import publish_doctree
from docutils.nodes import emphasis, problematic, reference, system_message

from badpix_selfcal.tables import write_table
from figures.draw_stack import numbers

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

ODD = '<b onclick="alert(1)">&amp;'  # as a BUNIT


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two stacks, of which one has a warning, and of a product that is skipped."""
    workflow = Workflow(tmp_path_factory.mktemp("page"))
    for i in range(4):
        odd = {"BUNIT": ODD} if i < 2 else {}
        filters = {"FILTER": "F290LP", "GRATING": "G395H" if i != 3 else "G235H"}
        path = workflow.path("asn", f"e{i}_nrs1_rate.fits")
        write_exposure(path, seed=i, science=odd, primary=filters)
    for n, (a, b) in enumerate([(0, 1), (2, 3)]):
        nods = [(f"e{a}_nrs1_rate.fits", "science"), (f"e{b}_nrs1_rate.fits", "background")]
        write_association(workflow.path(f"asn/x{n}_asn.json"), (f"product{n}", nods))
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


@pytest.fixture(params=[1280, 1440, 1920, PHONE[0]])
def browser(chromium, request):
    return on_screen(chromium, request.param, 844)


@pytest.fixture
def desk(chromium):
    return on_screen(chromium, 1440, 900)


def open_page(browser, run):
    browser.get(run.path("results/report.html").as_uri())


def open_blink(browser, run):
    page = sorted(run.path("results/report").glob("*.html"))[0]
    browser.get(page.as_uri())
    wait_for(lambda: browser.execute_script("return document.body.dataset.ready"), "images")
    return run.path("results/stacks", page.stem)


def overflow(browser):
    return browser.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def test_the_page_fits_every_screen_and_all_of_it_loads(run, browser):
    open_page(browser, run)
    assert overflow(browser) == 0
    lefts = browser.execute_script(
        "return [...document.querySelectorAll('h1, h2, article, img, table')]"
        ".map(e => e.getBoundingClientRect().left)"
    )
    assert min(lefts) >= 0
    assert len(browser.find_elements("tag name", "article")) == 2
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    images = browser.find_elements("tag name", "img")
    assert len(images) == 2 * (1 + 9) + 1  # thumbnail and figures of each stack; what they share
    for image in images:
        browser.execute_script("arguments[0].scrollIntoView()", image)
        loaded = partial(browser.execute_script, "return arguments[0].naturalWidth > 40", image)
        wait_for(loaded, image.get_attribute("src")[:80])
    assert overflow(browser) == 0
    assert errors(browser) == []
    assert requests(browser) == []


def test_what_the_page_says(run, desk):
    open_page(desk, run)
    text = desk.find_element("tag name", "body").text
    assert "3 products in 2 stacks: 2 done, 1 skipped." in text
    assert text.index("no background or selfcal") < text.rindex("NIRSpec IFU, G395H/F290LP, NRS1")
    assert "NIRSpec IFU, several gratings/F290LP, NRS1" in text
    assert "GRATING G235H against G395H" in text
    assert "kernel 15 pixels along x, edges zero, flagfrac 0.001 low, 0.001 high" in text
    assert "1 science, 1 background" in text
    for path in run.path("results/stacks").glob("*/flags.fits"):
        assert f"above {fits.getheader(path)['BPXTHHI']:.4g}" in text
    assert "commit" in text
    links = desk.find_elements("css selector", "article a[href$='.fits'], article a[href$='.reg']")
    assert len(links) == 2 * (1 + 3 + 1)
    for link in links:
        assert run.path(link.get_attribute("href").partition(str(run.folder))[2][1:]).exists()


def test_data_are_escaped(run):
    for path in (run.path("results/report.html"), *run.path("results/report").glob("*.html")):
        assert "<b onclick" not in path.read_text()
    assert (
        html.escape(ODD, quote=False).partition("onclick")[0]
        in run.path("results/report.html").read_text()
    )


def test_from_a_card_to_its_images_and_back(run, desk):
    open_page(desk, run)
    desk.find_element("css selector", "a.button").click()
    wait_for(lambda: desk.execute_script("return document.body.dataset.ready"), "images")
    desk.find_element("css selector", "a.back").click()
    wait_for(lambda: desk.find_elements("tag name", "article"), "page")


def shown(browser):
    """Return what the canvas shows: the image's name, the scale, the middle x and y."""
    browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0]))")
    data = browser.execute_script("return {...document.getElementById('image').dataset}")
    return data["image"], *(float(data[key]) for key in ("scale", "x", "y"))


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def readout(browser):
    """Return what the table beside the image says, by its first column."""
    script = """return [...document.querySelectorAll("aside tr")].map(
        row => [...row.querySelectorAll("th, td")].map(cell => cell.innerText.trim()))"""
    return dict(browser.execute_script(script))


def test_the_images_fit_every_screen(run, browser):
    open_blink(browser, run)
    assert overflow(browser) == 0
    canvas = browser.find_element("id", "image")
    assert canvas.rect["width"] > 300
    assert canvas.rect["height"] > 280
    for button in browser.find_elements("css selector", "nav button"):
        button.click()
        assert shown(browser)[0] == button.get_attribute("data-show")
    tools = browser.find_elements("css selector", "#tools button, nav button")
    lefts = [tool.rect["x"] for tool in tools]
    assert min(lefts) >= 0
    assert errors(browser) == []
    assert requests(browser) == []


def test_keys_blink_zoom_and_move(run, desk):
    open_blink(desk, run)
    assert shown(desk)[0] == "minimum"
    press(desk, "5", "6")
    assert shown(desk)[0] == "after"
    press(desk, " ")
    assert shown(desk)[0] == "before"
    press(desk, " ")
    assert shown(desk)[0] == "after"
    _, scale, x, _ = shown(desk)
    press(desk, "+", "+")
    _, larger, _, _ = shown(desk)
    assert larger == pytest.approx(scale * 1.5**2)
    press(desk, "2")
    assert shown(desk)[1] == larger  # the zoom is shared
    press(desk, "\ue014")  # arrow to the right
    assert shown(desk)[2] > x
    press(desk, "0")
    assert shown(desk)[1] == pytest.approx(scale)
    assert errors(desk) == []


def test_the_pointer_blinks_zooms_and_moves(run, desk):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    open_blink(desk, run)
    canvas = desk.find_element("id", "image")
    before = shown(desk)
    ActionChains(desk).move_to_element(canvas).click().perform()
    assert shown(desk)[0] == "flags" != before[0]
    at = ScrollOrigin.from_element(canvas, 100, 50)
    ActionChains(desk).scroll_from_origin(at, 0, -240).perform()
    zoomed = shown(desk)
    assert zoomed[1] == pytest.approx(2 * before[1])
    assert zoomed[2] == pytest.approx(before[2] + 50 / before[1], abs=1 / before[1])
    drag = ActionChains(desk).move_to_element(canvas).click_and_hold()
    drag.move_by_offset(-60, 0).release().perform()
    moved = shown(desk)
    assert moved[0] == zoomed[0]  # a drag is no click
    assert moved[2] == pytest.approx(zoomed[2] + 60 / zoomed[1], abs=0.1)
    assert errors(desk) == []


def test_flagged_pixels_come_one_after_the_other_with_their_exact_values(run, desk):
    stack = open_blink(desk, run)
    flags = fits.getdata(stack / "flags.fits")
    minimum, median = (fits.getdata(stack / f"{name}.fits") for name in ("minimum", "median"))
    seen = set()
    for _ in range((flags > 0).sum()):
        press(desk, "n")
        _, _, x, y = shown(desk)
        x, y = int(x), int(y)
        seen.add((y, x))
        said = readout(desk)
        assert said["pixel, from 0"].split() == ["x", str(x), "y", str(y)]
        assert said["in ds9, from 1"] == f"({x + 1}, {y + 1})"
        assert float(said["minimum"]) == pytest.approx(minimum[y, x], rel=1e-3)
        assert float(said["median"]) == pytest.approx(median[y, x], rel=1e-3)
        assert said["exposure after"] == "no value"
        assert said["flag"].startswith(("", "flagged low", "flagged high")[flags[y, x]])
    assert seen == set(zip(*(axis.tolist() for axis in np.nonzero(flags)), strict=True))
    press(desk, "p")
    assert shown(desk)[2:] != (x + 0.5, y + 0.5)


def test_values_are_as_right_as_the_page_says(run, desk):
    """Every pixel of every image, against the files."""
    stack = open_blink(desk, run)
    step = desk.execute_script("return facts.step")
    (flagged,) = run.path("results/flagged", stack.name).glob("e[02]_*.fits")
    exposure = run.path("asn", flagged.name.replace("badpix_selfcal", "rate"))
    minimum, median = (fits.getdata(stack / f"{name}.fits") for name in ("minimum", "median"))
    truth = {"minimum": minimum, "median": median, "difference": minimum - median}
    truth |= {"before": fits.getdata(exposure, "SCI"), "after": fits.getdata(flagged, "SCI")}
    for name, image in truth.items():
        script = f"return [...data.{name}].map((v, i) => data.mask[i] & blank.{name} ? null : v)"
        values = np.array(desk.execute_script(script), float).reshape(image.shape)
        assert np.array_equal(np.isnan(values), np.isnan(image)), name
        away = np.abs(values - image)[~np.isnan(image)]
        size = np.abs(image)[~np.isnan(image)]
        assert np.all(away <= step + 0.01 * size), name


def test_the_stretch_changes_the_picture_and_not_the_values(run, desk):
    open_blink(desk, run)
    press(desk, "3")
    limits = desk.find_element("id", "high").text
    picture = "return document.getElementById('image').toDataURL()"
    shown(desk)
    before = desk.execute_script(picture)
    slider = desk.find_element("id", "stretch")
    script = "arguments[0].value = 40; arguments[0].dispatchEvent(new Event('input'))"
    desk.execute_script(script, slider)
    shown(desk)
    assert desk.execute_script(picture) != before
    assert float(desk.find_element("id", "high").text) < float(limits)
    press(desk, "1")
    assert slider.get_property("value") == "0"  # of images and of differences by itself


def test_it_blinks_by_itself(run, desk):
    open_blink(desk, run)
    press(desk, "b")
    seen = set()
    end = time.monotonic() + 20
    while len(seen) < 2 and time.monotonic() < end:
        seen.add(shown(desk)[0])
    assert seen == {"minimum", "flags"}
    press(desk, "b")


def test_the_page_prints(run, desk):
    open_page(desk, run)
    done = desk.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(done["data"]) > 20_000


# ---- Snakemake's report --------------------------------------------------------------------------


def open_report(browser, run):
    browser.get(run.path("report.html").as_uri())


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
    script = """return [...document.querySelectorAll(`tr a[iconname='${arguments[0]}']`)].map(
        icon => [icon.closest("tr").cells[0].innerText.trim(), icon])"""
    return dict(browser.execute_script(script, name))


def test_the_first_page_of_the_report(run, desk):
    open_report(desk, run)
    text_of(desk, "Page holds the page of the run")
    graph = wait_for(lambda: desk.find_elements("tag name", "canvas"), "rule graph")[0]
    assert graph.size["height"] > 300
    assert errors(desk) == []


def test_every_figure_loads_and_its_caption_states_the_thresholds(run, desk):
    open_report(desk, run)
    files = run.path("results/stacks").glob("*/flags.fits")
    (stack,) = (path.parent.name for path in files if fits.getval(path, "BUNIT") == "DN/s")
    click(desk, "Stacks")
    click(desk, stack)
    figures = wait_for(lambda: sorted(icons(desk, "eye")), "figures")
    assert len(figures) == 9
    widths = """return [...document.querySelectorAll("img[src^='data:image/png']")].map(
        image => image.naturalWidth)"""
    for name in figures:
        icons(desk, "eye")[name].click()
        wait_for(lambda: any(w > 500 for w in desk.execute_script(widths)), f"picture {name}")
        icons(desk, "information-circle")[name].click()
        text = text_of(desk, "high threshold [DN/s]")
        assert "flagfrac_upper 0.001" in text
        assert "kernel_size 15" in text
        click(desk, "Stacks")
        click(desk, stack)
        wait_for(lambda: len(icons(desk, "eye")) == 9, "figures")
    assert errors(desk) == []


def test_the_page_of_the_run_is_in_the_report(run, desk):
    open_report(desk, run)
    click(desk, "Page")
    assert wait_for(lambda: sorted(icons(desk, "eye")), "page") == [
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


def test_nothing_is_fetched(run):
    """No script, style, picture or font of the report comes from elsewhere."""
    page = run.path("report.html").read_text()
    assert not re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=.https?:", page)
    assert not re.findall(r"@import url|@font-face", page)
