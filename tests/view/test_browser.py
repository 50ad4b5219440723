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
    browser.get((pages[0] / "map.html").as_uri())
    fill = browser.execute_async_script(
        "const done = arguments[0], look = () => { const text = document.querySelector('.chart svg .role-legend text');"
        "text ? done(getComputedStyle(text).fill) : setTimeout(look, 50); }; look();"
    )
    assert fill == ("rgb(232, 232, 234)" if dark else "rgb(28, 28, 30)")
    assert complaints(browser) == []
    emulate(browser)
