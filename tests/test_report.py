"""The report, in a real browser: it opens offline, what it says and shows is there."""

import re
import shutil

import pytest
from conftest import Workflow, wait_for, write_association, write_exposure

MISSING = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
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
    workflow.run("--quiet", "all", *after, "--", "all", "figures")
    return workflow.path("report.html")


@pytest.fixture
def browser(tmp_path):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage",
                     "window-size=1500,1000",
                     "host-resolver-rules=MAP * ~NOTFOUND"):  # fmt: skip  # no network
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = wait_for(lambda: started(options, service), "browser", seconds=300)
    yield driver
    driver.quit()


def started(options, service):
    """Start the browser; nothing if it takes longer than its driver waits, as on a cold machine."""
    from selenium import common, webdriver

    try:
        return webdriver.Chrome(options, service)
    except common.SessionNotCreatedException as fault:
        print(fault)


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


def errors(browser):
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_the_first_page(report, browser):
    browser.get(report.as_uri())
    text = text_of(browser, "2 products: 1 complete in 1 stacks, 1 skipped")
    assert text.index("Warnings") < text.index("no background or selfcal") < text.index("Products")
    heading = browser.find_element("xpath", "//h1[text()='Warnings']")
    assert 0 < heading.rect["y"] < 400  # to be seen without scrolling
    graph = wait_for(lambda: browser.find_elements("tag name", "canvas"), "rule graph")[0]
    assert graph.size["height"] > 300
    assert errors(browser) == []


def test_every_figure_loads_and_its_caption_states_the_thresholds(report, browser):
    browser.get(report.as_uri())
    click(browser, "Results")
    figures = wait_for(lambda: sorted(icons(browser, "eye")), "figures")
    assert len(figures) == 8
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
        wait_for(lambda: len(icons(browser, "eye")) == 8, "figures")
    assert errors(browser) == []


def test_nothing_is_fetched(report):
    """No script, style, picture or font comes from elsewhere."""
    page = report.read_text()
    assert not re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=.https?:", page)
    assert not re.findall(r"@import url|@font-face", page)
