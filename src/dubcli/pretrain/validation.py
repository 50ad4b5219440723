"""What the held-out films say: loss, cross-modal retrieval per track, and how near dubs lie to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dubcli.core import distributed
from dubcli.core.loss import nt_xent
from dubcli.core.models import DubModel
from dubcli.core.retrieval import retrieval
from dubcli.core.tracks import Track
from dubcli.core.transforms import eval_video
from dubcli.core.variants import Variant
from dubcli.jobs.ahead import ahead
from dubcli.pretrain.loader import ClipDataset
from dubcli.pretrain.step import Stepper


def alignment(primary: Tensor, dub: Tensor) -> dict[str, float]:
    """Mean cosine of the primary's and the dub's embedding of a clip, and of it with other clips' dubs.

    primary, dub: (n, dim) unit vectors.
    """
    same = float((primary * dub).sum(dim=1).mean())
    n = len(primary)
    everything = float((primary.sum(dim=0) * dub.sum(dim=0)).sum())
    return {"same": same, "others": (everything - n * same) / (n * (n - 1)) if n > 1 else float("nan")}


@dataclass(frozen=True)
class HeldOut:
    """At most ``clips`` of the held-out films' clips, decoded ahead by ``threads``.

    ``bad``: is told this rank's clips that did not decode and were replaced.
    """

    dataset: ClipDataset
    clips: int
    threads: int = 0
    bad: list[str] = field(default_factory=list)


def validate(
    stepper: Stepper, model: DubModel, held_out: HeldOut, stopped: Callable[[], bool] = lambda: False
) -> dict[str, float] | None:
    """Metrics by name (``val/...``) over the held-out clips. All ranks work on their share.

    ``stopped`` is asked before each batch, equally often on all ranks; where it says so, to all of them, there are no
    metrics: None.
    """
    part, variant, config = held_out.dataset.part, stepper.variant, stepper.config
    chosen = np.unique(np.linspace(0, part.clips - 1, min(part.clips, held_out.clips)).round().astype(int))
    mine = chosen[distributed.rank() :: distributed.world_size()]
    size, most = config.optimisation.batch_size, -(-len(chosen) // distributed.world_size())
    batches = [[int(clip) for clip in mine[start : start + size]] for start in range(0, most, size)]
    found = _embed(stepper, model, held_out, batches, stopped)
    if found is None:
        return None
    gathered = {name: _gather_rows(rows, len(chosen)) for name, rows in found.items()}
    unit = {name: torch.nn.functional.normalize(rows.float(), dim=1) for name, rows in gathered.items()}
    metrics: dict[str, float] = {}
    for pair in contrasts(variant):
        anchor, rows = unit[pair.anchor], unit[pair.other]
        for direction, (queries, targets) in {
            f"{pair.anchor_head}->audio": (anchor, rows),
            f"audio->{pair.anchor_head}": (rows, anchor),
        }.items():
            for metric, value in retrieval(queries, targets).items():
                metrics[f"val/{direction}/{pair.label}/{metric}"] = value
        losses = [
            nt_xent(a, b, config.loss.temperature, config.loss.negatives)
            for a, b in zip(torch.split(anchor, size), torch.split(rows, size), strict=True)
            if len(a) > 1
        ]
        if losses:
            metrics[f"val/loss/{pair.label}"] = float(torch.stack(losses).mean())
    primary = unit[f"feature/{variant.primary}"]
    for track in variant.tracks[1:]:
        for name, value in alignment(primary, unit[f"feature/{track}"]).items():
            metrics[f"val/alignment/{track}/{name}"] = value
    return metrics


@dataclass(frozen=True)
class Contrast:
    """A term of the loss with one of its tracks: which rows against which, and how the metrics name it."""

    anchor: str
    other: str
    anchor_head: str
    label: str


def contrasts(variant: Variant) -> list[Contrast]:
    """All that a variant contrasts, each with a label of its own: the track's name, with the head where a second head
    is given the same track (``en-secondary``), with both where rows stand in two terms."""
    found: list[Contrast] = []
    for term in variant.terms:
        first, second = sorted(term, key=variant.heads.index)
        for anchor, _ in _rows_of(variant, first):
            for other, track in _rows_of(variant, second):
                taken = {pair.label for pair in found}
                labels = [track, f"{track}-{second}", f"{track}-{first}-{second}", f"{track}-{anchor}-{second}"]
                if any(pair.other == other for pair in found):  # these rows, against another head
                    del labels[1]
                found.append(Contrast(anchor, other, first, next(name for name in labels if name not in taken)))
    return found


def _rows_of(variant: Variant, head: str) -> list[tuple[str, str]]:
    """Names of a head's rows, one per track, and of the track."""
    if head == "video":
        return [("video", "")]
    return [(f"{head}/{track}", track.name) for track in variant.view(head).tracks]


def _embed(
    stepper: Stepper,
    model: DubModel,
    held_out: HeldOut,
    batches: list[list[int]],
    stopped: Callable[[], bool],
) -> dict[str, Tensor] | None:
    """Projections by ``video``, ``primary/<track>``, ``secondary/<track>``, and features ``feature/<track>``."""
    variant, dataset = stepper.variant, held_out.dataset

    def load(batch: list[int]) -> tuple[list[Tensor], dict[Track, Tensor], list[str]]:
        replaced: list[str] = []
        if not batch:  # the other ranks have one more
            return [], {}, []
        return *dataset.eval_batch(batch, variant.tracks, replaced), replaced

    sounds = [view for view in variant.views if view.head != "video"]
    found: dict[str, list[Tensor]] = {name: [] for view in variant.views for name, _ in _rows_of(variant, view.head)}
    found |= {f"feature/{track}": [] for track in variant.tracks}
    was_training = model.training
    model.eval()
    with torch.no_grad(), stepper.autocast():
        for frames, mels, replaced in ahead(load, batches, held_out.threads):
            if stopped():
                model.train(was_training)
                return None
            held_out.bad.extend(replaced)
            if frames:
                # here and not ahead: it takes all cores by itself
                video = torch.stack([eval_video(frame, dataset.sizes) for frame in frames])
                found["video"].append(model.heads["video"](model.embed_video(stepper.pixels(video))))
            for track, mel in mels.items():
                features = model.embed_audio(stepper.mels(mel))
                found[f"feature/{track}"].append(features)
                for view in sounds:
                    if track in view.tracks:
                        found[f"{view.head}/{track}"].append(model.heads[view.head](features))
    model.train(was_training)
    width = model.feature_sizes["audio"]
    return {
        name: torch.cat(rows).float()
        if rows
        else torch.zeros(0, width if name.startswith("feature/") else model.projection.size, device=stepper.device)
        for name, rows in found.items()
    }


def _gather_rows(rows: Tensor, total: int) -> Tensor:
    """All ranks' rows in the order of the clips: rank r has every world_size-th from the r-th on."""
    world = distributed.world_size()
    most = -(-total // world)
    padded = torch.zeros(most, rows.shape[1], device=rows.device)
    padded[: len(rows)] = rows
    everyone = distributed.gather(padded).reshape(world, most, -1)
    return everyone.transpose(0, 1).reshape(world * most, -1)[:total]
