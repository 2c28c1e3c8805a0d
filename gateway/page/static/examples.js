// Prompts to try. The first four are those of `conveyor demo`. Each has the text that the model is to say: the real
// model runs for each token of it, and so a small one does something worth seeing. Without it the model writes freely.

const PROGRAMMER = "You write short, complete Python programs. Import what you use.";

const program = (code) => `\`\`\`python\n${code}\n\`\`\`\n`;
const call = (name, parameters) => JSON.stringify({ name, parameters });

export const EXAMPLES = [
  {
    name: "Plot a sine wave",
    system: PROGRAMMER,
    prompt:
      "Plot a sine wave with matplotlib: import numpy as np, import matplotlib.pyplot as plt, " +
      "x = np.linspace(0, 10, 500), y = np.sin(x). Then save it with plt.savefig('sine.png').",
    tools: ["python"],
    format: "code_block",
    max_turns: 1,
    replay: [
      program(`import numpy as np
import matplotlib.pyplot as plt
x = np.linspace(0, 10, 500)
y = np.sin(x)
plt.figure(figsize=(6, 3))
plt.plot(x, y)
plt.title("A sine wave")
plt.savefig("sine.png")
print("from", y.min().round(3), "to", y.max().round(3))
plt.show()`),
    ],
  },
  {
    name: "One call",
    prompt: "What is 12*7?",
    tools: ["calculator"],
    format: "json",
    choice: "calculator",
    max_turns: 2,
    replay: [call("calculator", { expression: "12*7" }), "12 times 7 is 84."],
  },
  {
    name: "Two turns",
    system: PROGRAMMER,
    prompt: "Print the factorial of 20. Use math.factorial.",
    tools: ["python"],
    format: "code_block",
    max_turns: 2,
    replay: [program("import math\nprint(math.factorial(20))"), "The factorial of 20 is 2432902008176640000."],
  },
  {
    name: "Work to hide",
    system: PROGRAMMER,
    prompt: "Count primes, walk at random, and find the largest singular value of a random matrix.",
    tools: ["python"],
    format: "code_block",
    max_turns: 2,
    replay: [
      program(`import numpy as np
marks = np.ones(50_000_000, dtype=bool)
marks[:2] = False
for i in range(2, 7072):
    if marks[i]:
        marks[i * i :: i] = False
print("primes below 50 million:", marks.sum())
walks = np.random.default_rng(7).normal(size=(2000, 8000)).cumsum(axis=1)
print("furthest walk:", abs(walks).max().round(1))
matrix = np.random.default_rng(1).normal(size=(600, 600))
print("largest singular value:", np.linalg.svd(matrix, compute_uv=False)[0].round(2))
print("mean of the walks:", walks.mean().round(3))`),
      "There are 3001134 primes below 50 million. The walks and the matrix are random, and are told above.",
    ],
  },
  {
    name: "Several calls",
    prompt: "How long is a day in seconds, and a year, and what are the first ten squares?",
    tools: ["calculator", "python"],
    format: "json",
    max_turns: 2,
    replay: [
      [
        call("calculator", { expression: "24 * 60 * 60" }),
        call("calculator", { expression: "365 * 24 * 60 * 60" }),
        call("python", { code: "squares = [n * n for n in range(1, 11)]\nprint(squares)\nprint(sum(squares))" }),
      ].join("\n"),
      "A day has 86400 seconds and a year 31536000. The first ten squares add up to 385.",
    ],
  },
  {
    name: "A plan",
    prompt: "Plan it: 2 to the power of 10, a third of that, and the two together.",
    tools: ["plan", "calculator"],
    format: "plan",
    max_turns: 2,
    replay: [
      ">>>\n$1 = calculator(2 ** 10)\n$2 = calculator($1 / 3)\n$3 = calculator($1 + $2)\n<<<",
      "That is 1024, 341.33 and 1365.33.",
    ],
  },
];
