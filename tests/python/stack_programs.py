"""Generates Python programs whose legal stacks are known, and tells whether a stack is one of them.

A program is a tree of functions: nearly every function has one call site of its own, so a stack put together from two
moments names a callee that its caller's line does not call. Children are reached by every means Python has: plain and
recursive calls, generators, delegation, coroutines, comprehensions, callbacks from C, exceptions, context managers. Most
leaves do next to nothing, so that frames come and go as fast as the interpreter can make them.

    python3 stack_programs.py SEED [FUNCTIONS]      prints the program
"""

# ruff: noqa: ARG002 (every means of calling has the same signature)

from __future__ import annotations

import itertools
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class Program:
    """Source text, and what it allows."""

    seed: int
    lines: list[str] = field(default_factory=list)
    callees: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    extent: dict[str, tuple[int, int]] = field(default_factory=dict)
    roots: set[str] = field(default_factory=set)

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def emit(self, depth: int, text: str) -> int:
        """Adds a line; its number."""
        self.lines.append("    " * depth + text)
        return len(self.lines)

    def _full(self, name: str, line: int) -> str:
        """Up to 3.10 a code object knows its name only, not where it was defined."""
        if name in self.extent:
            return name
        for full, (first, last) in self.extent.items():
            if full.rsplit(".", 1)[-1] == name and first <= line <= last:
                return full
        return name

    def why_impossible(self, frames: list[tuple[str, int]]) -> str | None:
        """`frames` are (qualified name, line), outermost first, of the program's own file. None: such a stack exists."""
        frames = [(self._full(_plain(name, line), line), line) for name, line in frames]
        if not frames or frames[0][0] not in self.roots:
            return "does not begin at a root"
        for (caller, line), (callee, _) in itertools.pairwise(frames):
            if callee not in self.callees.get((caller, line), ()):
                return f"line {line} of {caller} does not call {callee}"
        leaf, line = frames[-1]
        first, last = self.extent.get(leaf, (1, 0))
        if line != 0 and not first <= line <= last:
            return f"line {line} is not in {leaf}"
        return None


def _plain(name: str, line: int) -> str:
    """Names as a program's tables have them: without the enclosing function; nameless ones with their line."""
    name = name.replace(".<locals>", "")
    last = name.rsplit(".", 1)[-1]
    return f"{last}@{line}" if last.startswith("<") and last != "<module>" else name


class Generator:
    """Writes one program."""

    def __init__(self, seed: int, functions: int) -> None:
        self.program = Program(seed)
        self.random = random.Random(seed)
        self.left = functions
        self.names = 0
        self.means = [
            self.plain, self.plain, self.plain, self.pair, self.churn, self.recursive, self.generator, self.delegation,
            self.coroutine, self.listcomp, self.genexpr, self.key, self.lambda_key, self.mapped, self.raising,
            self.finally_, self.context, self.closure,
        ]  # fmt: skip

    def name(self, prefix: str) -> str:
        self.names += 1
        self.left -= 1
        return f"{prefix}{self.names}"

    def call(self, line: int, caller: str, *callees: str) -> None:
        self.program.callees[caller, line].update(callees)

    def define(self, name: str, first: int) -> None:
        self.program.extent[name] = (first, len(self.program.lines))

    def leaf(self) -> str:
        name = self.name("leaf")
        emit = self.program.emit
        first = emit(0, f"def {name}(n):")
        kind = self.random.randrange(4)
        if kind == 0:
            emit(1, "return n")
        elif kind == 1:
            emit(1, "return n * 3 + 1")
        elif kind == 2:
            emit(1, "a = b = c = d = n")
            emit(1, "return a + b + c + d")
        else:
            emit(1, f"for i in range({self.random.randrange(1, 12)}):")
            emit(2, "n += i")
            emit(1, "return n")
        self.define(name, first)
        return name

    def function(self, depth: int) -> str:
        """A function with its callees written first; its name."""
        if depth == 0 or self.left <= 0:
            return self.leaf()
        statements = [self.random.choice(self.means) for _ in range(self.random.randrange(1, 4))]
        prepared = [(means, [self.function(depth - 1) for _ in range(2)]) for means in statements]
        helpers = [means.__func__.__name__ for means, _ in prepared]  # type: ignore[attr-defined]
        parts = [self.before(helper, children) for helper, (_, children) in zip(helpers, prepared, strict=True)]
        name = self.name("f")
        first = self.program.emit(0, f"def {name}(n):")
        if self.random.randrange(3) == 0:  # frames of other sizes at the same depth
            self.program.emit(1, " = ".join(f"v{i}" for i in range(self.random.randrange(1, 20))) + " = n")
        for (means, children), part in zip(prepared, parts, strict=True):
            means(name, children, part)
        self.program.emit(1, "return n")
        self.define(name, first)
        return name

    def before(self, kind: str, children: list[str]) -> str:
        """What a statement needs to be defined ahead of its function."""
        emit, name = self.program.emit, ""
        if kind == "generator":
            name = self.name("gen")
            first = emit(0, f"def {name}(n):")
            emit(1, "for i in range(3):")
            self.call(emit(2, f"yield {children[0]}(i)"), name, children[0])
        elif kind == "delegation":
            inner = self.before("generator", children)
            name = self.name("outer")
            first = emit(0, f"def {name}(n):")
            self.call(emit(1, f"yield from {inner}(n)"), name, inner)
        elif kind == "coroutine":
            inner = self.name("inner")
            first = emit(0, f"async def {inner}(n):")
            self.call(emit(1, f"{children[0]}(n)"), inner, children[0])
            self.call(emit(1, f"return {children[1]}(n)"), inner, children[1])
            self.define(inner, first)
            name = self.name("co")
            first = emit(0, f"async def {name}(n):")
            self.call(emit(1, f"await {inner}(n)"), name, inner)
        elif kind == "recursive":
            name = self.name("rec")
            first = emit(0, f"def {name}(n):")
            emit(1, "if n > 0:")
            self.call(emit(2, f"{name}(n - 1)"), name, name)
            self.call(emit(1, f"{children[0]}(n)"), name, children[0])
        elif kind == "raising":
            name = self.name("fails")
            first = emit(0, f"def {name}(n):")
            self.call(emit(1, f"{children[0]}(n)"), name, children[0])
            emit(1, "raise ValueError(n)")
        elif kind == "context":
            name = self.name("Ctx")
            emit(0, f"class {name}:")
            first = emit(1, "def __enter__(self):")
            self.call(emit(2, f"{children[0]}(1)"), f"{name}.__enter__", children[0])
            self.define(f"{name}.__enter__", first)
            first = emit(1, "def __exit__(self, *what):")
            emit(2, "return None")
            self.define(f"{name}.__exit__", first)
        else:
            return name
        if kind != "context":
            self.define(name, first)
        return name

    def plain(self, name: str, children: list[str], part: str) -> None:
        self.call(self.program.emit(1, f"{children[0]}(n)"), name, children[0])
        self.call(self.program.emit(1, f"{children[1]}(n)"), name, children[1])

    def pair(self, name: str, children: list[str], part: str) -> None:
        self.call(self.program.emit(1, f"n = {children[0]}({children[1]}(n)) and n"), name, *children)

    def churn(self, name: str, children: list[str], part: str) -> None:
        """One leaf after another: the same addresses, other functions."""
        self.program.emit(1, f"for i in range({self.random.randrange(2, 8)}):")
        for child in [*children, children[0]]:
            self.call(self.program.emit(2, f"{child}(i)"), name, child)

    def recursive(self, name: str, children: list[str], part: str) -> None:
        self.call(self.program.emit(1, f"{part}({self.random.randrange(1, 6)})"), name, part)

    def generator(self, name: str, children: list[str], part: str) -> None:
        self.call(self.program.emit(1, f"for v in {part}(n):"), name, part)
        self.call(self.program.emit(2, f"{children[1]}(v)"), name, children[1])

    delegation = generator

    def coroutine(self, name: str, children: list[str], part: str) -> None:
        self.program.emit(1, "try:")
        self.call(self.program.emit(2, f"{part}(n).send(None)"), name, part)
        self.program.emit(1, "except StopIteration:")
        self.program.emit(2, "pass")

    def nameless(self, name: str, kind: str, text: str, child: str) -> None:
        line = self.program.emit(1, text)
        inner = f"{kind}@{line}"
        self.call(line, name, inner, child)  # comprehensions have no frame of their own from 3.12 on
        self.call(line, inner, child)
        self.program.extent[inner] = (line, line)

    def listcomp(self, name: str, children: list[str], part: str) -> None:
        self.nameless(name, "<listcomp>", f"[{children[0]}(i) for i in range(3)]", children[0])

    def genexpr(self, name: str, children: list[str], part: str) -> None:
        self.nameless(name, "<genexpr>", f"sum(0 for i in range(3) if {children[0]}(i))", children[0])

    def lambda_key(self, name: str, children: list[str], part: str) -> None:
        self.nameless(name, "<lambda>", f"sorted((2, 1, 3), key=lambda v: {children[0]}(v) and v)", children[0])

    def key(self, name: str, children: list[str], part: str) -> None:
        self.call(self.program.emit(1, f"max((2, 1), key={children[0]})"), name, children[0])

    def mapped(self, name: str, children: list[str], part: str) -> None:
        self.call(self.program.emit(1, f"list(map({children[0]}, (1, 2)))"), name, children[0])

    def raising(self, name: str, children: list[str], part: str) -> None:
        self.program.emit(1, "try:")
        self.call(self.program.emit(2, f"{part}(n)"), name, part)
        self.program.emit(1, "except ValueError:")
        self.call(self.program.emit(2, f"{children[1]}(n)"), name, children[1])

    def finally_(self, name: str, children: list[str], part: str) -> None:
        self.program.emit(1, "try:")
        self.call(self.program.emit(2, f"{children[0]}(n)"), name, children[0])
        self.program.emit(1, "finally:")
        self.call(self.program.emit(2, f"{children[1]}(n)"), name, children[1])

    def context(self, name: str, children: list[str], part: str) -> None:
        line = self.program.emit(1, f"with {part}():")
        self.call(line, name, f"{part}.__enter__", f"{part}.__exit__")
        # Up to 3.9 the exit belongs to the last line of the body.
        self.call(self.program.emit(2, f"{children[1]}(n)"), name, children[1], f"{part}.__exit__")

    def closure(self, name: str, children: list[str], part: str) -> None:
        inner = self.name("closure")
        first = self.program.emit(1, f"def {inner}(m):")
        self.call(self.program.emit(2, f"return {children[0]}(m + n)"), f"{name}.{inner}", children[0])
        self.define(f"{name}.{inner}", first)
        self.call(self.program.emit(1, f"{inner}(2)"), name, f"{name}.{inner}")


def generate(seed: int, functions: int = 120, threads: int = 1, depth: int = 6) -> Program:
    """`threads` beside the main thread. It prints a line once it runs nothing else any more."""
    maker = Generator(seed, functions)
    program = maker.program
    program.emit(0, "import threading")
    for _ in range(threads + 1):
        maker.left = functions // (threads + 1)
        tops = [maker.function(depth)]
        while maker.left > 0:
            tops.append(maker.function(depth))
        root = maker.name("root")
        program.roots.add(root)
        first = program.emit(0, f"def {root}():")
        program.emit(1, "while True:")
        for top in tops:
            maker.call(program.emit(2, f"{top}(1)"), root, top)
        maker.define(root, first)
    roots = sorted(program.roots, key=lambda name: int(name[4:]))
    for root in roots[1:]:
        program.emit(0, f"threading.Thread(target={root}, daemon=True).start()")
    program.emit(0, "print('ready', flush=True)")
    line = program.emit(0, f"{roots[0]}()")
    program.callees["<module>", line].add(roots[0])
    program.extent["<module>"] = (1, line)
    program.roots.discard(roots[0])
    program.roots.add("<module>")
    return program


def main() -> None:
    functions = int(sys.argv[2]) if len(sys.argv) > 2 else 120
    sys.stdout.write(generate(int(sys.argv[1]), functions).text)


if __name__ == "__main__":
    main()
