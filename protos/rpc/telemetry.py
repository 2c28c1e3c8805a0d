"""Logs and metrics, the same in every service."""

import logging
import sys
from wsgiref.simple_server import WSGIServer

import prometheus_client
import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector


def configure_logs(service: str, level: str) -> None:
    """One JSON object a line on standard error, with the service's name and the request's id. No prompts or results."""

    def name_service(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, **event}

    structlog.configure(
        processors=[
            name_service,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def new_registry() -> CollectorRegistry:
    """A registry of one service's metrics, with the usual ones of the process in it.

    When each series began is not said (`_created`): Prometheus would keep as many series more, and reads none of them.
    """
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def serve_metrics(address: str, registry: CollectorRegistry) -> WSGIServer | None:
    """Serves Prometheus' text format on `http://address/metrics` from a thread of its own; an empty address switches it
    off."""
    if not address:
        return None
    host, _, port = address.rpartition(":")
    try:
        server, _ = prometheus_client.start_http_server(int(port), host, registry)
    except OSError as error:
        raise OSError(f"cannot serve metrics on {address}: {error.strerror}") from error
    return server
