"""The recipe of docs/security.md: its commands make certificates with which its settings work."""

import re
import subprocess
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decoder_service.settings import DecoderSettings
from gateway.cli.plan import Plan
from gateway.settings import GatewaySettings
from protos.rpc.channel import open_channel
from protos.rpc.server import Server
from protos.rpc.tls import PeerTls, ServerTls
from tool_service.settings import ToolSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "security.md").read_text("utf-8")


def block(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, mark
    return found[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = subprocess.run(
        ["bash", "-eu", "-c", block("openssl")], capture_output=True, text=True, timeout=30, check=False
    )
    assert made.returncode == 0, made.stderr
    (tmp_path / "tls.toml").write_text(block("file: tls.toml"))
    return tmp_path


async def serves(shown: ServerTls, called: PeerTls) -> bool:
    """Whether a server that shows this serves a caller that shows and trusts that."""
    server = Server("127.0.0.1:0", lambda _: None, [], tls=shown)
    await server.start()
    await server.ready()
    try:
        async with open_channel(f"localhost:{server.port}", called) as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
    except grpc.aio.AioRpcError:
        return False
    finally:
        await server.stop(0)


async def test_the_certificates_of_the_recipe_are_what_its_settings_need(folder: Path) -> None:
    given = ["--config", "tls.toml"]
    gateway, decoder, tools = (kind.load(given) for kind in (GatewaySettings, DecoderSettings, ToolSettings))
    caller = PeerTls(ca="ca.pem", cert="caller.pem", key="caller.key")
    assert await serves(tools.tls, decoder.peer_tls)
    assert await serves(tools.tls, gateway.peer_tls)
    assert await serves(decoder.tls, gateway.peer_tls)
    assert await serves(gateway.tls, caller)
    assert not await serves(gateway.tls, PeerTls(ca="ca.pem"))
    assert all(service.tls.ca for service in Plan({}, "tls.toml", {}).services())
