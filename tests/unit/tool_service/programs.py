"""Python programs, made up from a seed: valid, ending, and rich in what makes statements hard to tell apart."""

import sys
from collections.abc import Callable
from random import Random

NAMES = ["a", "b", "c", "größe", "elsewhere", "iffy", "match", "case", "asynchron"]
# PEP 701: strings of the same quotes, comments, backslashes and newlines inside of an f-string's fields.
NESTED = [
    "f'{'a'}'",
    "f'{f'{f'{a}'}'}'",
    "f'{'#'}{\"'\"}{'{'}'",
    "f'{a # )\n}'",
    "f'{'\\n'.join(['x'])}'",
    "f'''{'''a\nelse:\n'''}'''",
    "f'{a:{'>'}{5}}'",
]
BUILDERS: list[Callable[["ProgramWriter"], list[str]]] = []


def kind(build: Callable[["ProgramWriter"], list[str]]) -> Callable[["ProgramWriter"], list[str]]:
    """A kind of statement: gives its lines, without indentation."""
    BUILDERS.append(build)
    return build


class ProgramWriter:
    """Writes one program. Values are small whole numbers, strings and lists; some names are never bound."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.depth = 0
        self.in_function = False
        self.in_loop = False
        self.count = 0

    def program(self) -> str:
        """A whole program."""
        text = "" if self.chance(0.2) else f"{' = '.join(NAMES)} = 3\n"
        for _ in range(self.random.randint(1, 7)):
            text += self.gap() + "".join(f"{line}\n" for line in self.statement())
        text += self.random.choice(["", "", "\n", "# the end", "   \n\n"])
        if self.chance(0.3):
            text = text.removesuffix("\n")
        return self.line_ends(text)

    def chance(self, share: float) -> bool:
        """True so often."""
        return self.random.random() < share

    def name(self) -> str:
        """A variable."""
        return self.random.choice(NAMES)

    def fresh(self, stem: str) -> str:
        """A name that no other part of the program binds."""
        self.count += 1
        return f"{stem}{self.count}"

    def number(self) -> str:
        """An expression."""
        return self.random.choice(
            [
                lambda: str(self.random.randint(0, 9)),
                self.name,
                lambda: f"({self.name()} + {self.random.randint(1, 5)})",
                lambda: f"{self.name()} // {self.random.choice(['2', self.name()])}",
                lambda: f"len({self.string()})",
                lambda: f"[1, 2,\n{self.random.choice(['', '  ', chr(9)])}3][{self.random.randint(0, 3)}]",
                lambda: "{'a': 1, # ' \" (\n'else': 2}['else']",
                lambda: f"(lambda x: x + {self.random.randint(0, 3)})({self.name()})",
                lambda: f"sum(x for x in range({self.random.randint(0, 4)}) if x)",
                lambda: "(n := 2)",
                lambda: f"1 + \\\n{self.random.choice(['', '    '])}{self.random.randint(0, 9)}",
            ]
        )()

    def string(self) -> str:
        """A string, on one line or on several."""
        return self.random.choice(
            [
                "'a # b'",
                '"it\'s"',
                "''",
                '""',
                r"'\'\\'",
                r'"\"else:\""',
                r"r'\''",
                "rb'x'.decode()",
                "u'(['",
                "'a\\\n  b'",
                "'''one\nelse:\n  'two' ''two'' \n'''",
                '"""def f():\n\n    pass\n"""',
                '"""\\""" \'\'\' """',
                "'''# no comment ( [ {\n'''",
                "'x' 'y' \"z\"",
                "('x'\n'y')",
                "f'{a}'",
                "f'{{}} {a!r:>{4}} }}'",
                "f\"{f'{b}'}{a:{c}}\"",
                "F'{a:%<5}{[1, 2][0]}{(lambda: 3)()}'",
                "rf'\\{a}\\d{{'",
                "fR'''{\na\n}'''",
                'f"""{a}\nelse:\n{\'x\'}"""',
                "f'{a=}'",
                "f'\\N{EM DASH} {a} \\N{GREEK SMALL LETTER ALPHA}'",
                "f'\\'{a}\\''",
                "f''",
                'f"{{"',
                "f'{ {1: 2}[1] }'",
                *(NESTED if sys.version_info >= (3, 12) else []),
            ]
        )

    def line_ends(self, text: str) -> str:
        """Line ends of other systems, at times."""
        ends = self.random.choices(["\n", "\r\n", "\r"], [8, 1, 1])[0]
        return text.replace("\n", ends)

    def gap(self) -> str:
        """What may stand between two statements."""
        return self.random.choice(
            [
                "",
                "",
                "",
                "\n",
                "\n\n",
                "# comment: '\n",
                "    # indented (\n",
                "   \n",
                "\t\n",
                "\f",
                "\f\n",
                "#\n# else:\n",
            ]
        )

    def comment(self) -> str:
        """What may stand behind a statement."""
        return self.random.choice(["", "", "", "  # why: (", " ", " # '''", ";"])

    def statement(self) -> list[str]:
        """A statement's logical lines."""
        return self.random.choice(BUILDERS if self.depth < 3 else SIMPLE)(self)

    def block(self, head: str, **state: bool) -> list[str]:
        """A head and its block."""
        before = self.depth, self.in_loop, self.in_function
        self.depth += 1
        for name, value in state.items():
            setattr(self, name, value)
        lines = self._one_line(head) if self.chance(0.15) else self._many_lines(head)
        self.depth, self.in_loop, self.in_function = before
        return lines

    def _one_line(self, head: str) -> list[str]:
        parts = [self.random.choice(ONE_LINERS)(self)[0] for _ in range(self.random.randint(1, 2))]
        return [f"{head}{self.random.choice(['', ' '])}{'; '.join(parts)}"]

    def _many_lines(self, head: str) -> list[str]:
        margin = self.random.choice(["    ", "  ", "\t", " "])
        lines = [head + self.random.choice(["", "  # then", " "])]
        if self.chance(0.1):
            lines += ["", "# at column 0", f"{margin}# why"]
        for _ in range(self.random.randint(1, 3)):
            lines += [self._gap_in_block(margin)] if self.chance(0.2) else []
            lines += [margin + line for line in self.statement()]
        return lines

    def _gap_in_block(self, margin: str) -> str:
        return self.random.choice(["", f"{margin}# inside", "# at column 0: (", "   ", "\t\t"])


@kind
def assignment(w: ProgramWriter) -> list[str]:
    return [f"{w.name()} = {w.number()}{w.comment()}"]


@kind
def text(w: ProgramWriter) -> list[str]:
    return [f"{w.name()} = len({w.string()}){w.comment()}"]


@kind
def printing(w: ProgramWriter) -> list[str]:
    return [f"print({w.number()}, {w.string()}){w.comment()}"]


@kind
def many_lines(w: ProgramWriter) -> list[str]:
    return ["print(", f"{w.number()},", "", "# in brackets )", f"  {w.string()}", ")"]


@kind
def expression(w: ProgramWriter) -> list[str]:
    return [w.random.choice([w.string(), w.number()])]


@kind
def augmented(w: ProgramWriter) -> list[str]:
    return [f"{w.name()} {w.random.choice(['+=', '-=', '*=', '//='])} {w.number()}"]


@kind
def annotated(w: ProgramWriter) -> list[str]:
    return [w.random.choice([f"{w.name()}: int = {w.number()}", f"{w.fresh('t')}: 'int'"])]


@kind
def unpacking(w: ProgramWriter) -> list[str]:
    return [f"{w.name()}, *{w.fresh('rest')} = {w.number()}, {w.number()}, 3"]


@kind
def several(w: ProgramWriter) -> list[str]:
    return [f"{w.name()} = {w.random.randint(0, 9)}; print({w.name()}); pass"]


@kind
def deletion(w: ProgramWriter) -> list[str]:
    return [f"del {w.name()}"]


@kind
def failure(w: ProgramWriter) -> list[str]:
    return [
        w.random.choice(
            [
                "assert a, 'why: not'",
                "raise ValueError('x:')",
                f"{w.name()} // 0",
                "import math, json as j",
                "from os import path as p",
                "nothing_of_this_name",
                "{}['missing']",
            ]
        )
    ]


@kind
def slices(w: ProgramWriter) -> list[str]:
    return [f"print([1, 2, 3][{w.random.randint(0, 2)}:])", f"print({{'a': {w.number()}}})"]


SIMPLE = list(BUILDERS)
ONE_LINERS = [augmented, deletion, failure, slices]


@kind
def condition(w: ProgramWriter) -> list[str]:
    lines = w.block(f"if {w.number()}:")
    if w.chance(0.4):
        lines += w.block(f"elif ({w.number()}\n):")
    return lines + (w.block("else:") if w.chance(0.5) else [])


@kind
def counting(w: ProgramWriter) -> list[str]:
    lines = w.block(f"for {w.fresh('i')} in range({w.random.randint(0, 3)}):", in_loop=True)
    return lines + (w.block("else :") if w.chance(0.3) else [])


@kind
def waiting(w: ProgramWriter) -> list[str]:
    name = w.fresh("w")
    return [
        f"{name} = {w.random.randint(0, 2)}",
        *w.block(f"while {name} and ({name} := {name} - 1) + 1:", in_loop=True),
    ]


@kind
def leaving(w: ProgramWriter) -> list[str]:
    if w.in_loop:
        return [w.random.choice(["break", "continue"])]
    return ["return 1, \\\n2"] if w.in_function else ["pass"]


@kind
def trying(w: ProgramWriter) -> list[str]:
    lines = w.block("try:")
    if w.chance(0.8):
        lines += w.block(
            w.random.choice(["except (NameError, ZeroDivisionError) as error:", "except Exception:", "except:"])
        )
        lines += w.block("else:") if w.chance(0.4) else []
        return lines + (w.block("finally:") if w.chance(0.4) else [])
    return lines + w.block("finally:")


@kind
def resource(w: ProgramWriter) -> list[str]:
    return [
        "import contextlib",
        *w.block("with contextlib.suppress(NameError), \\\n     contextlib.nullcontext(1) as cm:"),
    ]


@kind
def function(w: ProgramWriter) -> list[str]:
    name = w.fresh("f")
    head = w.random.choice([f"def {name}(x=1, *y):", f"def {name}(\nx: int = 1,\n# )\n) -> 'int':"])
    decorators = ["@(lambda f: f)", "# between", ""] if w.chance(0.3) else []
    calls = [f"print({name}(2))"] if w.chance(0.7) else []
    return [*decorators, *w.block(head, in_function=True, in_loop=False), *calls]


@kind
def coroutine(w: ProgramWriter) -> list[str]:
    name = w.fresh("co")
    body = w.block(f"async def {name}():", in_function=True, in_loop=False)
    return [*body, "try:", f"  {name}().send(None)", "except StopIteration as stop: print(stop.value)"]


@kind
def class_(w: ProgramWriter) -> list[str]:
    name = w.fresh("C")
    return [*w.block(f"class {name}:", in_function=False, in_loop=False), f"print({name}.__name__)"]


@kind
def matching(w: ProgramWriter) -> list[str]:
    lines = [f"match {w.number()}:"]
    for pattern in (w.random.choice(["1 | 2", "[1, *_]", "str()", "{'a': int(x)}"]), "_"):
        lines += [f"  {line}" for line in w.block(f"case {pattern}:")]
    return lines


def program(seed: int) -> str:
    """The program of this seed."""
    return ProgramWriter(seed).program()
