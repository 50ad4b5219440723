"""Embedding on a GPU asks it for nothing until the features are: shown without one, on fake tensors."""

from unittest import mock

import pytest
import torch

from dubcli.core.features import _window_and_filters
from dubcli.core.layout import Layout
from dubcli.core.models import DubModel
from dubcli.core.trained import TrainedModel
from dubcli.core.variants import parse_variant
from dubcli.embed import Embedder
from dubcli.embed.chunks import Chunk
from helpers.waits import CUDA, Waits, fake_cuda

CHUNKS = {
    "wave": lambda: torch.zeros(2, 144000),
    "mel": lambda: torch.zeros(2, 96, 280, dtype=torch.float16),
    "frames": lambda: torch.zeros(3, 16, 112, 112, dtype=torch.uint8),
}


class Stream:
    """One that has always done what it was given."""

    def record_event(self, event):
        return event


@pytest.fixture(autouse=True)
def _no_fake_tensors_left():
    yield
    _window_and_filters.cache_clear()


def on_fake_cuda():
    """An Embedder of a model whose weights are said to be on a GPU, in bf16."""
    variant = parse_variant("es", "en", ["en", "es"])
    with CUDA:
        model = DubModel(variant, "tiny").eval()
    trained = TrainedModel(
        model=model,
        variant=variant,
        preset="tiny",
        sample_rate=48000,
        mel_mean=-6.0,
        mel_std=5.5,
        config={},
        content_hash="0" * 64,
        name="fake",
    )
    embedder = Embedder(trained, device="cpu", precision="bf16")
    embedder.device = CUDA
    return embedder


@pytest.mark.parametrize("kind", CHUNKS)
def test_batch_is_computed_and_sent_back_without_a_wait(kind):
    empty, asked, waits = torch.empty, [], Waits()
    event = mock.Mock()
    with (
        fake_cuda(),
        # the backbone stays as it is: fake tensors cannot be moved
        mock.patch("dubcli.core.outputs.fold_backbone", lambda model, modality, _: getattr(model, modality)),
        mock.patch.object(torch.nn.Module, "to", lambda module, *_: module),
        mock.patch.object(Layout, "module", lambda layout, module: module),
        mock.patch.object(torch.cuda, "current_stream", return_value=Stream()),
        mock.patch.object(torch.cuda, "Event", return_value=event),
    ):

        def in_pinned_memory(*sizes, pin_memory=False, **options):
            made = empty(*sizes, **options)
            if pin_memory:
                asked.append(waits.pin(made))
            return made

        embedder = on_fake_cuda()
        chunks = [Chunk(kind, number, 0.0, 3.0, 0.0, CHUNKS[kind]()) for number in range(5)]
        with mock.patch.object(torch, "empty", in_pinned_memory):
            embedder.start(chunks, fill=True)  # the window and the filters of mels are made once
            with waits:
                pending = embedder.start(chunks, fill=True)
        assert waits.found == {}
        assert waits.copies == 2  # the batch, the features
        assert event.synchronize.call_count == 0
        assert pending.result().shape == (embedder.batch_size(kind), 1024)
        assert event.synchronize.call_count == 1
    assert [tensor.shape[0] for tensor in asked[-2:]] == [embedder.batch_size(kind)] * 2
