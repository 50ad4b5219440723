"""The numbers printed in the paper: tables 1, 2, D6 and B4, and the outside results of tables A1 to A3.

"Looking Similar, Sounding Different: Leveraging Counterfactual Cross-Modal Pairs for Audiovisual Representation
Learning" (CVPR 2024). Scores are shares; (mean, std over folds or None).
"""

from __future__ import annotations

VARIANTS = ("mono", "sep", "a", "es", "fr", "ja", "efj", "a-efj")
"""The paper's columns AV, SEP, A, +ES, +FR, +JA, +EFJ, A+EFJ under the names of this program."""

Score = tuple[float, float | None]

_TABLE_1 = """
esc50           | Snd/Scn | .527±.012 .570±.028 .220±.027 .580±.019 .575±.031 .590±.036 .587±.009 .550±.026
fsd50k          | Snd/Scn | .296 .307 .109 .317 .313 .311 .313 .277
tut18           | Snd/Scn | .853 .857 .682 .884 .881 .849 .867 .801
vocalimitation  | Snd/Scn | .042 .051 .022 .045 .047 .045 .050±.006 .055
vggsound        | Snd/Scn | .303 .287 - .323 .314 .314 .311 -
cremad          | NonSem  | .514±.012 .489±.009 .354±.022 .528±.009 .540 .520±.010 .548±.012 .530±.011
gtzan-music-speech           | NonSem  | .954±.054 .931±.099 .866±.119 .946±.082 .891±.142 .931±.092 .969±.054 .954±.054
libricount      | NonSem  | .654±.026 .608±.016 .505±.014 .671±.025 .706±.021 .681±.016 .676±.013 .678±.022
"""
_TABLE_2 = """
fluent-speech-commands | SemSp | .379 .400 .263 .391 .410 .402 .373 .368
speechcommands-5h | SemSp | .298 .372 .144 .362 .344 .325 .300 .231
speechcommands-full | SemSp | .471 .489 .162 .477 .537 .530 .491 .298
voxforge           | Lang  | .546 .516 .504 .580 .584 .592 .571 .543
voxlingua10        | Lang  | .251±.045 .226±.033 .111±.012 .229±.016 .237±.050 .246±.032 .227±.043 .201±.009
hmdb51             | Act   | .341 .319 - .330 .324 .322 .333 -
ucf101             | Act   | .531 .496 - .540 .523 .538 .542 -
"""


def _read(text: str) -> tuple[dict[str, str], dict[str, dict[str, Score]]]:
    kinds: dict[str, str] = {}
    scores: dict[str, dict[str, Score]] = {}
    for line in text.strip().splitlines():
        task, kind, cells = (part.strip() for part in line.split("|"))
        kinds[task] = kind
        scores[task] = {}
        for variant, cell in zip(VARIANTS, cells.split(), strict=True):
            if cell != "-":
                mean, _, std = cell.partition("±")
                scores[task][variant] = (float(mean), float(std) if std else None)
    return kinds, scores


KINDS_1, TABLE_1 = _read(_TABLE_1)
KINDS_2, TABLE_2 = _read(_TABLE_2)

MODALITY = {"vggsound": "AV", "hmdb51": "V", "ucf101": "V"}
"""Column M of tables 1 and 2 where it is not A."""

TABLE_D6: dict[str, tuple[float, float]] = {
    "random": (0.321, 0.270),
    "mono": (0.379, 0.285),
    "es": (0.391, 0.297),
    "ja": (0.410, 0.302),
    "fr": (0.402, 0.284),
    "efj": (0.373, 0.303),
    "sep": (0.400, 0.299),
}
"""Fluent Speech Commands: accuracy with speech, and with the speech removed from training and test."""

TABLE_B4: dict[tuple[str, ...], tuple[int, float]] = {
    ("en", "fr"): (1767, 3.1),
    ("en", "es"): (1356, 2.4),
    ("en", "ja"): (1020, 1.8),
    ("en", "es", "fr"): (1033, 1.8),
    ("en", "fr", "ja"): (882, 1.6),
    ("en", "es", "ja"): (770, 1.4),
    ("en", "es", "fr", "ja"): (748, 1.3),
}
"""Titles and thousands of video-hours."""

FIGURE_B1 = {"min_minutes": 6.0, "max_minutes": 208.43, "mean_minutes": 106.27, "std_minutes": 18.71}

TABLE_A1 = (
    ("The paper", 0.323, "X3D-M + Acoustic ResNet50"),
    ("UAVM", 0.658, "ConvNeXt + Transformer"),
    ("MBT (supervised pretraining)", 0.641, "MBT (Transformers)"),
    ("Zorro", 0.636, "Masked Transformer"),
    ("UMT (supervised pretraining)", 0.535, "ResNet18"),
    ("OGM-GE (supervised pretraining)", 0.506, "ResNet18"),
)
TABLE_A2 = (
    ("The paper", 0.884, "Acoustic ResNet50"),
    ("SF NFNet-F0", 0.968, "SlowFast NFNet-F0"),
    ("COLA", 0.940, "EfficientNet-B0"),
    ("SF ResNet50", 0.923, "SlowFast ResNet50"),
    ("Bidir-CPC", 0.909, "1D CNN"),
    ("PANNs-CNN14 (supervised pretraining)", 0.889, "Wavegram-Logmel-CNN"),
    ("BYOL-A", 0.763, "CNN"),
    ("Wav2Vec 2.0 (LS) (supervised pretraining)", 0.493, "Wav2Vec 2.0"),
)
A3_TASKS = {
    "CREMA-D": "cremad", "ESC-50": "esc50", "FSD50K": "fsd50k", "Mus/Sp": "gtzan-music-speech", "Count": "libricount",
    "VI": "vocalimitation",
}  # fmt: skip
"""Its columns and our names of the tasks."""
TABLE_A3 = (
    ("The paper", (0.548, 0.59, 0.317, 0.969, 0.706, 0.055), "Acoustic ResNet50 (Audio)"),
    ("Fuse Hubert", (0.752, 0.743, 0.413, 0.936, 0.683, 0.185), "HuBERT"),
    ("Fuse Cat H+w+C (time)", (0.743, 0.653, 0.374, 0.944, 0.659, 0.215), "HuBERT+Wav2Vec2+CREPE"),
    ("Fuse Cat H+w+C", (0.747, 0.734, 0.42, 0.928, 0.697, 0.197), "HuBERT+Wav2Vec2+CREPE"),
    ("Cat H+w+C", (0.639, 0.511, 0.314, 0.961, 0.639, 0.111), "HuBERT+Wav2Vec2+CREPE"),
    ("PaSST 2lvl+mel", (0.610, 0.947, 0.641, 0.977, 0.660, 0.182), "PaSST (Transformer)"),
)
