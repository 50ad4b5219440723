"""prep in the test's own process: the same stage, log and limits, without the start of workers."""

import contextlib
import io
import json
import subprocess
from pathlib import Path

from dubcli.cache.check import check_movie
from dubcli.cache.reader import Cache
from dubcli.jobs.call import call
from dubcli.prep import PrepConfig, prepare


def run_here(function, items, key, workers, progress):
    """Stands in for ``dubcli.jobs.local.run_in_processes``."""
    for item in items:
        yield call(function, item, key(item), lambda fraction, **fields: None)


def here(monkeypatch):
    """Let stages work in this process."""
    monkeypatch.setattr("dubcli.jobs.local.run_in_processes", run_here)


def prepare_here(monkeypatch, sources, cache, languages="en", options=None, **config):
    """Run the stage in this process. Returns {source as named in the log: Outcome}."""
    here(monkeypatch)
    configuration = PrepConfig(languages=tuple(languages.split(",")), cache=Path(cache), **config)
    arguments = () if options is None else (options,)
    return {outcome.key: outcome for outcome in prepare(sources, configuration, *arguments).outcomes}


def one_movie(monkeypatch, film, cache, languages="en", **config):
    """Prepare one film that must succeed; its movie, checked deeply."""
    (outcome,) = prepare_here(monkeypatch, [film], cache, languages, **config).values()
    assert outcome.status == "ok", outcome
    assert findings(cache) == []
    return Cache(cache).movies[-1], outcome


def findings(cache):
    """What the deep check has to say of a whole cache."""
    return [finding for movie in Cache(cache).movies for finding in check_movie(movie)]


def command_here(monkeypatch, folder, *arguments):
    """``dubav ...`` in this process, in ``folder``: a CompletedProcess with its streams' text and exit status."""
    from dubcli.cli.app import app

    here(monkeypatch)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "120")
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app([str(argument) for argument in arguments])
        except SystemExit as leaving:
            status = leaving.code or 0
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def log_lines(cache):
    """The lines of ``prep.jsonl``."""
    return [json.loads(line) for line in (Path(cache) / "prep.jsonl").read_text(encoding="utf-8").splitlines()]
