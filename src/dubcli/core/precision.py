"""Matrix products in whole float32 where the program around them has chosen less, or in less where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute as written inside the block: no autocast, and no TF32 or bfloat16 inside float32 matrix products.

    The loss and the mels need it: an error of 1e-3 in a cosine is one of 1e-2 in a logit at temperature 0.1.
    """
    try:
        chosen = torch.get_float32_matmul_precision()
    except RuntimeError:  # the program uses torch's newer per-backend settings, which this one may not be mixed with
        chosen = "highest"
    if chosen != "highest":
        torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if chosen != "highest":
            torch.set_float32_matmul_precision(chosen)


@contextmanager
def fast_products() -> Iterator[None]:
    """float32 matrix products rounded inside to bfloat16 (CPUs that have it) or TF32 (CUDA), sums in float32."""
    backends: tuple[tuple[Any, str], ...] = (
        (torch.backends.mkldnn.matmul, "bf16"),  # type: ignore[attr-defined]
        (torch.backends.cuda.matmul, "tf32"),
    )
    before = [backend.fp32_precision for backend, _ in backends]
    for backend, fast in backends:
        backend.fp32_precision = fast
    try:
        yield
    finally:
        for (backend, _), value in zip(backends, before, strict=True):
            backend.fp32_precision = value
