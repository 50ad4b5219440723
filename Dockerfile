# PyTorch's image with CUDA 13.0: the newest that a release of torchaudio works with (see pyproject.toml).
ARG BASE=pytorch/pytorch:2.14.1-cuda13.0-cudnn9-runtime
FROM ${BASE}

WORKDIR /opt/dubav
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
# the package itself, from this folder: no version of it to pin
# hadolint ignore=DL3013
RUN pip install --no-cache-dir '.[demo,cluster]'

WORKDIR /data
ENTRYPOINT ["dubav"]
CMD ["--help"]
