"""What the held-out films say: loss, cross-modal retrieval per language, and how near dubs lie to each other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dubcli.core import distributed
from dubcli.core.loss import nt_xent
from dubcli.core.models import PROJECTION, DubModel
from dubcli.core.transforms import eval_video
from dubcli.jobs.ahead import ahead
from dubcli.pretrain.loader import ClipDataset
from dubcli.pretrain.step import Stepper

_RANKS_AT_ONCE = 1024


def retrieval(queries: Tensor, targets: Tensor) -> dict[str, float]:
    """R@1, R@5, R@10 (shares) and the median rank (1 is best) of each query's own target among all targets.

    queries, targets: (n, dim) unit vectors, pairs in the same rows. Ties count half, so that a model that gives all
    the same vector scores as chance. Computed in blocks of rows.
    """
    ranks = []
    for start in range(0, len(queries), _RANKS_AT_ONCE):
        scores = queries[start : start + _RANKS_AT_ONCE] @ targets.T
        own = scores.gather(1, torch.arange(start, start + len(scores), device=scores.device)[:, None])
        above = (scores > own).sum(dim=1).double()
        equal = (scores == own).sum(dim=1).double() - 1
        ranks.append(1 + above + equal / 2)
    rank = torch.cat(ranks)
    return {f"r@{k}": float((rank <= k).double().mean()) for k in (1, 5, 10)} | {"median_rank": float(rank.median())}


def alignment(primary: Tensor, dub: Tensor) -> dict[str, float]:
    """Mean cosine of the primary's and the dub's embedding of a clip, and of it with other clips' dubs.

    primary, dub: (n, dim) unit vectors.
    """
    same = float((primary * dub).sum(dim=1).mean())
    n = len(primary)
    everything = float((primary.sum(dim=0) * dub.sum(dim=0)).sum())
    return {"same": same, "others": (everything - n * same) / (n * (n - 1)) if n > 1 else float("nan")}


def validate(
    stepper: Stepper,
    model: DubModel,
    dataset: ClipDataset,
    clips: int,
    bad: list[str] | None = None,
    threads: int = 0,
) -> dict[str, float]:
    """Metrics by name (``val/...``) over at most ``clips`` held-out clips. All ranks work on their share.

    Clips of this rank that did not decode and were replaced are named in ``bad``. ``threads`` decode ahead.
    """
    part, variant, config = dataset.part, stepper.variant, stepper.config
    chosen = np.unique(np.linspace(0, part.clips - 1, min(part.clips, clips)).round().astype(int))
    languages = list(dict.fromkeys((variant.primary, *variant.languages)))
    mine = chosen[distributed.rank() :: distributed.world_size()]
    found = _embed(
        stepper, model, dataset, [int(clip) for clip in mine], languages, [] if bad is None else bad, threads
    )
    gathered = {name: _gather_rows(rows, len(chosen)) for name, rows in found.items()}
    unit = {name: torch.nn.functional.normalize(rows.float(), dim=1) for name, rows in gathered.items()}
    metrics: dict[str, float] = {}
    anchor = "video" if variant.uses_video else f"primary/{variant.primary}"
    for name, rows in unit.items():
        if name.startswith("feature/") or name == anchor:
            continue
        language = name.split("/")[1]
        key = language if name.startswith("secondary/") or variant.uses_video else f"{language}-self"
        for direction, (queries, targets) in {
            f"{anchor.split('/')[0]}->audio": (unit[anchor], rows),
            f"audio->{anchor.split('/')[0]}": (rows, unit[anchor]),
        }.items():
            for metric, value in retrieval(queries, targets).items():
                metrics[f"val/{direction}/{key}/{metric}"] = value
        size = config.batch_size
        losses = [
            nt_xent(a, b, config.temperature, config.negatives)  # type: ignore[arg-type]
            for a, b in zip(torch.split(unit[anchor], size), torch.split(rows, size), strict=True)
            if len(a) > 1
        ]
        if losses:
            metrics[f"val/loss/{key}"] = float(torch.stack(losses).mean())
    primary = unit[f"feature/{variant.primary}"]
    for language in languages[1:]:
        for name, value in alignment(primary, unit[f"feature/{language}"]).items():
            metrics[f"val/alignment/{language}/{name}"] = value
    return metrics


def _embed(
    stepper: Stepper,
    model: DubModel,
    dataset: ClipDataset,
    clips: list[int],
    languages: list[str],
    bad: list[str],
    threads: int,
) -> dict[str, Tensor]:
    """Projections by ``video``, ``primary/<lang>``, ``secondary/<lang>``, and backbone features ``feature/<lang>``."""

    def load(batch: list[int]) -> tuple[list[Tensor], dict[str, Tensor], list[str]]:
        replaced: list[str] = []
        return *dataset.eval_batch(batch, languages, replaced), replaced

    found: dict[str, list[Tensor]] = {}
    was_training = model.training
    model.eval()
    with torch.no_grad(), stepper.autocast():
        size = stepper.config.batch_size
        batches = [clips[start : start + size] for start in range(0, len(clips), size)]
        for frames, mels, replaced in ahead(load, batches, threads):
            bad += replaced
            if frames:
                # here and not ahead: it takes all cores by itself
                video = torch.stack([eval_video(frame, dataset.sizes) for frame in frames])
                _append(found, "video", model.heads["video"](model.embed_video(stepper.pixels(video))))
            for language, mel in mels.items():
                features = model.embed_audio(stepper.mels(mel))
                _append(found, f"feature/{language}", features)
                head = "primary" if language == languages[0] else "secondary"
                _append(found, f"{head}/{language}", model.heads[head](features))
                if not stepper.variant.uses_video and language == languages[0] and len(languages) == 1:
                    _append(found, f"secondary/{language}", model.heads["secondary"](features))
    model.train(was_training)
    width = model.feature_sizes["audio"]
    return {
        name: torch.cat(found[name]).float()
        if name in found
        else torch.zeros(0, width if name.startswith("feature/") else PROJECTION, device=stepper.device)
        for name in _names(stepper, languages)
    }


def _names(stepper: Stepper, languages: list[str]) -> list[str]:
    names = ["video"] if stepper.variant.uses_video else []
    for language in languages:
        names += [f"feature/{language}", f"{'primary' if language == languages[0] else 'secondary'}/{language}"]
    if not stepper.variant.uses_video and len(languages) == 1:
        names.append(f"secondary/{languages[0]}")
    return names


def _append(found: dict[str, list[Tensor]], name: str, rows: Tensor) -> None:
    found.setdefault(name, []).append(rows)


def _gather_rows(rows: Tensor, total: int) -> Tensor:
    """All ranks' rows in the order of the clips: rank r has every world_size-th from the r-th on."""
    world = distributed.world_size()
    most = -(-total // world)
    padded = torch.zeros(most, rows.shape[1], device=rows.device)
    padded[: len(rows)] = rows
    everyone = distributed.gather(padded).reshape(world, most, -1)
    return everyone.transpose(0, 1).reshape(world * most, -1)[:total]
