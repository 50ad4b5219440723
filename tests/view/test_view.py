"""``dubav view``: every address is there, is what it says, and is what the cache and the films hold."""

import io
import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
import pytest
import soundfile
from PIL import Image
from typer.testing import CliRunner

from dubcli.cache.reader import Cache
from dubcli.cli.app import app
from dubcli.errors import UserError
from dubcli.pages.pictures import LOUDEST, QUIETEST, mel_picture
from dubcli.view import ViewConfig, open_site, write_site
from dubcli.view.map import lay_out_on_plane
from dubcli.view.serve import make_server
from helpers.caches import make_cache


def view(*arguments):
    return CliRunner().invoke(app, ["view", *map(str, arguments), "--quiet"])


@pytest.fixture(scope="module")
def pages(run, tmp_path_factory):
    """The pages of a run, as the command writes them."""
    out = tmp_path_factory.mktemp("pages") / "view"
    done = view(run, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    return out, json.loads(done.stdout)


def links(page):
    return [match[2] for match in re.finditer(r'(href|src)="([^"#]+)', page) if not match[2].startswith("data:")]


def test_every_link_of_every_page_leads_to_a_file(pages):
    out, summary = pages
    assert (summary["films"], summary["clips"], summary["clips_of_cache"], summary["sounds"]) == (1, 4, 4, 8)
    seen, todo = set(), ["index.html", "map.html"]
    while todo:
        page = todo.pop()
        seen.add(page)
        found = {unquote(urljoin(page, link)) for link in links((out / page).read_text())}
        assert all((out / place).is_file() for place in found), found
        todo += [place for place in found - seen if place.endswith(".html") and place not in todo]
    assert len(seen) == 3
    assert "https://" not in (out / "index.html").read_text()


def test_a_clip_is_shown_and_heard_as_it_is(pages, project):
    out, _ = pages
    movie = Cache(project / "cache").movies[0]
    folder = out / "films" / movie.id
    strip = Image.open(folder / "clip-000002.jpg")
    frame = Image.open(io.BytesIO(movie.frame_bytes(2)[9]))
    shown = np.asarray(strip.crop((160, strip.height // 2, 320, strip.height)).resize(frame.size), float)
    assert np.abs(shown - np.asarray(frame, float)).mean() < 4  # the tenth frame, in the second row
    sound, rate = soundfile.read(folder / "clip-000002.fr.mp3")
    power = np.abs(np.fft.rfft(sound[:rate, 0])) ** 2
    assert rate == 48000
    assert len(sound) == pytest.approx(3 * rate, abs=2400)
    assert power.argmax() == pytest.approx(700, abs=2)  # the French track's own tone


def test_mels_are_drawn_upright_from_the_floor_to_the_loudest():
    mel = np.full((2, 96, 280), QUIETEST, np.float16)
    mel[0, 0, :] = LOUDEST  # the lowest pitch of the left channel
    mel[1, 95, :] = np.nan
    picture = np.asarray(Image.open(io.BytesIO(mel_picture(mel))).convert("RGB"), int).sum(axis=2)
    assert picture.shape == (192, 280)
    assert (picture[95] > 500).all()
    assert (np.delete(picture, 95, axis=0) < 20).all()


def test_neighbours_stay_neighbours_on_the_map():
    rng = np.random.default_rng(0)
    centres = np.eye(3, 16, dtype=np.float32).repeat(10, axis=0)
    rows = centres + rng.normal(0, 0.05, centres.shape).astype(np.float32)
    places, method = lay_out_on_plane(rows / np.linalg.norm(rows, axis=1, keepdims=True), 0)
    assert method in ("t-SNE", "UMAP")
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (apart.argmin(axis=1) // 10 == np.arange(30) // 10).all()


def test_the_map_has_every_picture_and_sound(pages, project):
    out, _ = pages
    text = re.search(r'<script type="application/json">(.*?)</script>', (out / "map.html").read_text(), re.S)[1]
    points = json.loads(text)["data"]["values"]
    assert sorted((p["track"], p["time"]) for p in points) == sorted(
        (track, f"0:{3 * clip:02}") for track in ("picture", "en", "fr") for clip in range(4)
    )
    assert all((out / point["image"]).is_file() for point in points)


def test_one_damaged_picture_costs_its_place_and_a_line(project, tmp_path):
    cache = shutil.copytree(project / "cache", tmp_path / "cache")
    frames = next((cache / "movies").iterdir()) / "frames.jpgs"
    content = bytearray(frames.read_bytes())
    content[:40] = bytes(40)
    frames.write_bytes(content)
    done = view(cache, "--out", tmp_path / "view")
    assert done.exit_code == 1
    assert re.search(r"left out: films/.*/clip-000000.jpg: frame 0 does not decode", done.stderr)
    assert (next((tmp_path / "view" / "films").iterdir()) / "clip-000001.jpg").is_file()


def test_names_of_films_are_text_and_no_markup(tmp_path):
    cache = make_cache(tmp_path / "cache", films=1, clips=2, languages=("en",))
    file = next((cache / "movies").iterdir()) / "movie.json"
    meta = json.loads(file.read_text())
    file.write_text(json.dumps({**meta, "title": "<script>alert(1)</script> $5 日本", "problems": ["<b>"]}))
    site = open_site(cache, ViewConfig())
    for address in ("index.html", next(a for a in site.addresses() if a.endswith("page-1.html"))):
        page = site.get(address).content.decode()
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert" not in page
        assert "$5 日本" in page


def test_clips_are_spread_over_the_film_and_pages(tmp_path):
    cache = make_cache(tmp_path / "cache", films=1, clips=60, languages=("en",), size=(32, 18))
    some, every = open_site(cache, ViewConfig(clips=4)), open_site(cache, ViewConfig(), every_clip=True)
    movie = every.films.popitem()[1].movie
    assert some.clips(movie) == [7, 22, 37, 52]
    assert every.clips(movie) == list(range(60))
    many = open_site(make_cache(tmp_path / "many", films=30, clips=40, languages=("en",), size=(32, 18)), ViewConfig())
    assert {len(many.clips(one.movie)) for one in many.films.values()} == {16}  # 480 in all


def test_the_first_page_waits_for_no_torch(project):
    """Its import takes seconds: a cache of 748 films is looked at within two."""
    script = (
        "import sys; from dubcli.view import ViewConfig, open_site\n"
        "site = open_site(sys.argv[1], ViewConfig(), every_clip=True)\n"
        "pages = [site.get(address) for address in site.addresses() if address.endswith('html')]\n"
        "assert len(pages) == 2 and all(pages) and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script, project / "cache"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def served(project):
    """(address, said): a server of the project's cache, and what it complained of."""
    said = []
    server = make_server(open_site(project / "cache", ViewConfig(), every_clip=True), 0, said.append)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", said
    server.shutdown()
    server.server_close()


def get(address, **headers):
    request = urllib.request.Request(
        address, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    with urllib.request.urlopen(request) as reply:
        return reply.status, reply.headers, reply.read()


def test_the_server_gives_what_the_folder_holds(served, pages, project):
    address, _ = served
    movie = Cache(project / "cache").movies[0]
    place = f"films/{movie.id}/clip-000001.en.png"
    assert get(address + place)[2] == (pages[0] / place).read_bytes()
    assert get(address)[2].startswith(b"<!doctype html>")
    sound = f"{address}films/{movie.id}/clip-000001.en.mp3"
    whole = get(sound)[2]
    status, headers, part = get(sound, Range="bytes=10-19")
    assert (status, part, headers["Content-Range"]) == (206, whole[10:20], f"bytes 10-19/{len(whole)}")
    assert get(sound, Range="bytes=5-")[2] == whole[5:]


@pytest.mark.parametrize(
    ("place", "headers", "status"),
    [
        ("films/none/page-1.html", {}, 404),
        ("../../etc/passwd", {}, 404),
        ("films/{id}/page-2.html", {}, 404),
        ("films/{id}/clip-000099.jpg", {}, 404),
        ("films/{id}/clip-000001.de.png", {}, 404),
        ("index.html", {"Host": "evil.example"}, 403),
        ("films/{id}/clip-000001.en.png", {"Range": "bytes=99999999-"}, 416),
    ],
)
def test_the_server_refuses_the_rest(served, project, place, headers, status):
    movie = Cache(project / "cache").movies[0]
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(served[0] + place.format(id=movie.id), **headers)
    assert caught.value.code == status


def test_a_taken_port_is_named(served, project):
    with pytest.raises(UserError, match="give another with --port"):
        make_server(open_site(project / "cache", ViewConfig()), urlsplit(served[0]).port, print)


def test_a_sheet_shows_one_film(project, tmp_path):
    assert view(project / "cache", "--sheet", tmp_path / "a.png").exit_code == 0
    assert Image.open(tmp_path / "a.png").size[0] == 4 * 306
    two = make_cache(tmp_path / "two", films=2)
    assert "name one with --film" in view(two, "--sheet", tmp_path / "b.png").stderr
    assert view(two, "--sheet", tmp_path / "b.jpg", "--film", "film001").exit_code == 0
    assert view(two, "--sheet", tmp_path / "b.txt", "--film", "film001").exit_code == 2


def test_mistakes_are_one_line(project, run, tmp_path):
    for arguments, said in (
        ((tmp_path / "nothing",), "is no clip cache"),
        ((project / "cache", "--film", "colors"), "did you mean colours?"),
        ((project / "cache", "--clips", "0"), "--clips is 1 or more"),
        (
            (project / "cache", "--device", "cp"),
            "--device cp is no device (did you mean cpu?)",
        ),  # though no map is made
        ((project / "cache", "--out", project), "holds other things"),
        ((run, "--cache", tmp_path), "name it with --cache"),
        ((make_cache(tmp_path / "none", films=0),), "holds no film yet"),
    ):
        done = view(*arguments)
        assert done.exit_code == 2, (arguments, done.output)
        assert said in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_pages_are_replaced_whole(project, tmp_path):
    out = tmp_path / "view"
    site = open_site(project / "cache", ViewConfig(clips=2))
    write_site(site, out)
    more = write_site(open_site(project / "cache", ViewConfig(clips=1)), out)
    assert (more.clips, more.clips_of_cache) == (1, 4)
    assert len(list(out.rglob("clip-*.jpg"))) == 1
    assert not [path for path in tmp_path.iterdir() if path != out]
