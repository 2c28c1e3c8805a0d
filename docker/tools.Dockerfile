# The tool service: protos/ and tool_service/; no torch.
# Build from the root of the repository: docker build --file docker/tools.Dockerfile .
# PIP_EXTRA: more arguments for pip, such as another index.

FROM python:3.11-slim-bookworm AS requirements
WORKDIR /build
COPY pyproject.toml ./
COPY scripts/requirements.py scripts/
RUN python scripts/requirements.py tools > requirements.txt

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
RUN useradd --uid 10001 --no-create-home --home-dir /tmp conveyor && install -d /docs \
    && install -d --owner conveyor --group conveyor --mode 0700 /state
COPY --from=dependencies /opt/venv /opt/venv
WORKDIR /app
COPY protos protos
COPY tool_service tool_service
RUN python -m compileall -q .
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp \
    CONVEYOR_TOOLS_ADDRESS=0.0.0.0:50053 \
    CONVEYOR_TOOLS_METRICS_ADDRESS=0.0.0.0:8082 \
    CONVEYOR_TOOLS_SEARCH_FOLDER=/docs \
    CONVEYOR_TOOLS_STATE_FOLDER=/state
# Which calls have acted: to be kept when the container is replaced.
VOLUME /state
USER conveyor
EXPOSE 50053 8082
HEALTHCHECK --interval=5s --timeout=5s --retries=3 --start-period=30s \
    CMD ["python", "-m", "protos.rpc.probe", "127.0.0.1:50053"]
CMD ["python", "-m", "tool_service"]
