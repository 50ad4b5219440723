"""The page in a real browser: no errors in the console, a click sorts, a sound plays, a plot zooms."""

import os

import pytest

from dubcli.report import ReportConfig, report
from helpers.browser import browser  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(project, tmp_path_factory, browser):  # noqa: F811
    folder = tmp_path_factory.mktemp("report")
    report([project], folder, ReportConfig(paper=True, outside=True, gallery=2))
    browser.get((folder / "index.html").as_uri())
    if os.environ.get("DUBAV_SCREENSHOT"):
        browser.save_screenshot(os.environ["DUBAV_SCREENSHOT"])
    return browser


def column(page, key, index):
    script = "return [...document.getElementById(arguments[0]).nextElementSibling.querySelectorAll('tbody tr')]"
    return page.execute_script(f"{script}.map(row => row.cells[arguments[1]].textContent.trim())", key, index)


def test_no_errors_in_the_console(page):
    assert [entry for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def test_a_click_sorts_up_and_down(page):
    head = "return document.getElementById('tableA1').nextElementSibling.querySelectorAll('th')[1]"
    page.execute_script(head).click()
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


def test_the_wheel_zooms_a_plot_and_a_double_click_resets_it(page):
    before, zoomed, after = page.execute_script(
        "const svg = document.querySelector('figure svg'), box = () => svg.getAttribute('viewBox');"
        "const first = box(), place = svg.getBoundingClientRect();"
        "svg.dispatchEvent(new WheelEvent('wheel', {deltaY: -1, clientX: place.left + 50, clientY: place.top + 50,"
        " cancelable: true}));"
        "const second = box(); svg.dispatchEvent(new MouseEvent('dblclick')); return [first, second, box()];"
    )
    assert float(zoomed.split()[2]) == pytest.approx(0.8 * float(before.split()[2]))
    assert [float(n) for n in after.split()] == [float(n) for n in before.split()]
