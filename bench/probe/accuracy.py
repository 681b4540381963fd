"""How many accepted stacks are impossible: generated programs whose legal stacks are known, on every CPython found.

    python bench/probe/accuracy.py [--samples 200000] [--programs 3] [--seed 1] [--only 3.13] [--peers]

Each program is sampled without a pause, so that nearly every sample meets a running interpreter. Bar: at most 1
impossible stack in 100,000 accepted ones (exact and partial).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.python.interpreters import Interpreter, interpreters  # noqa: E402
from tests.python.stack_programs import Program, generate  # noqa: E402

BUILD = Path(os.environ.get("SIDEWINDER", ROOT / "build" / "sidewinder")).resolve().parent
SAMPLER = BUILD / "bench" / "probe" / "bench_probe_sampler"


@dataclass
class Verdict:
    """What was wrong in the samples of one program."""

    samples: Counter[str] = field(default_factory=Counter)
    impossible: Counter[str] = field(default_factory=Counter)
    examples: Counter[str] = field(default_factory=Counter)

    def add(self, other: Verdict) -> None:
        self.samples += other.samples
        self.impossible += other.impossible
        self.examples += other.examples


def judge(program: Program, path: str, stacks: list[dict[str, Any]]) -> Verdict:
    """Stacks as bench_probe_sampler prints them."""
    verdict = Verdict()
    for stack in stacks:
        verdict.samples[stack["quality"]] += stack["count"]
        if stack["quality"] not in ("exact", "partial"):
            continue
        frames = [(name, line) for name, file, line, _ in reversed(stack["frames"]) if file == path]
        why = program.why_impossible(frames) if frames else None
        if why:
            verdict.impossible[stack["quality"]] += stack["count"]
            verdict.examples[f"{why}: {frames}"] += stack["count"]
    return verdict


def sample(pid: int, *arguments: str) -> dict[str, Any]:
    """Runs the sampler on a process, each on a CPU of its own: a target that waits for a CPU is read without a race."""
    argv = [str(SAMPLER), "stacks", str(pid), *arguments]
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {cpus[0]})
        argv = ["taskset", "-c", str(cpus[1]), *argv]
    before = cpu_ticks(pid)
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    result["target_cpu_ns"] = (cpu_ticks(pid) - before) * 1e9 / os.sysconf("SC_CLK_TCK")
    return result


def cpu_ticks(pid: int) -> int:
    """Clock ticks a process has run."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def try_program(interpreter: Interpreter, program: Program, samples: int) -> tuple[Verdict, dict[str, Any]]:
    """One program on one interpreter."""
    with interpreter.running(program.text) as target:
        target.expect("ready")
        argv = Path(f"/proc/{target.pid}/cmdline").read_bytes().split(b"\0")
        path = next(word.decode() for word in argv if word.endswith(b"target.py"))
        result = sample(target.pid, str(samples))
    return judge(program, path, result["stacks"]), result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=200_000, help="of each program")
    parser.add_argument("--programs", type=int, default=3)
    parser.add_argument("--functions", type=int, default=120)
    parser.add_argument("--threads", type=int, default=0, help="beside the main thread")
    parser.add_argument("--seed", type=int, default=1, help="of the first program; the others count on")
    parser.add_argument("--only", help="versions that begin with this")
    parser.add_argument("--examples", type=int, default=3, help="impossible stacks shown")
    options = parser.parse_args()
    worst = 0.0
    for interpreter in interpreters():
        if options.only and not interpreter.version_text.startswith(options.only):
            continue
        total = Verdict()
        cost = rounds = calls = 0
        ran = took = 0.0
        for seed in range(options.seed, options.seed + options.programs):
            program = generate(seed, options.functions, options.threads)
            verdict, result = try_program(interpreter, program, options.samples)
            total.add(verdict)
            cost, rounds = cost + result["cpu_ns"], rounds + result["rounds"]
            calls += result["system_calls"]
            ran, took = ran + result["target_cpu_ns"], took + result["wall_ns"]
        accepted = total.samples["exact"] + total.samples["partial"]
        impossible = sum(total.impossible.values())
        share = impossible / max(accepted, 1) * 1e5
        worst = max(worst, share)
        print(
            f"{interpreter!s:14} seeds {options.seed}..{options.seed + options.programs - 1}: "
            f"{accepted} accepted ({total.samples['exact'] / max(accepted, 1):.1%} exact), "
            f"{total.samples['failed']} failed, {total.samples['empty']} empty; "
            f"impossible {impossible} ({dict(total.impossible)}) = {share:.2f} in 100,000; "
            f"{cost / max(rounds, 1) / 1000:.2f} us CPU, {calls / max(rounds, 1):.2f} calls a round; "
            f"target ran {ran / took:.0%} of the time",
            flush=True,
        )
        for text, count in total.examples.most_common(options.examples):
            print(f"    {count} x {text[:600]}")
    print(f"worst: {worst:.2f} in 100,000 (bar: 1)")
    return 0 if worst <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
