"""CodeGen: the model writes a program that draws a figure and then works on a table."""

from dataclasses import replace

from benchmarks.workloads.workload import Workload

_PROGRAM = """\
```python
import numpy as np
import pandas as pd
import matplotlib.pyplot as plt
t = np.linspace(0, 10, 2000)
plt.plot(t, np.sin(t))
plt.title("A sine")
plt.show()
rng = np.random.default_rng(7)
sales = pd.DataFrame({"shop": rng.integers(0, 50, 4_000_000), "amount": rng.gamma(2.0, 50.0, 4_000_000)})
by_shop = sales.groupby("shop")["amount"].agg(["mean", "std"])
best = by_shop.nlargest(3, "mean")
print(best.round(2).to_string())
print("median shop:", round(by_shop["mean"].median(), 2))
```"""

CODEGEN = Workload(
    name="codegen",
    title="CodeGen, fork server",
    origin="paper",
    call_format="code_block",
    tools=("python",),
    system="You write short, complete Python programs. Import what you use.",
    question="Plot a sine over ten seconds, then find the three shops with the best sales among random ones.",
    replay=(_PROGRAM,),
    expects=("figure-1.png ", "median shop: 100.03"),
    real="a real interpreter, forked with numpy, pandas and matplotlib imported; 4 million rows of random sales",
)

CODEGEN_COLD = replace(
    CODEGEN,
    name="codegen-cold",
    title="CodeGen, cold interpreter",
    real="the same, but nothing is imported before the program does it, as in the paper",
    settings={("tools", "python.preload"): ""},
)
