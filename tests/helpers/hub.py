"""A stand-in of the Hugging Face Hub's HTTP face, as far as one model is made, filled and fetched; all in memory."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_stand_in"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """``models``: files by OWNER/NAME. ``private``: those made so. ``uploads``: large files by sha256."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Face)
        self.models, self.private, self.uploads, self.seen = {}, set(), {}, []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Face(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self):
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(f"{self.command} {path}")
        writes = self.command in ("POST", "PUT") and not path.startswith("/uploads/")
        if writes and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401, {"error": "Invalid username or password."})
        for pattern, method in _ROUTES:
            if match := re.fullmatch(pattern, path):
                return method(self, body, *match.groups())
        return self._send(404, {"error": f"no route {self.command} {path}"})

    def _send(self, status, content=None, headers=()):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def create(self, body):
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        known = name in self.server.models
        self.server.models.setdefault(name, {})
        if asked.get("private") or asked.get("visibility") == "private":
            self.server.private.add(name)
        if known:
            return self._send(409, {"error": "You already created this model repo", "url": name})
        return self._send(200, {"url": f"{self.server.address}/{name}", "name": name, "id": name})

    def preupload(self, body, name):
        files = [
            {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
             "shouldIgnore": False, "oid": None}
            for file in json.loads(body)["files"]
        ]  # fmt: skip
        return self._send(200, {"files": files})

    def lfs_batch(self, body, name):
        objects = [
            {"oid": thing["oid"], "size": thing["size"],
             "actions": {"upload": {"href": f"{self.server.address}/uploads/{thing['oid']}", "header": {}}}}
            for thing in json.loads(body)["objects"]
        ]  # fmt: skip
        return self._send(200, {"transfer": "basic", "objects": objects})

    def upload(self, body, oid):
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.uploads[oid] = body
        return self._send(200, {})

    def commit(self, body, name):
        files = self.server.models[name]
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.uploads[value["oid"]]
        address = f"{self.server.address}/{name}/commit/{COMMIT}"
        return self._send(200, {"success": True, "commitOid": COMMIT, "commitUrl": address, "hookOutput": ""})

    def info(self, body, name, revision="main"):
        if revision not in ("main", COMMIT):
            return self._send(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
        files = self.server.models.get(name)
        if files is None:
            return self._send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        siblings = [{"rfilename": file, "size": len(data)} for file, data in files.items()]
        return self._send(200, {"id": name, "modelId": name, "sha": COMMIT, "private": False, "siblings": siblings,
                                "tags": [], "xetEnabled": False})  # fmt: skip

    def tree(self, body, name, *_):
        files = self.server.models.get(name, {})
        return self._send(200, [_entry(file, data) for file, data in files.items()])

    def paths(self, body, name, *_):
        return self._send(200, [])

    def resolve(self, body, name, file):
        data = self.server.models.get(name, {}).get(file)
        if data is None:
            return self._send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        return self._send(200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT,
                                      "Accept-Ranges": "none"})  # fmt: skip

    def validate(self, body):
        return self._send(200, {"errors": [], "warnings": []})


def _entry(file, data):
    return {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


_NAME = r"([^/]+/[^/]+)"
_ROUTES = (
    (r"/api/repos/create", _Face.create),
    (r"/api/validate-yaml", _Face.validate),
    (rf"/api/models/{_NAME}/preupload/main", _Face.preupload),
    (rf"/{_NAME}\.git/info/lfs/objects/batch", _Face.lfs_batch),
    (r"/uploads/(\w+)", _Face.upload),
    (rf"/api/models/{_NAME}/commit/main", _Face.commit),
    (rf"/api/models/{_NAME}/tree/(.+)", _Face.tree),
    (rf"/api/models/{_NAME}/paths-info/(.+)", _Face.paths),
    (rf"/api/models/{_NAME}", _Face.info),
    (rf"/api/models/{_NAME}/revision/(.+)", _Face.info),
    (rf"/{_NAME}/resolve/[^/]+/(.+)", _Face.resolve),
)


@contextmanager
def running_hub():
    """A hub on a free port of this machine while the block lasts."""
    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
