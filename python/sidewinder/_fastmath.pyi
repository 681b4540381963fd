import array as _array
from collections.abc import Iterable, Iterator, Mapping
from types import EllipsisType
from typing import Any, Final, SupportsFloat, SupportsIndex, TypeAlias, final, overload

from _typeshed import structseq
from typing_extensions import Buffer, Self

# Elements of buffers are found at run time only. What holds no array of NumPy's gives an Array; other things give what
# NumPy's type checker should not have to be installed for: Any.

_Number: TypeAlias = SupportsFloat | SupportsIndex
_Numbers: TypeAlias = Buffer | _Number | Iterable[_Numbers]
_Plain: TypeAlias = Array | list[Any] | tuple[Any, ...] | range | memoryview | _array.array[Any] | bytes | bytearray
_Index: TypeAlias = SupportsIndex | slice | EllipsisType

@final
class Array:
    def __new__(cls, data: _Numbers, dtype: str | None = None) -> Self: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def itemsize(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def T(self) -> Array: ...  # noqa: N802 - as in NumPy
    def tolist(self) -> Any: ...
    def copy(self) -> Array: ...
    def reshape(self, *shape: SupportsIndex | Iterable[SupportsIndex]) -> Array: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, index: _Index | tuple[_Index, ...], /) -> Any: ...
    def __setitem__(self, index: _Index | tuple[_Index, ...], value: _Numbers, /) -> None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]: ...
    __hash__: None  # type: ignore[assignment]

@final
class Expression:
    @property
    def text(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    def __call__(
        self,
        names: Mapping[str, _Numbers] | None = None,
        out: Buffer | None = None,
        *,
        threads: int | None = None,
        **operands: _Numbers,
    ) -> Any: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def sum(x: _Numbers, *, threads: int | None = None) -> float: ...  # noqa: A001
def mean(x: _Numbers, *, threads: int | None = None) -> float: ...
def norm(x: _Numbers, *, threads: int | None = None) -> float: ...
def var(x: _Numbers, ddof: _Number = 0, *, threads: int | None = None) -> float: ...
def std(x: _Numbers, ddof: _Number = 0, *, threads: int | None = None) -> float: ...
def minmax(x: _Numbers, *, threads: int | None = None) -> tuple[float, float]: ...

@final
class Summary(structseq[float], tuple[int, float, float, float, float, float]):
    __match_args__: Final = ("count", "mean", "var", "std", "min", "max")
    @property
    def count(self) -> int: ...  # type: ignore[override]
    @property
    def mean(self) -> float: ...
    @property
    def var(self) -> float: ...
    @property
    def std(self) -> float: ...
    @property
    def min(self) -> float: ...
    @property
    def max(self) -> float: ...

def summary(x: _Numbers, ddof: _Number = 0, *, threads: int | None = None) -> Summary: ...
def dot(x: _Numbers, y: _Numbers, *, threads: int | None = None) -> float: ...
def corr(x: _Numbers, y: _Numbers, *, threads: int | None = None) -> float: ...
def linear_regression(x: _Numbers, y: _Numbers, *, threads: int | None = None) -> tuple[float, float, float]: ...
def median(x: _Numbers, *, threads: int | None = None) -> float: ...
@overload
def quantile(x: _Numbers, q: float, *, threads: int | None = None) -> float: ...
@overload
def quantile(x: _Plain, q: _Plain, *, threads: int | None = None) -> Array: ...
@overload
def quantile(x: _Numbers, q: _Numbers, *, threads: int | None = None) -> Any: ...
@overload
def histogram(
    x: _Plain,
    bins: int = 10,
    range: Iterable[_Number] | None = None,
    *,
    threads: int | None = None,
) -> tuple[Array, Array]: ...
@overload
def histogram(
    x: _Numbers,
    bins: int = 10,
    range: Iterable[_Number] | None = None,
    *,
    threads: int | None = None,
) -> tuple[Any, Any]: ...
@overload
def ewma(x: _Plain, alpha: _Number, out: None = None) -> Array: ...
@overload
def ewma(x: _Numbers, alpha: _Number, out: Buffer | None = None) -> Any: ...
@overload
def exp(x: float, out: None = None, *, threads: int | None = None) -> float: ...
@overload
def exp(x: _Plain, out: None = None, *, threads: int | None = None) -> Array: ...
@overload
def exp(x: _Numbers, out: Buffer | None = None, *, threads: int | None = None) -> Any: ...
@overload
def log(x: float, out: None = None, *, threads: int | None = None) -> float: ...
@overload
def log(x: _Plain, out: None = None, *, threads: int | None = None) -> Array: ...
@overload
def log(x: _Numbers, out: Buffer | None = None, *, threads: int | None = None) -> Any: ...
def where(
    cond: _Numbers, a: _Numbers, b: _Numbers, out: Buffer | None = None, *, threads: int | None = None
) -> Any: ...
def evaluate(
    expression: str,
    names: Mapping[str, _Numbers] | None = None,
    out: Buffer | None = None,
    *,
    threads: int | None = None,
    **operands: _Numbers,
) -> Any: ...
def compile(expression: str, /) -> Expression: ...  # noqa: A001
def matmul(a: _Numbers, b: _Numbers, out: Buffer | None = None, *, threads: int | None = None) -> Any: ...
@overload
def diffuse(
    grid: _Plain,
    steps: int = 1,
    rate: _Number = 0.1,
    periodic: bool = True,
    out: None = None,
    *,
    threads: int | None = None,
) -> Array: ...
@overload
def diffuse(
    grid: _Numbers,
    steps: int = 1,
    rate: _Number = 0.1,
    periodic: bool = True,
    out: Buffer | None = None,
    *,
    threads: int | None = None,
) -> Any: ...
@overload
def mandelbrot(
    width: int,
    height: int,
    *,
    x: Iterable[_Number] = (-2.5, 1.0),
    y: Iterable[_Number] = (-1.0, 1.0),
    iterations: int = 1000,
    exact: bool = False,
    out: None = None,
    threads: int | None = None,
) -> Array: ...
@overload
def mandelbrot(
    width: int,
    height: int,
    *,
    x: Iterable[_Number] = (-2.5, 1.0),
    y: Iterable[_Number] = (-1.0, 1.0),
    iterations: int = 1000,
    exact: bool = False,
    out: Buffer,
    threads: int | None = None,
) -> Any: ...
@overload
def julia(
    c: complex,
    width: int,
    height: int,
    *,
    x: Iterable[_Number] = (-1.8, 1.8),
    y: Iterable[_Number] = (-1.8, 1.8),
    iterations: int = 300,
    exact: bool = False,
    out: None = None,
    threads: int | None = None,
) -> Array: ...
@overload
def julia(
    c: complex,
    width: int,
    height: int,
    *,
    x: Iterable[_Number] = (-1.8, 1.8),
    y: Iterable[_Number] = (-1.8, 1.8),
    iterations: int = 300,
    exact: bool = False,
    out: Buffer,
    threads: int | None = None,
) -> Any: ...
@overload
def burning_ship(
    width: int,
    height: int,
    *,
    x: Iterable[_Number] = (-2.5, 1.5),
    y: Iterable[_Number] = (-2.0, 1.0),
    iterations: int = 1000,
    exact: bool = False,
    out: None = None,
    threads: int | None = None,
) -> Array: ...
@overload
def burning_ship(
    width: int,
    height: int,
    *,
    x: Iterable[_Number] = (-2.5, 1.5),
    y: Iterable[_Number] = (-2.0, 1.0),
    iterations: int = 1000,
    exact: bool = False,
    out: Buffer,
    threads: int | None = None,
) -> Any: ...
def _restore(buffer: Buffer, shape: Iterable[SupportsIndex], dtype: str, /) -> Array: ...
