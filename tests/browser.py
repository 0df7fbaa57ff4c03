"""A real browser for tests: Chromium without a network."""

import json
import shutil

from conftest import wait_for

MISSING = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
PHONE = (390, 844)


def open_browser():
    """Start a browser."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage",
                     "host-resolver-rules=MAP * ~NOTFOUND"):  # fmt: skip  # no network
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return wait_for(lambda: try_start(options, service), "browser", seconds=300)


def try_start(options, service):
    """Start the browser; return None if its driver times out, as on a slow machine."""
    from selenium import common, webdriver

    try:
        return webdriver.Chrome(options, service)
    except common.SessionNotCreatedException as error:
        print(error)


def resize(browser, width=1500, height=1000, scheme="light"):
    """Empty a browser's page and resize it, in pixels; at a phone's width, with touch."""
    browser.get("about:blank")
    browser.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
    # By the protocol, as a window has a least width, and a frame.
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    list_errors(browser), list_requests(browser)  # forget those of other tests
    return browser


def list_errors(browser):
    """List the errors in the browser's console."""
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def list_requests(browser):
    """List the requests of pages, other than for files and data within them."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]
