# The gateway, gRPC on 50051 and HTTP on 8080: protos/ and gateway/; no torch.
# Build from the root of the repository: docker build --file docker/gateway.Dockerfile .
# PIP_EXTRA: more arguments for pip, such as another index.
#
# It listens on every interface, so it starts only with API keys (CONVEYOR_GATEWAY_KEYS_FILE, a file in a folder that is
# mounted: a mount of the file alone would go on showing keys that were revoked) or with
# CONVEYOR_GATEWAY_ALLOW_ANYONE=true, as in docker-compose.yml, which publishes it on 127.0.0.1 alone.

FROM python:3.11-slim-bookworm AS requirements
WORKDIR /build
COPY pyproject.toml ./
COPY scripts/requirements.py scripts/
RUN python scripts/requirements.py gateway > requirements.txt

# Made anew only where the list or the lock changes: never for code, nor for the rest of pyproject.toml.
FROM python:3.11-slim-bookworm AS dependencies
ARG PIP_EXTRA=""
WORKDIR /build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements/lock.txt ./
COPY --from=requirements /build/requirements.txt ./
RUN pip install --no-cache-dir ${PIP_EXTRA} -c lock.txt -r requirements.txt

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /tmp conveyor
COPY --from=dependencies /opt/venv /opt/venv
WORKDIR /app
COPY protos protos
COPY gateway gateway
RUN python -m compileall -q .
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp \
    CONVEYOR_GATEWAY_ADDRESS=0.0.0.0:50051 \
    CONVEYOR_GATEWAY_HTTP_ADDRESS=0.0.0.0:8080 \
    CONVEYOR_GATEWAY_DECODER_ADDRESS=decoder:50052 \
    CONVEYOR_GATEWAY_TOOLS_ADDRESS=tools:50053
USER conveyor
EXPOSE 50051 8080
HEALTHCHECK --interval=5s --timeout=5s --retries=3 --start-period=30s \
    CMD ["python", "-m", "protos.rpc.probe", "127.0.0.1:50051"]
CMD ["python", "-m", "gateway"]
