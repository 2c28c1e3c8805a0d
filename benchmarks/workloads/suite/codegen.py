"""CodeGen: the model writes a program that draws a figure and then works on a table."""

from dataclasses import replace

from benchmarks.workloads.workload import Workload

_PROGRAM = """\
The figure first, then the table.
```python
import numpy as np
import pandas as pd
import matplotlib.pyplot as plt
t = np.linspace(0, 10, 2000)
plt.plot(t, np.sin(t) + 0.3 * np.sin(5 * t))
plt.title("A signal over time")
plt.savefig("signal.png")
rng = np.random.default_rng(7)
sales = pd.DataFrame({"day": rng.integers(0, 365, 900_000), "shop": rng.integers(0, 50, 900_000)})
sales["amount"] = rng.gamma(2.0, 50.0, len(sales))
by_day = sales.groupby(["day", "shop"])["amount"].sum().unstack()
smooth = by_day.rolling(30).mean().dropna()
print(smooth.mean().nlargest(3).round(2).to_string())
print(round(smooth.std().mean(), 3))
```
"""

CODEGEN = Workload(
    name="codegen",
    title="CodeGen, fork server",
    origin="paper",
    call_format="code_block",
    tools=("python",),
    system="You write short, complete Python programs. Import what you use.",
    question="Plot a signal over ten seconds, then find the three shops with the best smoothed sales.",
    replay=(_PROGRAM,),
    real="a real interpreter, forked with numpy, pandas and matplotlib imported; 900,000 rows of random sales",
)

CODEGEN_COLD = replace(
    CODEGEN,
    name="codegen-cold",
    title="CodeGen, cold interpreter",
    real="the same, but nothing is imported before the program does it, as in the paper",
    settings={("tools", "python.preload"): ""},
)
