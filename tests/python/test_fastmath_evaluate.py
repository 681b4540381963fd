"""exp, log, where and expressions of sidewinder.fastmath against sidewinder.slowmath, and how operands are found."""

from __future__ import annotations

import math
import os
import pickle
import random
import subprocess
import sys
from array import array
from typing import Any

import pytest

from sidewinder import Array, fastmath, slowmath
from tests.python.fastmath_cases import (
    DTYPES,
    INF,
    NAN,
    SIZES,
    close,
    matrix_forms,
    random_matrix,
    random_values,
    rounded,
    vector_forms,
)

EXPRESSIONS = [
    "a*b + c",
    "a*b - c",
    "c - a*b",
    "(a + b) * (a - b) / (1 + c*c)",
    "a",
    "-a",
    "+a - -b",
    "2",
    "abs(a) + sqrt(abs(b))",
    "where(a > 0, a*b + c, exp(-a))",
    "where((a > 0) & (b < 1) | ~(c == c), a, b)",
    "minimum(a, b) + maximum(b, c)",
    "(a >= b) + (a <= b) * 2 + (a == b) * 4 + (a != b) * 8",
    "floor(a) + ceil(b) + round(c)",
    "sign(a) * log(abs(b) + 1)",
    "a**2 + b**3 - c**1",
    "abs(a)**0.5 + 2**b",
    "a // b + a % b",
    "log2(abs(a)) + log10(abs(b)) + log1p(abs(c)) + expm1(c)",
    "sin(a) * cos(b) + tan(c / 10) + tanh(a)",
    "pow(abs(a), b)",
    "1.5e0 * a + .5 * b + 2. * c + 1e-3",
    "  ( a\t+ b ) ",
]
EXPRESSIONS_COUNT = 7


class TestElementwise:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("name", ["exp", "log"])
    def test_against_the_oracle(self, name: str, dtype: str) -> None:
        fast, slow = getattr(fastmath, name), getattr(slowmath, name)
        tolerance = 4e-16 if dtype == "float64" else 1.3e-7
        for count in SIZES:
            values = random_values(count, dtype)
            expected = slow(values)
            for x in vector_forms(values, dtype):
                result = fast(x)
                assert (result.dtype, result.shape) == (dtype, (count,))
                assert close(result, expected, tolerance, 1e-300)
        rows = random_matrix(9, 300, dtype)
        for x in matrix_forms(rows, dtype):
            assert bytes(fast(x)) == bytes(fast(Array(rows, dtype)))

    def test_special_values(self) -> None:
        special = [0.0, -0.0, 1.0, INF, -INF, NAN, 1000.0, -1000.0, 709.7, -745.0, 5e-324, 1.7e308]
        assert fastmath.exp(special).tolist() == pytest.approx(slowmath.exp(special), rel=4e-16, nan_ok=True)
        assert fastmath.log(special).tolist() == pytest.approx(slowmath.log(special), rel=4e-16, nan_ok=True)

    def test_numbers(self) -> None:
        assert fastmath.exp(1) == pytest.approx(math.e, rel=4e-16)
        assert fastmath.log(True) == 0.0
        assert type(fastmath.exp(0.5)) is float
        assert fastmath.exp(Array(1.0)).shape == ()

    def test_a_number_stays_a_float_with_threads(self) -> None:
        for function in (fastmath.exp, fastmath.log):
            for number in (1.5, 1, True):
                for threads in (None, 1, 3):
                    result = function(number, threads=threads)
                    assert type(result) is float
                    assert result == function(number)
            with pytest.raises(ValueError, match="threads must lie in"):
                function(1.5, threads=0)
            with pytest.raises(TypeError, match="threads must be an int, not str"):
                function(1.5, threads="1")  # type: ignore[call-overload]

    def test_a_number_has_the_bits_of_an_element(self) -> None:
        values = [20 * value for value in random_values(3000)] + [0.0, -0.0, INF, -INF, 5e-324, -745.1, 709.78, 1e308]
        for function in (fastmath.exp, fastmath.log):
            assert repr([function(value) for value in values]) == repr(function(values).tolist())
            assert repr([function(x=value) for value in values]) == repr(function(values).tolist())
        assert math.isnan(fastmath.exp(NAN))
        assert math.isnan(fastmath.log(NAN))

    def test_every_processor_has_the_same_bits(self) -> None:
        code = (
            "import random; from sidewinder import fastmath; rng = random.Random(1)\n"
            "values = [rng.gauss(1, 60) for _ in range(2000)]\n"
            "print([(fastmath.exp(v), fastmath.log(v)) for v in values] + fastmath.exp(values).tolist())"
        )
        outputs = {
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "SIDEWINDER_CPU": level},
                timeout=120,
                check=True,
                stdout=subprocess.PIPE,
            ).stdout
            for level in ("scalar", "avx2", "avx512")
        }
        assert len(outputs) == 1

    def test_out(self) -> None:
        x = Array(random_values(3000))
        expected = fastmath.exp(x)
        for out in (Array([0] * 3000), array("d", bytes(24000))):
            assert fastmath.exp(x, out) is out
            assert list(out) == expected.tolist()
        assert fastmath.exp(x, out=x, threads=2) is x
        assert x == expected


class TestExpressions:
    @pytest.mark.parametrize("expression", EXPRESSIONS)
    @pytest.mark.parametrize("count", [1, 5, 100, 3000])
    def test_against_the_oracle(self, expression: str, count: int) -> None:
        columns = {name: random_values(count, seed=seed) for seed, name in enumerate("abc")}
        used = fastmath.compile(expression).names
        operands = {name: columns[name] for name in used}
        expected = slowmath.evaluate(expression, operands)
        forms = [vector_forms(values, "float64") for values in operands.values()]
        for i in range(5 if forms else 1):
            chosen = {
                name: form[(i + shift) % 5] for shift, (name, form) in enumerate(zip(operands, forms, strict=True))
            }
            result = fastmath.evaluate(expression, chosen)
            assert close(result, expected, 1e-12)

    def test_fma_rounds_once(self) -> None:
        a, b, c = 1 + 2**-30, 1 - 2**-30, -1.0
        assert fastmath.evaluate("fma(a, b, c)", a=a, b=b, c=c) == -(2.0**-60)
        assert fastmath.evaluate("a*b + c", a=a, b=b, c=c) == a * b + c == 0.0

    def test_dtypes(self) -> None:
        f32, f64 = Array([1, 2], "float32"), Array([0.1, 0.2])
        assert fastmath.evaluate("a + 0.1", a=f32).dtype == "float32"
        assert fastmath.evaluate("a + b", a=f32, b=0.1).dtype == "float32"
        assert fastmath.evaluate("a + b", a=f32, b=f64).tolist() == [1.1, 2.2]
        assert fastmath.evaluate("a + b", a=array("i", [1, 2]), b=[1, 2]).dtype == "float64"
        assert fastmath.evaluate("a * b", a=3, b=True) == 3.0
        wide = Array([0.0, 0.0])
        assert fastmath.evaluate("a / 3", a=f32, out=wide) is wide
        assert wide.tolist() == [1 / 3, 2 / 3]
        narrow = Array([0, 0], "float32")
        assert fastmath.evaluate("a / 3", a=f64, out=narrow).tolist() == rounded([0.1 / 3, 0.2 / 3], "float32")

    def test_broadcasting(self) -> None:
        rng = random.Random(5)
        for _ in range(200):
            full = [rng.randint(1, 5) for _ in range(rng.randint(1, 4))]
            operands = {}
            for name in "abc":
                shape = [size if rng.random() < 0.7 else 1 for size in full][rng.randint(0, len(full)) :]
                values = random_values(math.prod(shape), seed=rng.randint(1, 10**6))
                operands[name] = Array(values).reshape(shape)
                if shape and rng.random() < 0.3:
                    operands[name] = operands[name][::-1]
            result = fastmath.evaluate("a*b + c", operands)
            expected = Array(slowmath.evaluate("a*b + c", operands))
            assert getattr(result, "shape", ()) == expected.shape
            assert close(result, expected)
        with pytest.raises(ValueError, match=r"could not be broadcast together: shape \(2,\) and, of 'b', \(3,\)"):
            fastmath.evaluate("a + b", a=[1, 2], b=[1, 2, 3])
        assert fastmath.evaluate("a + b", a=[], b=[[1], [2]]).shape == (2, 0)

    def test_names_in_the_caller(self) -> None:
        a, b = Array([1.0, 2.0]), 10
        assert fastmath.evaluate("a*b + EXPRESSIONS_COUNT").tolist() == [10 + EXPRESSIONS_COUNT, 20 + EXPRESSIONS_COUNT]
        assert fastmath.evaluate("a*b", b=3).tolist() == [3, 6]
        assert fastmath.evaluate("a*b", {"a": 2, "b": 5}) == 10
        assert fastmath.evaluate("a*b", names={"a": 2}, b=7) == 14
        assert fastmath.compile("a*b")().tolist() == [10, 20]

        def inner() -> Any:
            a = b + 2  # noqa: F841 - found by its name
            return fastmath.evaluate("a + 2")

        assert inner() == 14
        with pytest.raises(NameError, match="name 'b' of the expression 'a\\*b' is not defined"):
            fastmath.evaluate("a*b", {"a": a})
        with pytest.raises(NameError, match="'missing'"):
            fastmath.evaluate("missing + 1")

        class Body:
            a = 4
            value = fastmath.evaluate("a * 2")

        assert Body.value == 8

    def test_operands_with_the_names_of_arguments(self) -> None:
        """They are in the mapping or the caller's variables: the keyword is the argument."""
        assert fastmath.evaluate("threads*10", {"threads": 7}, threads=2) == 70.0
        out = Array([0.0])
        assert fastmath.evaluate("out + 1", {"out": [5.0]}, out=out) is out
        assert out[0] == 6.0
        assert fastmath.evaluate("names + 1", names={"names": 1}) == 2.0
        assert fastmath.evaluate(expression="expression + 1", names={"expression": 1}) == 2.0
        assert fastmath.compile("out + threads")({"out": 3, "threads": 4}, threads=1) == 7.0
        threads = 5
        assert fastmath.evaluate("threads + 1", threads=1) == threads + 1
        with pytest.raises(NameError, match=r"name 'out' .* give it in the mapping"):
            fastmath.evaluate("out + 1", {}, out=out)

    def test_one_text(self) -> None:
        with pytest.raises(TypeError, match="multiple values for argument 'expression'"):
            fastmath.evaluate("a + 1", a=1, expression="a + 2")  # type: ignore[misc]
        with pytest.raises(TypeError, match="'a \\+ 1' has no name 'expression'"):
            fastmath.compile("a + 1")(a=1, expression="a + 2")
        assert fastmath.compile("expression + 1")(expression=2) == 3.0

    def test_a_mapping_that_fails(self) -> None:
        class Names(dict[str, float]):
            def __missing__(self, key: str) -> float:
                if key == "b":
                    raise RuntimeError("the source broke")
                return 2.0

        assert fastmath.evaluate("a + c", Names()) == 4.0
        with pytest.raises(RuntimeError, match="the source broke"):
            fastmath.evaluate("a + b", Names())

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a +",
            "a b",
            "1 +* 2",
            "(a",
            "a)",
            "f(a)",
            "exp()",
            "exp(a, b)",
            "a.b",
            "a = b",
            "'x'",
            "[a]",
            "lambda: 1",
            "\0",
            "a\0b",
            "ü $",
        ],
    )
    def test_texts_that_are_no_expression(self, text: str) -> None:
        with pytest.raises(ValueError, match="cannot compile"):
            fastmath.evaluate(text, {"a": 1, "b": 2})
        with pytest.raises(ValueError, match="cannot compile"):
            fastmath.compile(text)

    def test_refused(self) -> None:
        with pytest.raises(TypeError, match="has no name 'z'"):
            fastmath.evaluate("a", a=1, z=2)
        with pytest.raises(TypeError, match="must be a str"):
            fastmath.evaluate(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="missing required argument 'expression'"):
            fastmath.evaluate()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="at most 3"):
            fastmath.evaluate("a", {}, None, 1)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="multiple values"):
            fastmath.evaluate("a", {"a": 1}, names={"a": 1})  # type: ignore[misc]
        with pytest.raises(ValueError, match="threads must lie"):
            fastmath.evaluate("a", a=[1, 2], threads=0)
        with pytest.raises(TypeError, match="not str"):
            fastmath.evaluate("a", a="text")
        with pytest.raises(UnicodeEncodeError):
            fastmath.evaluate("\ud800")
        many = "+".join(f"x{i}" for i in range(40))
        with pytest.raises(ValueError, match="cannot compile"):
            fastmath.compile(many)

    def test_compiled(self) -> None:
        expression = fastmath.compile("where(a > lim, b, a*b)")
        assert expression.text == "where(a > lim, b, a*b)"
        assert expression.names == ("a", "lim", "b")
        assert repr(expression) == "compile('where(a > lim, b, a*b)')"
        assert expression(a=[1, 5], lim=3, b=10).tolist() == [10, 10]
        assert expression({"a": 5, "lim": 9, "b": 2}) == 10
        again = pickle.loads(pickle.dumps(expression))
        assert again(a=1, b=2, lim=0) == 2
        with pytest.raises(TypeError, match="cannot create"):
            type(expression)()

    def test_more_texts_than_are_remembered(self) -> None:
        for _ in range(2):
            for i in range(600):
                assert fastmath.evaluate(f"a + {i}", a=1) == 1 + i

    def test_out_and_in_place(self) -> None:
        a, b = Array(random_values(5000)), Array(random_values(5000, seed=2))
        expected = fastmath.evaluate("a*b + 1", a=a, b=b)
        assert fastmath.evaluate("a*b + 1", a=a, b=b, out=a, threads=2) is a
        assert a == expected
        with pytest.raises(ValueError, match="out overlaps a"):
            fastmath.evaluate("a + b", a=a[1:], b=b[1:], out=a[:-1])
        with pytest.raises(ValueError, match="out overlaps a"):
            fastmath.evaluate("a + b", a=a[::-1], b=b, out=a)
        with pytest.raises(ValueError, match="out overlaps a"):  # read by every row, written by the first
            fastmath.evaluate("a + b", a=a[:100], b=b.reshape(50, 100), out=a.reshape(50, 100))
        with pytest.raises(ValueError, match=r"out has shape \(5000,\).*; the result has shape \(4999,\)"):
            fastmath.evaluate("a + 1", a=a[1:], out=b)

    def test_where(self) -> None:
        cond = [1, 0, NAN, -2, 0.0]
        assert fastmath.where(cond, 1, 2).tolist() == slowmath.where(cond, 1, 2) == [1, 2, 1, 1, 2]
        rows = [[1.0], [2.0]]
        assert fastmath.where(array("b", [1, 0, 1]), rows, 0).tolist() == slowmath.where([1, 0, 1], rows, 0)
        assert fastmath.where(True, 5, 6) == 5.0
        x = Array([1, -1, 2])
        assert fastmath.where(fastmath.evaluate("x > 0"), x, 0, out=x) is x
        assert x.tolist() == [1, 0, 2]
        with pytest.raises(ValueError, match="broadcast"):
            fastmath.where([1, 0], [1, 2, 3], 0)
