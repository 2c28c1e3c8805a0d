"""Whether this machine can decode, and how fast: `python -m decoder_service.checkup [--quick]`.

Looks at the kernels and the model; without `--quick` it then starts an engine as the service does, of the size that a
laptop has, and decodes with it.
"""

import argparse
import asyncio
import os
import shutil
import sys
import time

from decoder_service.engine.client import EngineClient, SequenceFailedError
from decoder_service.engine.hello import Hello
from decoder_service.engine.messages import Sampling, TurnSpec
from decoder_service.engine.process import EngineProcess, EngineStoppedError
from decoder_service.models import store
from decoder_service.models.catalogue import CATALOGUE, DEFAULT
from decoder_service.models.errors import ModelError
from decoder_service.settings import DecoderSettings
from decoder_service.text.template import ChatTemplate
from protos.rpc.checkup import Check, State, tell
from protos.rpc.settings import cache_folder

SEQUENCES, TOKENS, KV_CACHE_GIB = 8, 48, 0.25
SLOW = 15.0  # tokens a second for one who reads: less is felt at every word
MODEL_ROOM = 3  # times the download: it is converted beside itself
PROMPT = "Count from one to one hundred in words: one, two, three,"


def kernels() -> Check:
    """The lean forward pass has kernels for this processor, or can build them."""
    import torch

    from decoder_service.forward.architecture import NotLeanError
    from decoder_service.forward.kernels import levels, open_library

    if torch.cuda.is_available():
        return Check("device", State.OK, f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    found = f"{len(os.sched_getaffinity(0))} cores, torch {torch.__version__}"
    problem = "there are no kernels for this processor"
    for level in levels():
        try:
            open_library(level)
        except NotLeanError as error:
            problem = str(error)
        else:
            return Check("kernels", State.OK, f"{level}, {found}")
    remedy = "Install a C++ compiler (Debian: apt-get install g++); until then transformers' modules run the model."
    return Check("kernels", State.WARNING, f"{problem}; {found}", remedy)


def model(name: str = DEFAULT) -> Check:
    """The default model is here, or there is room for it."""
    about = store.about(name)
    if about is not None:
        return Check("model", State.OK, f"{name} in {store.folder_of(name)}, {store.disk_bytes(name) / 1e6:,.0f} MB")
    wanted, folder = CATALOGUE[name].bytes * MODEL_ROOM, cache_folder()
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    pull = f"`conveyor models pull {name}` fetches it, or the first start does."
    if free < wanted:
        found = f"{name} is not here, and {folder} has {free / 1e6:,.0f} MB free of the {wanted / 1e6:,.0f} it needs"
        return Check("model", State.FAILURE, found, "Make room, or name another folder with CONVEYOR_CACHE.")
    return Check("model", State.WARNING, f"{name} is not here yet", pull)


async def speed() -> Check:
    """An engine starts and decodes, alone and in a batch."""
    began = time.monotonic()
    process = await EngineProcess.start(DecoderSettings(kv_cache_gib=KV_CACHE_GIB, max_running=SEQUENCES))
    try:
        hello, engine = await process.loaded(SEQUENCES)
        loaded = time.monotonic() - began
        await _decoded(hello, engine, 1)  # what is compiled or read for the first time
        alone, together = [await _decoded(hello, engine, count) for count in (1, SEQUENCES)]
    except (ModelError, EngineStoppedError, SequenceFailedError, OSError) as error:
        return Check("engine", State.FAILURE, str(error), "The lines above, on standard error, say more.")
    finally:
        await process.stop()
    found = f"{alone:.0f} tokens/s alone, {together:.0f} with {SEQUENCES}; loaded in {loaded:.1f} s"
    if alone < SLOW:
        remedy = "Is something else running? decoder.threads sets the cores; docs/decoding.md says what costs what."
        return Check("engine", State.WARNING, found, remedy)
    return Check("engine", State.OK, found)


async def _decoded(hello: Hello, engine: EngineClient, count: int) -> float:
    """Tokens a second, over all sequences."""
    prompt = ChatTemplate(hello.text).encode(PROMPT)
    began = time.monotonic()
    await asyncio.gather(*(_one(engine, prompt) for _ in range(count)))
    return count * TOKENS / (time.monotonic() - began)


async def _one(engine: EngineClient, prompt: list[int]) -> None:
    """The same tokens for each, so that a model that ends early is not the faster one."""
    replay = tuple(prompt[number % len(prompt)] for number in range(TOKENS))
    handle = engine.begin(prompt, Sampling(), TurnSpec(max_tokens=TOKENS, replay=replay))
    try:
        async for _ in handle.turn():
            pass
    finally:
        engine.release(handle)


def main() -> int:
    """Tells each check."""
    parser = argparse.ArgumentParser(
        prog="python -m decoder_service.checkup", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="do not start an engine")
    options = parser.parse_args()
    tell(kernels())
    there = model()
    tell(there)
    if there.state is State.OK and not options.quick:
        tell(asyncio.run(speed()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
