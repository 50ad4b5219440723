"""A GPU's decoder, acted: what a CPU decodes, as NV12, from a context that says it is a GPU's; faults on request."""

import contextlib
import time

import av
import av.error

from dubcli.media import nvdec
from dubcli.media.streams import open_media


class Proxy:
    """Another object's attributes, some of them replaced."""

    def __init__(self, inner, **replaced):
        self.__dict__.update(_inner=inner, **replaced)

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def __setattr__(self, name, value):
        setattr(self._inner, name, value)


class Streams(Proxy):
    """A container's streams; ``changed`` stands for the one of its number."""

    def __getitem__(self, number):
        changed = self.__dict__["changed"]
        return changed if number == changed.index else self._inner[number]


class ActedGpu:
    """``fail_at``: the picture at which the driver gives up; ``change``: what it makes of its frames; ``pause_seconds``
    for each packet. ``opened``: the GPUs that films were opened on; ``decoded``: how many pictures, of all films.
    """

    def __init__(self, fail_at=None, change=None, pause_seconds=0.0, gpus=1, broken=None):
        self.fail_at, self.change, self.pause_seconds, self.gpus = fail_at, change, pause_seconds, gpus
        self.broken, self.opened, self.decoded = broken, [], 0

    def install(self, monkeypatch):
        monkeypatch.setattr("dubcli.prep.decoder._gpu_count", lambda: self.gpus)
        monkeypatch.setattr("dubcli.prep.decoder.why_not", lambda device: self.broken)
        monkeypatch.setattr("dubcli.media.nvdec.open_on_gpu", self.open)
        monkeypatch.setattr("dubcli.prep.film.open_on_gpu", self.open)
        return self

    @contextlib.contextmanager
    def open(self, path, device):
        self.opened.append(device)
        with open_media(path) as container:
            (real,) = container.streams.video[:1]
            context = Proxy(real.codec_context, is_hwaccel=True)
            context.__dict__["decode"] = lambda packet: self.decode(real.codec_context, packet)
            picture = Proxy(real, codec_context=context)

            def demux(streams):
                streams = streams if isinstance(streams, list) else [streams]
                return container.demux([real if stream is picture else stream for stream in streams])

            yield Proxy(container, streams=Streams(container.streams, changed=picture), demux=demux)

    def decode(self, context, packet):
        time.sleep(self.pause_seconds)
        frames = context.decode(packet)
        self.decoded += len(frames)
        if self.fail_at is not None and self.decoded >= self.fail_at:
            raise av.error.ExternalError(-542398533, "Generic error in an external library")
        frames = [frame.reformat(format="nv12") if frame.format.name.endswith("420p") else frame for frame in frames]
        return frames if self.change is None else [self.change(frame) for frame in frames]


def probe_picture():
    """The picture by which a GPU is tried, decoded here."""
    context = av.CodecContext.create("h264", "r")
    (frame,) = [*context.decode(av.Packet(nvdec._PROBE)), *context.decode(None)]
    return frame
