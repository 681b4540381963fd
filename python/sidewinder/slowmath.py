"""The functions of :mod:`sidewinder.fastmath` in plain Python: what they mean, without what makes them fast.

The names, the arguments and the kinds of errors are the same, the results are floats and nested lists. Read it to see
what a function does, use it as an oracle in tests, or measure against it: ``python -m sidewinder.fastmath`` does.

Numbers may be given as in fastmath: nested sequences, iterables, or anything with a buffer. ``out`` is anything that can be
assigned to item by item. ``threads`` is checked and changes nothing here: plain Python computes on one thread, and the
results do not depend on their number. All arithmetic is in float64.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import math
import operator
import re
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FrameType
from typing import Any, NamedTuple

__all__ = [
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

Shape = tuple[int, ...]


def _nested(x: Any) -> Any:
    """A number, or nested lists of numbers."""
    if isinstance(x, float | int | list):
        return x
    if isinstance(x, str | Mapping):
        raise TypeError(f"expected numbers, not {type(x).__name__}")
    try:
        return memoryview(x).tolist()
    except (TypeError, NotImplementedError):
        pass
    if hasattr(x, "tolist"):
        return x.tolist()
    if isinstance(x, Iterable):
        return list(x)
    return float(x)


def _shape_and_items(x: Any) -> tuple[Shape, list[float]]:
    """The shape of nested sequences and their numbers in one list, the last index running fastest."""
    x = _nested(x)
    if not isinstance(x, list):
        return (), [float(x)]
    if not x or not isinstance(x[0], Sequence | memoryview):
        return (len(x),), x if set(map(type, x)) == {float} else array("d", x).tolist()
    inner = [_shape_and_items(row) for row in x]
    shape = inner[0][0]
    for other, _ in inner:
        if not other:
            raise TypeError(f"expected a sequence of {shape[0]}, as the first is, not a number")
        if other != shape:
            raise ValueError(f"sequences of different lengths: shape {other} where the first has {shape}")
    return (len(x), *shape), [value for _, row in inner for value in row]


def _items(x: Any) -> list[float]:
    return _shape_and_items(x)[1]


def _in_shape(shape: Shape, items: list[Any]) -> Any:
    """The opposite: nested lists, or the number itself where there are no dimensions."""
    if not shape:
        return items[0]
    if len(shape) == 1:
        return items
    size = math.prod(shape[1:])
    return [_in_shape(shape[1:], items[i * size : (i + 1) * size]) for i in range(shape[0])]


def _check_threads(threads: int | None) -> None:
    if threads is not None and not 1 <= operator.index(threads) <= 256:
        raise ValueError(f"threads must lie in 1 ... 256, not {threads}")


def _fill(out: Any, result: list[Any]) -> None:
    for i, value in enumerate(result):
        if isinstance(value, list):
            _fill(out[i], value)
        else:
            out[i] = value


def _give(result: Any, out: Any) -> Any:
    if out is None:
        return result
    if len(out) != len(result):
        raise ValueError(f"out has {len(out)} items; the result has {len(result)}")
    _fill(out, result)
    return out


# One number from all elements.


def sum(x: Any, *, threads: int | None = None) -> float:  # noqa: A001 - the name in fastmath
    """The sum of all elements; 0.0 of nothing."""
    _check_threads(threads)
    return float(builtins.sum(_items(x)))


def _mean(values: list[float]) -> float:
    return builtins.sum(values) / len(values) if values else math.nan


def mean(x: Any, *, threads: int | None = None) -> float:
    """The arithmetic mean of all elements: their sum, which may overflow, over their count; NaN of nothing."""
    _check_threads(threads)
    return _mean(_items(x))


def _center(values: list[float]) -> float:
    """The mean, finite also where the sum is not: deviations from the middle of the extremes are added instead."""
    center = _mean(values)
    if not values or math.isfinite(center) or not all(map(math.isfinite, values)):
        return center
    middle = min(values) * 0.5 + max(values) * 0.5
    return middle + builtins.sum((value - middle) / len(values) for value in values)


def norm(x: Any, *, threads: int | None = None) -> float:
    """The square root of the sum of squares, scaled by the largest element so that no square overflows."""
    _check_threads(threads)
    values = _items(x)
    largest = 0.0
    for value in values:
        if value != value:
            return math.nan
        largest = max(largest, abs(value))
    if largest == 0 or math.isinf(largest):
        return largest
    return largest * math.sqrt(builtins.sum([(value / largest) ** 2 for value in values]))


def _var(values: list[float], ddof: float) -> float:
    if len(values) - ddof <= 0:
        return math.nan
    center = _center(values)
    return builtins.sum([(value - center) * (value - center) for value in values]) / (len(values) - ddof)


def var(x: Any, ddof: float = 0, *, threads: int | None = None) -> float:
    """The variance: squared deviations from the mean, summed and divided by count - ddof; NaN where that is not positive."""
    _check_threads(threads)
    return _var(_items(x), ddof)


def std(x: Any, ddof: float = 0, *, threads: int | None = None) -> float:
    """The standard deviation: the square root of the variance."""
    return math.sqrt(var(x, ddof, threads=threads))


def minmax(x: Any, *, threads: int | None = None) -> tuple[float, float]:
    """(smallest, largest); both are NaN if an element is."""
    _check_threads(threads)
    values = _items(x)
    if not values:
        raise ValueError("minmax() of nothing: there is no smallest element")
    smallest = largest = values[0]
    for value in values:
        if value != value:
            return math.nan, math.nan
        if value < smallest:
            smallest = value
        if value > largest:
            largest = value
    return smallest + 0.0, largest + 0.0  # zeros of both signs are one element: 0.0


class Summary(NamedTuple):
    """What summary() finds."""

    count: int  # type: ignore[assignment] # instead of the method of tuples
    mean: float
    var: float
    std: float
    min: float
    max: float


def summary(x: Any, ddof: float = 0, *, threads: int | None = None) -> Summary:
    """Count, mean, variance, standard deviation, smallest and largest."""
    values = _items(x)
    low, high = minmax(values, threads=threads) if values else (math.nan, math.nan)
    variance = _var(values, ddof)
    return Summary(len(values), _center(values), variance, math.sqrt(variance), low, high)


def _vectors(x: Any, y: Any, name: str) -> tuple[list[float], list[float]]:
    (a, left), (b, right) = _shape_and_items(x), _shape_and_items(y)
    if len(a) != 1 or len(b) != 1:
        raise ValueError(f"{name}() takes vectors (1 dimension), not shapes {a} and {b}")
    if a != b:
        raise ValueError(f"shapes {a} and {b} not aligned: {a[0]} (dim 0) != {b[0]} (dim 0)")
    return left, right


def dot(x: Any, y: Any, *, threads: int | None = None) -> float:
    """The inner product of two vectors."""
    _check_threads(threads)
    return float(builtins.sum(map(operator.mul, *_vectors(x, y, "dot"))))


def _moments(x: Any, y: Any, name: str) -> tuple[float, float, float, float, float]:
    """Means of x and y, and the sums of the squares and products of the deviations from them: xx, yy, xy.

    Where squares overflow, xy is NaN.
    """
    left, right = _vectors(x, y, name)
    if not left:
        return (math.nan,) * 5
    mean_x, mean_y = _center(left), _center(right)
    dx = [value - mean_x for value in left]
    dy = [value - mean_y for value in right]
    xx, yy = dot(dx, dx), dot(dy, dy)
    return mean_x, mean_y, xx, yy, dot(dx, dy) if math.isfinite(xx) and math.isfinite(yy) else math.nan


def _correlation(xx: float, yy: float, xy: float) -> float:
    if xx == 0 or yy == 0:
        return math.nan
    is_normal = sys.float_info.min <= xx * yy < math.inf
    r = xy / (math.sqrt(xx * yy) if is_normal else math.sqrt(xx) * math.sqrt(yy))
    return r if r != r else min(1.0, max(-1.0, r))


def corr(x: Any, y: Any, *, threads: int | None = None) -> float:
    """Pearson's correlation of two vectors; NaN where one of them does not vary."""
    _check_threads(threads)
    _, _, xx, yy, xy = _moments(x, y, "corr")
    return _correlation(xx, yy, xy)


def linear_regression(x: Any, y: Any, *, threads: int | None = None) -> tuple[float, float, float]:
    """(slope, intercept, r) of the line with the least squares in y."""
    _check_threads(threads)
    count = len(_items(x))
    mean_x, mean_y, xx, yy, xy = _moments(x, y, "linear_regression")
    if count < 2:
        raise ValueError(f"linear_regression() needs at least 2 points, not {count}")
    if xx == 0:
        raise ValueError("linear_regression(): all x are the same, so there is no slope")
    slope = xy / xx
    return slope, mean_y - slope * mean_x, _correlation(xx, yy, xy)


# Order and distribution.


def _quantile_of_sorted(ordered: list[float], q: float) -> float:
    if not 0 <= q <= 1:
        raise ValueError("q must lie in 0 ... 1")
    if ordered[0] != ordered[0]:
        return math.nan
    place = q * (len(ordered) - 1)
    below = int(place)
    t, low, high = place - below, ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    if t == 0 or low == high:
        return low + 0.0  # zeros of both signs are one element: 0.0
    if not (math.isfinite(low) and math.isfinite(high)):
        return low * (1 - t) + high * t
    if t == 0.5:
        return (low + high) * 0.5 if math.isfinite(low + high) else low * 0.5 + high * 0.5
    return low + (high - low) * t if t < 0.5 else high - (high - low) * (1 - t)


def quantile(x: Any, q: Any, *, threads: int | None = None) -> Any:
    """The value below which the fraction q of all elements lies, linear between two elements; lists for lists of q."""
    _check_threads(threads)
    values = _items(x)
    shape, fractions = _shape_and_items(q)
    if not values:
        raise ValueError("quantile() of nothing: there is no element")
    ordered = [math.nan] if any(value != value for value in values) else sorted(values)
    return _in_shape(shape, [_quantile_of_sorted(ordered, fraction) for fraction in fractions])


def median(x: Any, *, threads: int | None = None) -> float:
    """The middle one of all elements, or the mean of the two in the middle."""
    values = _items(x)
    if not values:
        raise ValueError("median() of nothing: there is no element")
    return float(quantile(values, 0.5, threads=threads))


def histogram(
    x: Any,
    bins: int = 10,
    range: Sequence[float] | None = None,  # noqa: A002 - the name in NumPy
    *,
    threads: int | None = None,
) -> tuple[list[int], list[float]]:
    """(counts, edges) in equally wide bins of [low, high]; the last one includes its upper edge."""
    _check_threads(threads)
    if operator.index(bins) < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    values = _items(x)
    low, high = range if range is not None else minmax(values) if values else (0.0, 1.0)
    if not (math.isfinite(high - low) and low <= high):
        raise ValueError(f"the range [{low}, {high}] of histogram() is not finite and ascending; give range=")
    if low == high:
        low, high = low - 0.5, high + 0.5
        if low == high:
            raise ValueError(
                f"the range [{low}, {high}] of histogram() cannot be widened by 0.5 at this size; give range="
            )
    edges = [low + i * ((high - low) / bins) for i in builtins.range(bins)] + [high]
    counts = [0] * bins
    for value in values:
        if low <= value <= high:
            counts[min(bisect_right(edges, value), bins) - 1] += 1
    return counts, edges


def ewma(x: Any, alpha: float, out: Any = None) -> Any:
    """out[0] = x[0]; out[i] = alpha * x[i] + (1 - alpha) * out[i - 1]."""
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha must lie in 0 ... 1 and not be 0, not {alpha}")
    shape, values = _shape_and_items(x)
    if len(shape) != 1:
        raise ValueError(f"ewma() takes a vector (1 dimension), not shape {shape}")
    result: list[float] = []
    for value in values:
        result.append(alpha * value + (1 - alpha) * result[-1] if result else value)
    return _give(result, out)


# Element by element.


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _log_with(logarithm: Callable[[float], float]) -> Callable[[float], float]:
    def log_of(x: float) -> float:
        if x > 0:
            return logarithm(x)
        return -math.inf if x == 0 else math.nan

    return log_of


_log = _log_with(math.log)


def _map(function: Callable[[float], float], x: Any, out: Any, threads: int | None) -> Any:
    _check_threads(threads)
    shape, values = _shape_and_items(x)
    return _give(_in_shape(shape, [function(value) for value in values]), out)


def exp(x: Any, out: Any = None, *, threads: int | None = None) -> Any:
    """e to the power of every element; overflow gives infinity."""
    return _map(_exp, x, out, threads)


def log(x: Any, out: Any = None, *, threads: int | None = None) -> Any:
    """The natural logarithm of every element; -infinity of 0, NaN of negatives."""
    return _map(_log, x, out, threads)


def _common_shape(shapes: Iterable[Shape]) -> Shape:
    common: Shape = ()
    for shape in shapes:
        pairs = itertools.zip_longest(reversed(common), reversed(shape), fillvalue=1)
        sizes = []
        for a, b in pairs:
            if 1 not in (a, b) and a != b:
                raise ValueError(f"operands could not be broadcast together: shape {common} and {shape}")
            sizes.append(b if a == 1 else a)
        common = tuple(reversed(sizes))
    return common


def _repeated(shape: Shape, items: list[float], common: Shape) -> list[float]:
    """The items of one operand, repeated along the dimensions in which it has the size 1, or which it has not."""
    shape = (1,) * (len(common) - len(shape)) + shape
    steps = [0 if size == 1 else math.prod(shape[d + 1 :]) for d, size in enumerate(shape)]
    places = itertools.product(*(builtins.range(size) for size in common))
    return [items[builtins.sum(map(operator.mul, place, steps))] for place in places]


def _broadcast(operands: Iterable[Any]) -> tuple[Shape, list[list[float]]]:
    parts = [_shape_and_items(operand) for operand in operands]
    common = _common_shape(shape for shape, _ in parts)
    return common, [_repeated(shape, items, common) for shape, items in parts]


def where(cond: Any, a: Any, b: Any, out: Any = None, *, threads: int | None = None) -> Any:
    """a where cond is not 0, else b."""
    _check_threads(threads)
    shape, columns = _broadcast((cond, a, b))
    items = [x if c != 0 else y for c, x, y in zip(*columns, strict=True)]
    return _give(_in_shape(shape, items), out)


def _divide(a: float, b: float) -> float:
    if b == 0:
        return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1, b)
    return a / b


def _remainder(a: float, b: float) -> float:
    """With the sign of b, as Python's."""
    if b == 0 or math.isinf(a) or a != a or b != b:
        return math.nan
    return a % b


def _floor_divide(a: float, b: float) -> float:
    if b == 0:
        return _divide(a, b)
    if math.isinf(a) or a != a or b != b:
        return math.nan
    return a // b


def _power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        return math.nan if a != 0 else math.copysign(math.inf, a) if b % 2 == 1 else math.inf


def _smaller(a: float, b: float) -> float:
    return math.nan if a != a or b != b else min(a, b)


def _larger(a: float, b: float) -> float:
    return math.nan if a != a or b != b else max(a, b)


def _rounded(rounding: Callable[[float], int]) -> Callable[[float], float]:
    return lambda x: math.copysign(rounding(x), x) if math.isfinite(x) else x


def _finite(function: Callable[[float], float]) -> Callable[[float], float]:
    """NaN where the function is not defined, as sin of infinity and sqrt of a negative number."""

    def value(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return value


def _sign(x: float) -> float:
    return x if x != x else float((x > 0) - (x < 0))


_FUNCTIONS: dict[str, Callable[..., float]] = {
    "abs": abs,
    "ceil": _rounded(math.ceil),
    "cos": _finite(math.cos),
    "exp": _exp,
    "expm1": _finite(math.expm1),
    "floor": _rounded(math.floor),
    "fma": lambda a, b, c: a * b + c,  # rounded twice, where the real one rounds once
    "log": _log,
    "log10": _log_with(math.log10),
    "log1p": lambda x: math.log1p(x) if x > -1 else -math.inf if x == -1 else math.nan,
    "log2": _log_with(math.log2),
    "maximum": _larger,
    "minimum": _smaller,
    "pow": _power,
    "round": _rounded(round),
    "sign": _sign,
    "sin": _finite(math.sin),
    "sqrt": _finite(math.sqrt),
    "tan": _finite(math.tan),
    "tanh": math.tanh,
    "where": lambda c, a, b: a if c != 0 else b,
}

_ARITIES = {name: {"fma": 3, "where": 3, "maximum": 2, "minimum": 2, "pow": 2}.get(name, 1) for name in _FUNCTIONS}

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divide,
    ast.FloorDiv: _floor_divide,
    ast.Mod: _remainder,
    ast.Pow: _power,
    ast.BitAnd: lambda a, b: float(a != 0 and b != 0),
    ast.BitOr: lambda a, b: float(a != 0 or b != 0),
}

_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: lambda a: float(a == 0),
}

_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _is_truth(node: ast.expr) -> bool:
    """Whether a tree stands for a truth, as & | ~ need it; ValueError where it is no expression of numbers."""
    match node:
        case ast.Constant(value=float() | bool() as value):
            return isinstance(value, bool)
        case ast.Name():
            return False
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() | ast.Invert() as op, operand=inner):
            is_truth = _is_truth(inner)
            if isinstance(op, ast.Invert) and not is_truth:
                raise ValueError(f"'~' needs a truth such as (a > 0), not {ast.unparse(inner)!r}")
            return is_truth and not isinstance(op, ast.USub)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            is_logical, truths = isinstance(op, ast.BitAnd | ast.BitOr), [_is_truth(left), _is_truth(right)]
            if is_logical and not all(truths):
                raise ValueError(
                    f"'&' and '|' need truths on both sides, as in (a > 0) & (b > 0): {ast.unparse(node)!r}"
                )
            return is_logical
        case ast.Compare(left=left, ops=ops, comparators=rights) if all(type(op) in _COMPARISONS for op in ops):
            for side in [left, *rights]:
                _is_truth(side)
            return True
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if _ARITIES.get(name) == len(args):
            truths = [_is_truth(arg) for arg in args]
            return name == "where" and all(truths[1:])
    raise ValueError(f"{ast.unparse(node)!r} is no expression of numbers")


def _value(node: ast.expr, names: Mapping[str, float]) -> float:
    """The value of an expression's tree for one element."""
    match node:
        case ast.Constant(value=float() | bool() as number):
            return float(number)
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=op, operand=inner):
            return _UNARY[type(op)](_value(inner, names))
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_value(left, names), _value(right, names))
        case ast.Compare(left=left, ops=ops, comparators=rights):  # a < b < c is (a < b) & (b < c)
            sides = [_value(side, names) for side in [left, *rights]]
            return float(all(_COMPARISONS[type(op)](a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False)))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _FUNCTIONS[name](*(_value(arg, names) for arg in args))
    raise AssertionError(ast.unparse(node))


# A whole number, any other number, a name, an operator: less than Python has, so no 0x10, 1_000, 1j, 'text' or [list].
_TOKEN = re.compile(
    r"[ \t\n\r]*(?:(?P<whole>[0-9]+(?![0-9.eE]))|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    r"|[A-Za-z_][A-Za-z0-9_]*|\*\*|//|[<>=!]=|[-+*/%&|~<>(),])"
)


def _tree_of(text: str) -> ast.expr:
    """Python parses it, on one line, every number a float."""
    if len(text.encode()) > 4096:
        raise ValueError(f"an expression of {len(text.encode())} bytes; the most is 4096")
    tokens, at = [], 0
    while token := _TOKEN.match(text, at):
        at = token.end()
        tokens.append(token[0].strip() + (".0" if token["whole"] else ""))
    if rest := text[at:].strip(" \t\n\r"):
        raise ValueError(f"{text!r} is no expression: {rest[0]!r} has no meaning")
    try:
        tree = ast.parse(" ".join(tokens), mode="eval").body
        _is_truth(tree)
    except SyntaxError as error:
        raise ValueError(f"{text!r} is no expression: {error.msg}") from None
    except (MemoryError, RecursionError):
        raise ValueError("an expression that nests too deeply") from None
    return tree


def _names_of(tree: ast.expr) -> tuple[str, ...]:
    """In the order of their first use."""
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in functions]
    return tuple(dict.fromkeys(node.id for node in sorted(found, key=lambda node: node.col_offset)))


def _find(name: str, text: str, scopes: Iterable[Mapping[str, Any]]) -> Any:
    for scope in scopes:
        try:
            return scope[name]
        except KeyError:
            pass
    raise NameError(f"name {name!r} of the expression {text!r} is not defined; give it as a keyword")


class Expression:
    """A compiled expression: a function of its names. compile() makes it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tree = _tree_of(text)
        self.names = _names_of(self._tree)

    def __repr__(self) -> str:
        return f"compile({self.text!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return compile, (self.text,)

    def __call__(
        self,
        names: Mapping[str, Any] | None = None,
        out: Any = None,
        *,
        threads: int | None = None,
        **operands: Any,
    ) -> Any:
        _check_threads(threads)
        return self._apply(names, operands, out, sys._getframe(1))

    def _apply(self, names: Mapping[str, Any] | None, operands: Mapping[str, Any], out: Any, caller: FrameType) -> Any:
        """Names come from the keywords, then from the mapping; without one, from the caller's variables."""
        if unknown := [name for name in operands if name not in self.names]:
            raise TypeError(f"the expression {self.text!r} has no name {unknown[0]!r}")
        scopes = [operands, *([caller.f_locals, caller.f_globals] if names is None else [names])]
        shape, columns = _broadcast(_find(name, self.text, scopes) for name in self.names)
        rows = zip(*columns, strict=True) if columns else [()]
        items = [_value(self._tree, dict(zip(self.names, row, strict=True))) for row in rows]
        return _give(_in_shape(shape, items), out)


def compile(expression: str, /) -> Expression:  # noqa: A001 - the name that belongs to evaluate
    """The Expression of a text, for many calls; ValueError where the text is none."""
    if not isinstance(expression, str):
        raise TypeError(f"an expression must be a str, not {type(expression).__name__}")
    return Expression(expression)


def evaluate(
    expression: str,
    names: Mapping[str, Any] | None = None,
    out: Any = None,
    *,
    threads: int | None = None,
    **operands: Any,
) -> Any:
    """The value of an expression for every element.

    Names come from the keywords, then from the mapping ``names``; without one, from the caller's variables.
    """
    _check_threads(threads)
    return compile(expression)._apply(names, operands, out, sys._getframe(1))


# Matrices and grids.


def _matrix(x: Any, name: str) -> list[list[float]]:
    rows = _nested(x)
    shape = _shape_and_items(rows)[0]
    if len(shape) != 2:
        raise ValueError(f"{name}() takes a matrix (2 dimensions), not shape {shape}")
    return [list(row) for row in rows]


def matmul(a: Any, b: Any, out: Any = None, *, threads: int | None = None) -> Any:
    """The matrix product: rows of a times columns of b; a vector is a row on the left, a column on the right."""
    _check_threads(threads)
    (left, a_items), (right, b_items) = _shape_and_items(a), _shape_and_items(b)
    if not (1 <= len(left) <= 2 and 1 <= len(right) <= 2):
        raise ValueError(f"matmul() takes matrices and vectors (2 or 1 dimensions), not shapes {left} and {right}")
    if left[-1] != right[0]:
        raise ValueError(
            f"shapes {left} and {right} not aligned: {left[-1]} (dim {len(left) - 1}) != {right[0]} (dim 0)"
        )
    inner, count = right[0], right[1] if len(right) == 2 else 1
    rows = [a_items[i * inner : (i + 1) * inner] for i in builtins.range(left[0] if len(left) == 2 else 1)]
    columns = [b_items[j::count] for j in builtins.range(count)] if inner else [[]] * count
    product = [builtins.sum(map(operator.mul, row, column), 0.0) for row in rows for column in columns]
    return _give(_in_shape(left[:-1] + right[1:], product), out)


def _diffused(u: list[list[float]], rate: float, periodic: bool) -> list[list[float]]:
    height, width = len(u), len(u[0])
    result = [list(row) for row in u]
    edge = 0 if periodic else 1
    for y in builtins.range(edge, height - edge):
        up, row, down = u[y - 1], u[y], u[(y + 1) % height]
        for x in builtins.range(edge, width - edge):
            around = row[x - 1] + row[(x + 1) % width] + up[x] + down[x]
            result[y][x] = row[x] + rate * (around - 4.0 * row[x])
    return result


def diffuse(
    grid: Any,
    steps: int = 1,
    rate: float = 0.1,
    periodic: bool = True,
    out: Any = None,
    *,
    threads: int | None = None,
) -> Any:
    """The grid after some explicit steps of the diffusion equation: u += rate * (left + right + up + down - 4 u)."""
    _check_threads(threads)
    if operator.index(steps) < 0:
        raise ValueError(f"steps must not be negative, not {steps}")
    u = _matrix(grid, "diffuse")
    for _ in builtins.range(steps if u and u[0] else 0):
        u = _diffused(u, rate, periodic)
    return _give(u, out)


Pair = tuple[float, float]


def _picture(width: int, height: int, x: Pair, y: Pair, count: Callable[[float, float], int]) -> list[list[int]]:
    columns = [x[0] + i * ((x[1] - x[0]) / width) for i in builtins.range(width)]
    rows = [y[0] + j * ((y[1] - y[0]) / height) for j in builtins.range(height)]
    return [[count(re, im) for re in columns] for im in rows]


def _escape(z: Pair, c: Pair, iterations: int) -> int:
    """How many times z becomes z**2 + c before |z| > 2."""
    re, im = z
    n = 0
    while n < iterations and re * re + im * im <= 4.0:
        re, im = re * re - im * im + c[0], 2.0 * re * im + c[1]
        n += 1
    return n


def mandelbrot(
    width: int,
    height: int,
    *,
    x: Pair = (-2.5, 1.0),
    y: Pair = (-1.0, 1.0),
    iterations: int = 1000,
    exact: bool = False,
    out: Any = None,
    threads: int | None = None,
) -> Any:
    """Escape times on a grid of points c: z starts at 0. They are exact either way."""
    del exact
    _check_threads(threads)
    return _give(_picture(width, height, x, y, lambda re, im: _escape((0.0, 0.0), (re, im), iterations)), out)


def julia(
    c: complex,
    width: int,
    height: int,
    *,
    x: Pair = (-1.8, 1.8),
    y: Pair = (-1.8, 1.8),
    iterations: int = 300,
    exact: bool = False,
    out: Any = None,
    threads: int | None = None,
) -> Any:
    """Escape times on a grid of points z, with one c. They are exact either way."""
    del exact
    _check_threads(threads)
    c = complex(c)
    return _give(_picture(width, height, x, y, lambda re, im: _escape((re, im), (c.real, c.imag), iterations)), out)


def _escape_ship(c: Pair, iterations: int) -> int:
    re = im = 0.0
    n = 0
    while n < iterations and re * re + im * im <= 4.0:
        re, im = re * re - im * im + c[0], abs(2.0 * re * im) + c[1]
        n += 1
    return n


def burning_ship(
    width: int,
    height: int,
    *,
    x: Pair = (-2.5, 1.5),
    y: Pair = (-2.0, 1.0),
    iterations: int = 1000,
    exact: bool = False,
    out: Any = None,
    threads: int | None = None,
) -> Any:
    """Escape times of the burning ship: as mandelbrot(), but with |re z| and |im z| in place of re z and im z."""
    del exact
    _check_threads(threads)
    return _give(_picture(width, height, x, y, lambda re, im: _escape_ship((re, im), iterations)), out)
