"""The page in a real browser: nothing in the console, tables sort, a sound plays, plots by keys, narrow and dark."""

import os
import shutil

import pytest

from dubcli.report import ReportConfig, report
from helpers.browser import browser, complaints, emulate  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser
Keys = pytest.importorskip("selenium.webdriver.common.keys", reason="selenium is not installed").Keys


@pytest.fixture(scope="module")
def page(project, tmp_path_factory, browser):  # noqa: F811
    folder = tmp_path_factory.mktemp("report")
    other = shutil.copytree(project / "cache", tmp_path_factory.mktemp("caches") / "trailers")
    report([project, other], folder, ReportConfig(paper=True, outside=True, gallery=2))
    browser.get((folder / "index.html").as_uri())
    if os.environ.get("DUBAV_SCREENSHOT"):
        browser.save_screenshot(os.environ["DUBAV_SCREENSHOT"])
    return browser


def column(page, key, index):
    script = "return [...document.getElementById('table-' + arguments[0]).tBodies[0].rows]"
    return page.execute_script(f"{script}.map(row => row.cells[arguments[1]].textContent.trim())", key, index)


def drawn(page, key):
    """Bring a plot onto the screen and wait until it is drawn."""
    page.execute_async_script(
        "const done = arguments[1], place = document.querySelector(`#chart-${arguments[0]} .chart`);"
        "place.scrollIntoView({block: 'center'});"
        "const look = () => place.dataset.drawn ? done() : setTimeout(look, 30); look();",
        key,
    )
    return page.find_element("css selector", f"#chart-{key} .chart")


def ticks(page, key):
    """The numbers on its x axis."""
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    labels = "document.querySelector(`#chart-${arguments[0]} .role-axis-label`).querySelectorAll('text')"
    found = page.execute_script(f"return [...{labels}].map(text => text.textContent)", key)
    return sorted(float(text.replace("\N{MINUS SIGN}", "-")) for text in found)


def lines(page, key):
    """The paths of its lines."""
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    paths = "document.querySelectorAll(`#chart-${arguments[0]} .mark-line path`)"
    return page.execute_script(f"return [...{paths}].map(path => path.getAttribute('d'))", key)


def test_no_errors_in_the_console(page):
    for key in ("loss", "retrieval", "epochs-esc50", "durations"):
        drawn(page, key)
    assert complaints(page) == []


def test_a_click_sorts_up_and_down(page):
    head = "return document.getElementById('table-tableA1').querySelectorAll('th')[1]"
    page.execute_script(head).send_keys("\n")
    scores = column(page, "tableA1", 1)
    assert scores == sorted(scores) != column(page, "tableA1", 1)[::-1]
    page.execute_script(head).click()
    assert column(page, "tableA1", 1) == scores[::-1]
    assert column(page, "tableA1", 0)[0] == "UAVM"


def test_a_sound_plays(page):
    played = page.execute_async_script(
        "const done = arguments[0], audio = document.querySelector('audio');"
        "audio.addEventListener('timeupdate', () => audio.currentTime > 0.1 && done([audio.duration, 'played']));"
        "audio.addEventListener('error', () => done([0, audio.error.message]));"
        "audio.play().catch(error => done([0, String(error)]));"
    )
    assert played[1] == "played"
    assert played[0] == pytest.approx(3.0, abs=0.1)


def test_a_plot_is_zoomed_and_shown_whole_by_keys(page):
    plot = drawn(page, "loss")
    first = ticks(page, "loss")
    plot.send_keys("+++")
    zoomed = ticks(page, "loss")
    assert zoomed[0] > first[0]
    plot.send_keys(Keys.ARROW_RIGHT * 3)
    assert ticks(page, "loss")[0] > zoomed[0]
    plot.send_keys("0")
    assert ticks(page, "loss") == first


def test_the_wheel_scrolls_the_page_and_zooms_with_control(page):
    drawn(page, "loss")
    first = ticks(page, "loss")
    wheel = (
        "const event = new WheelEvent('wheel', {deltaY: 200, ctrlKey: arguments[0], bubbles: true, cancelable: true});"
        "const plot = document.querySelector('#chart-loss svg'), place = plot.getBoundingClientRect();"
        "Object.defineProperties(event, {clientX: {value: place.left + 150}, clientY: {value: place.top + 80}});"
        "document.elementFromPoint(place.left + 150, place.top + 80).dispatchEvent(event);"
        "return event.defaultPrevented"
    )
    assert page.execute_script(wheel, False) is False
    assert ticks(page, "loss") == first
    assert page.execute_script(wheel, True) is True


def test_a_switch_hides_its_line_by_mouse_and_keys(page):
    drawn(page, "retrieval")
    switches = page.find_elements("css selector", "#chart-retrieval [aria-label='Series shown'] button")
    assert len(lines(page, "retrieval")) == len(switches) == 2
    switches[0].click()
    assert (len(lines(page, "retrieval")), switches[0].get_attribute("aria-pressed")) == (1, "false")
    switches[0].send_keys("\n")
    assert (len(lines(page, "retrieval")), switches[0].get_attribute("aria-pressed")) == (2, "true")


def test_the_slider_smooths_by_keys(page):
    drawn(page, "loss")
    raw, smooth = lines(page, "loss")
    assert raw == smooth
    page.find_element("css selector", "#chart-loss input[type=range]").send_keys(Keys.ARROW_RIGHT * 3)
    assert lines(page, "loss")[0] == raw
    assert lines(page, "loss")[1] != smooth


def test_the_gallery_s_models_are_switched(page):
    switch = page.find_element("css selector", "section.gallery button[data-model]")
    shown = "return [...document.querySelectorAll('.answer')].filter(one => one.offsetHeight).length"
    before = page.execute_script(shown)
    switch.send_keys("\n")
    assert (before > 0, page.execute_script(shown)) == (True, 0)
    switch.click()
    assert page.execute_script(shown) == before
    whole = "return [...document.querySelectorAll('section.gallery img')].every(one => one.naturalWidth > 0)"
    assert page.execute_script(whole)


def test_the_gallery_s_caches_are_chosen_by_mouse_and_keys(page):
    """One at a time, its pictures there; every way back."""
    choices = page.find_elements("css selector", "[aria-label='Cache'] button")
    shown = (
        "return [...document.querySelectorAll('section.gallery')].filter(one => one.offsetHeight)"
        ".map(one => [one.getAttribute('aria-label'), [...one.querySelectorAll('img')].filter(img => img.offsetHeight)"
        ".every(img => img.complete && img.naturalWidth > 0)])"
    )
    assert [choice.text for choice in choices] == ["cache", "trailers"]
    assert page.execute_script(shown) == [["cache", True]]
    choices[1].send_keys("\n")
    assert page.execute_script(shown) == [["trailers", True]]
    assert [choice.get_attribute("aria-pressed") for choice in choices] == ["false", "true"]
    switch = page.find_element("css selector", "section.gallery:not([hidden]) button[data-model]")
    switch.click()
    choices[0].click()
    assert page.execute_script(shown) == [["cache", True]]
    answers = "return [...document.querySelectorAll('.answer')].filter(one => one.offsetHeight).length"
    assert page.execute_script(answers) > 0
    choices[1].click()
    assert page.execute_script(answers) == 0
    switch.click()
    assert page.execute_script(answers) > 0
    choices[0].click()
    assert complaints(page) == []


@pytest.mark.parametrize(("width", "dark"), [(1400, True), (360, False), (360, True)])
def test_it_fits_a_narrow_screen_and_the_dark(page, width, dark):
    emulate(page, width=width, dark=dark)
    page.refresh()
    for key in ("loss", "retrieval", "epochs-esc50", "durations"):
        drawn(page, key)
    page.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    drawn(page, "confusion-esc50-fr-ckpt")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    ink = "return getComputedStyle(document.querySelector('#chart-loss .role-axis-label text')).fill"
    assert page.execute_script(ink) == ("rgb(232, 232, 234)" if dark else "rgb(28, 28, 30)")
    assert complaints(page) == []
    emulate(page)
