"""How often what belongs together is nearest to each other."""

from __future__ import annotations

import torch
from torch import Tensor

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
