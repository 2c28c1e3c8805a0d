"""The tool service: text of a model in, events of its calls out, tools running in between.

    text ─▶ formats/ (sans-IO parser) ─▶ typed events ─▶ execution/ (one Runner a completion, one RunningCall a call) ─▶
    tools/

* `interface/`: what the author of a tool writes with.
* `formats/`: how models write calls; standard library only.
* `execution/`: runs calls in the four modes.
* `tools/`: the tools that come along.
"""

import os

# Tools start processes, long after gRPC has started threads. Its handlers around fork would run in the children, which
# do nothing but start a program, and abort there now and then. gRPC reads this when it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
