"""The pages in a real browser: nothing in the console, keys, a sound, the map, a narrow screen."""

import pytest

from dubcli.view import ViewConfig, open_site, write_site
from helpers.browser import browser, complaints, emulate  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pages(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("pages") / "view"
    site = open_site(run, ViewConfig())
    write_site(site, out)
    return out, next(iter(site.films))


def press(browser, key):  # noqa: F811
    browser.execute_script(
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))", key
    )


def test_films_are_filtered_and_sorted(browser, pages):  # noqa: F811
    browser.get((pages[0] / "index.html").as_uri())
    box = browser.find_element("css selector", "input[type=search]")
    box.send_keys("klingon")
    assert browser.execute_script("return document.querySelectorAll('#films tbody tr:not([hidden])').length") == 0
    box.clear()
    box.send_keys("colours fr")
    assert browser.execute_script("return document.querySelectorAll('#films tbody tr:not([hidden])').length") == 1
    assert complaints(browser) == []


def test_keys_go_through_clips_and_play_their_tracks(browser, pages):  # noqa: F811
    browser.get((pages[0] / "films" / pages[1] / "page-1.html").as_uri())
    for key in "jjjk":
        press(browser, key)
    assert browser.execute_script("return document.activeElement.id") == "c1"
    press(browser, "2")
    played = browser.execute_async_script(
        "const done = arguments[0], audio = document.querySelectorAll('#c1 audio')[1];"
        "const look = () => audio.currentTime > 0.1 ? done([audio.src, audio.duration]) : setTimeout(look, 50); look();"
    )
    assert played[0].endswith("clip-000001.fr.mp3")
    assert played[1] == pytest.approx(3, abs=0.1)
    press(browser, "1")
    playing = "return [...document.querySelectorAll('audio')].filter(one => !one.paused).map(one => one.ariaLabel)"
    assert browser.execute_script(playing) == ["en"]  # one at a time
    assert complaints(browser) == []


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (360, True)])
def test_charts_are_drawn_in_the_page_s_colours_and_fit(browser, pages, width, dark):  # noqa: F811
    emulate(browser, width=width, dark=dark)
    for place in ("map.html", f"films/{pages[1]}/page-1.html", "index.html"):
        browser.get((pages[0] / place).as_uri())
        if place != "index.html":
            browser.execute_async_script(
                "const done = arguments[0], look = () => document.querySelector('.chart svg') ? done() "
                ": setTimeout(look, 50); look();"
            )
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, place
    assert complaints(browser) == []
    emulate(browser)


def test_the_map_s_series_are_switched_by_keys(browser, pages):  # noqa: F811
    browser.get((pages[0] / "map.html").as_uri())
    buttons = "[...document.querySelectorAll('[aria-label=\"Series shown\"] button')].map(one => one.lastChild.data)"

    def wait_until(condition):
        script = f"const done = arguments[0], look = () => {condition} ? done() : setTimeout(look, 50); look();"
        browser.execute_async_script(script)

    wait_until("document.querySelector('.chart').dataset.drawn")
    assert browser.execute_script(f"return {buttons}") == ["en", "fr", "picture"]
    faint = (
        "[...document.querySelectorAll('.mark-symbol path')].filter(one => one.getAttribute('opacity') < 0.1).length"
    )
    browser.find_element("css selector", "[aria-label='Series shown'] button").send_keys("\n")
    wait_until(f"{faint} === 4")  # the four English sounds
    browser.find_element("css selector", ".vega-bindings select").send_keys("film")
    wait_until(f"{buttons}.length === 1")
    assert browser.execute_script(f"return {faint}") == 0
    assert complaints(browser) == []
