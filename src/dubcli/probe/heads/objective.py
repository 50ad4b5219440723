"""Losses, probabilities and validation scores of many heads at once, by the kind of problem."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dubcli.probe.problem import Problem


class Objective:
    """Cross-entropy for multiclass, its sum over outputs for multioutput, binary cross-entropy for multilabel."""

    def __init__(self, problem: Problem) -> None:
        self._kind = problem.kind
        self._metric = problem.metrics[0]
        several = problem.kind == "multioutput"
        self._widths = [len(names) for names in problem.classes] if several else [len(problem.classes)]
        self.outputs = sum(self._widths)

    def targets(self, labels: Tensor) -> Tensor:
        """Labels as the loss wants them: (rows, outputs of the problem) int64, or (rows, classes) 0 and 1."""
        return labels if labels.ndim == 2 else labels[:, None]  # reshape(len, -1) cannot divide no rows

    def gradient(self, logits: Tensor, targets: Sequence[tuple[int, int, Tensor]]) -> Tensor:
        """Of the mean loss of each head by its logits (heads, batch, outputs); the logits are overwritten.

        ``targets``: (first head, one past the last, targets) of the heads that see the same rows.
        """
        rows = logits.shape[1]
        if self._kind == "multilabel":
            logits.sigmoid_()
            for first, stop, wanted in targets:
                logits[first:stop] -= wanted
            return logits.mul_(1 / (rows * self.outputs))
        for number, part in enumerate(torch.split(logits, self._widths, dim=2)):
            if len(self._widths) == 1:
                torch.softmax(logits, dim=2, out=logits)
            else:
                part.copy_(part.softmax(dim=2))
            for first, stop, wanted in targets:
                index = wanted[:, number].expand(stop - first, rows)[:, :, None]
                part[first:stop].scatter_add_(2, index, torch.full_like(index, -1, dtype=part.dtype))
        return logits.mul_(1 / rows)

    def probabilities(self, logits: Tensor) -> list[Tensor]:
        """(..., classes) per output: softmax, or sigmoid where labels do not exclude each other."""
        if self._kind == "multilabel":
            return [logits.sigmoid()]
        return [part.softmax(dim=-1) for part in torch.split(logits, self._widths, dim=-1)]

    def scores(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The deciding metric of each head, (heads,) float64, from logits (heads, rows, outputs)."""
        if self._metric == "mAP":
            one_hot = targets.bool()
            if self._kind != "multilabel":
                one_hot = torch.nn.functional.one_hot(targets[:, 0], self.outputs).bool()
            return torch.stack([average_precision_on_device(one_hot, head) for head in self.probabilities(logits)[0]])
        # the best class has the largest logit: no need of probabilities
        best = [part.argmax(dim=2) for part in torch.split(logits, self._widths, dim=2)]
        if self._kind == "multilabel":
            return targets.double().gather(1, best[0].T).mean(dim=0)
        return (torch.stack(best, dim=2) == targets).all(dim=2).double().mean(dim=1)


def average_precision_on_device(labels: Tensor, scores: Tensor) -> Tensor:
    """``core.answers.mean_average_precision`` where the scores are. ``labels``: bool; both (rows, classes).

    The rule stands twice, and a test holds both against scikit-learn, for two reasons. ``core.answers`` serves report
    and compare, which load no torch and count drawn clips, a class at a time: 0.07 s a head for FSD50K's validation
    set. This one is called hundreds of times for each of eight heads in training: all classes at once, and a GPU's
    scores stay there.
    """
    there = labels.any(dim=0)
    order = scores[:, there].sort(dim=0, descending=True)
    hits = labels[:, there].gather(0, order.indices).double()
    found = hits.cumsum(dim=0)
    rows = torch.arange(1, len(scores) + 1, device=scores.device, dtype=torch.float64)[:, None]
    # a row that is followed by one of the same score takes the precision at the last of them
    last = torch.ones_like(hits, dtype=torch.bool)
    last[:-1] = order.values[:-1] != order.values[1:]
    precision = torch.where(last, found / rows, torch.inf)
    ends = torch.where(last, rows.expand_as(hits), torch.inf).flip(0).cummin(dim=0).values.flip(0).long() - 1
    return ((precision.gather(0, ends) * hits).sum(dim=0) / hits.sum(dim=0)).mean()
