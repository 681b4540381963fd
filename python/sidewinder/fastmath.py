"""Arithmetic on arrays of numbers: what a Python loop is too slow for.

- One number from many: :func:`sum`, :func:`mean`, :func:`var`, :func:`std`, :func:`norm`, :func:`minmax`, :func:`median`,
  :func:`quantile`, several at once :func:`summary`; of two vectors :func:`dot`, :func:`corr`, :func:`linear_regression`.
- Element by element: :func:`exp`, :func:`log`, :func:`where`, and whole expressions in one pass by :func:`evaluate`, or by
  :func:`compile` once for many calls.
- :func:`matmul`, :func:`histogram`, :func:`ewma`, :func:`diffuse`, :func:`mandelbrot`, :func:`julia`, :func:`burning_ship`.

Numbers come as any buffer (:class:`Array`, array.array, memoryview, NumPy arrays; float64 and float32 of any strides without
a copy), as nested sequences, or as an iterable. Results are :class:`Array`, or NumPy arrays when an input was one.
Computing releases the GIL where it takes more than some microseconds, and runs on all CPUs where that pays, or on at most
``threads`` threads; results do not depend on their number.

    >>> from sidewinder import fastmath
    >>> fastmath.evaluate("a*b + 1", a=[1.0, 2.0], b=3.0)
    Array([4.0, 7.0], dtype='float64')

``python -m sidewinder.fastmath`` measures these functions beside plain Python (:mod:`sidewinder.slowmath`, which also says
what each of them means) and NumPy.
"""

from sidewinder._fastmath import (
    Array,
    Expression,
    Summary,
    burning_ship,
    compile,  # noqa: A004 - the name that belongs to evaluate
    corr,
    diffuse,
    dot,
    evaluate,
    ewma,
    exp,
    histogram,
    julia,
    linear_regression,
    log,
    mandelbrot,
    matmul,
    mean,
    median,
    minmax,
    norm,
    quantile,
    std,
    sum,  # noqa: A004 - the name in NumPy
    summary,
    var,
    where,
)

__all__ = [
    "Array",
    "Expression",
    "Summary",
    "burning_ship",
    "compile",
    "corr",
    "diffuse",
    "dot",
    "evaluate",
    "ewma",
    "exp",
    "histogram",
    "julia",
    "linear_regression",
    "log",
    "mandelbrot",
    "matmul",
    "mean",
    "median",
    "minmax",
    "norm",
    "quantile",
    "std",
    "sum",
    "summary",
    "var",
    "where",
]

if __name__ == "__main__":
    from sidewinder.fastmath_compare import main

    raise SystemExit(main())
