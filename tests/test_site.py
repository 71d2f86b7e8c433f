"""The web pages are built and checked, and two are opened in Chromium (skipped if it is missing)."""

import shutil
from pathlib import Path

import pytest

from qalign_dt.dev.site import build_site

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The folder of pages; `build_site` checks links, size, and that nothing loads from another server."
    return build_site(ROOT, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: the pages are not opened")
    if CHROMIUM is None:
        pytest.skip("no Chromium: the pages are not opened")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_pages_show_what_a_reader_wants(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        assert '<span class="c1">#|' not in page.read_text(), f"{page.name} shows a directive"


@pytest.mark.parametrize("path", ["index.html", "1_method/05_align.html"])
@pytest.mark.parametrize("width", [1280, 390])
def test_page_in_browser(site, browser, path, width):
    page, problems = browser.new_page(viewport={"width": width, "height": 900}), []
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("requestfailed", lambda request: problems.append(f"not loaded: {request.url}"))
    page.on(
        "request",
        lambda request: (
            problems.append(f"foreign: {request.url}") if request.url.startswith("http") else None
        ),
    )
    page.goto((site / path).as_uri())
    page.wait_for_load_state("load")
    assert page.locator("h1").first.is_visible()
    equation = page.locator("math").first.bounding_box()
    assert equation["width"] > 10 and equation["height"] > 8, "an equation is not typeset"
    broken = page.evaluate(
        "Array.from(document.images).filter(i => i.complete && i.naturalWidth === 0).map(i => i.src)"
    )
    assert not broken, broken
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    # The search index cannot be loaded from a file.
    assert not [p for p in problems if "search" not in p], problems
    page.close()
