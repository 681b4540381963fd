"""sidewinder.sketch against exact answers, and its errors."""

from __future__ import annotations

import random
import threading
from array import array
from collections import Counter

import pytest

from sidewinder.sketch import DDSketch, HeavyItem, HyperLogLog, SpaceSaving


class TestHyperLogLog:
    def test_empty(self) -> None:
        assert HyperLogLog().estimate() == 0

    def test_few_are_exact(self) -> None:
        sketch = HyperLogLog()
        sketch.update(f"user {i % 1000}" for i in range(5000))
        assert sketch.estimate() == 1000
        assert repr(sketch) == "<HyperLogLog estimate=1000>"

    def test_many_are_within_two_percent(self) -> None:
        sketch = HyperLogLog()
        sketch.update(array("d", range(300_000)))
        assert sketch.estimate() == pytest.approx(300_000, rel=0.02)

    def test_equal_items_count_once(self) -> None:
        sketch = HyperLogLog()
        sketch.update([1, 1.0, True, 0.0, -0.0, float("nan"), -float("nan")])
        assert sketch.estimate() == 3
        sketch.update(["a", b"a", bytearray(b"a"), memoryview(b"a")])
        assert sketch.estimate() == 4
        sketch.add("1")
        assert sketch.estimate() == 5

    def test_buffer_and_items_agree(self) -> None:
        values = [0.0, -0.0, 1.5, -2.5, 1e300, float("nan"), float("inf")] * 300
        by_item, by_buffer = HyperLogLog(), HyperLogLog()
        by_item.update(values)
        by_buffer.update(array("d", values))
        assert by_item.to_bytes() == by_buffer.to_bytes()

    def test_merge_is_the_union(self) -> None:
        whole, left, right = HyperLogLog(), HyperLogLog(), HyperLogLog()
        items = [str(i) for i in range(20_000)]
        whole.update(items)
        left.update(items[:15_000])
        right.update(items[10_000:])
        left.merge(right)
        assert left.to_bytes() == whole.to_bytes()
        left.merge(left)
        assert left.estimate() == whole.estimate()

    def test_bytes_round_trip(self) -> None:
        sketch = HyperLogLog()
        sketch.update(map(str, range(5000)))
        again = HyperLogLog.from_bytes(sketch.to_bytes())
        assert again.estimate() == sketch.estimate()
        for broken in (b"", b"x", sketch.to_bytes()[:-1]):
            with pytest.raises(ValueError, match=r"malformed|not supported"):
                HyperLogLog.from_bytes(broken)

    def test_clear(self) -> None:
        sketch = HyperLogLog()
        sketch.update(["a", "b", "c"])
        sketch.clear()
        assert sketch.estimate() == 0

    def test_refused_items(self) -> None:
        sketch = HyperLogLog()
        for wrong in (None, [], object()):
            with pytest.raises(TypeError):
                sketch.add(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="not a str"):
            sketch.update("abc")
        with pytest.raises(TypeError, match="float64"):
            sketch.update(array("f", [1.0]))
        with pytest.raises(TypeError, match="float64"):
            sketch.update(b"abc")
        with pytest.raises(OverflowError, match="2\\*\\*53"):
            sketch.add(2**53 + 2)
        with pytest.raises(UnicodeEncodeError):
            sketch.add("\ud800")
        with pytest.raises(TypeError, match="HyperLogLog"):
            sketch.merge(DDSketch())  # type: ignore[arg-type]
        assert sketch.estimate() == 0

    def test_an_error_of_the_iterable_comes_through(self) -> None:
        def items() -> object:
            yield "a"
            raise KeyError("the source broke")

        sketch = HyperLogLog()
        with pytest.raises(KeyError, match="the source broke"):
            sketch.update(items())  # type: ignore[arg-type]
        assert sketch.estimate() == 1


class TestDDSketch:
    def test_empty(self) -> None:
        sketch = DDSketch()
        assert sketch.count == 0
        assert sketch.quantile(0.5) != sketch.quantile(0.5)  # NaN

    @pytest.mark.parametrize("q", [0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1])
    def test_within_one_percent(self, q: float) -> None:
        rng = random.Random(7)
        values = sorted(rng.lognormvariate(0, 2) * rng.choice((-1, 1)) for _ in range(20_000))
        sketch = DDSketch()
        sketch.update(values)
        assert sketch.count == len(values)
        assert sketch.quantile(q) == pytest.approx(values[int(q * (len(values) - 1))], rel=0.01)

    def test_buffer_and_items_agree(self) -> None:
        rng = random.Random(8)
        values = [rng.gauss(0, 1e6) for _ in range(5000)] + [0.0, 5e-324, float("inf"), float("nan")]
        by_item, by_buffer = DDSketch(), DDSketch()
        for value in values:
            by_item.add(value)
        by_buffer.update(memoryview(array("d", values)))
        assert by_item.count == by_buffer.count == 5003
        assert by_item.to_bytes() == by_buffer.to_bytes()

    def test_buffers_of_any_shape_must_be_contiguous(self) -> None:
        grid = memoryview(array("d", range(12))).cast("B").cast("d", (3, 4))
        sketch = DDSketch()
        sketch.update(grid)
        assert sketch.count == 12
        with pytest.raises(BufferError):
            sketch.update(memoryview(array("d", range(12)))[::2])

    def test_merge_is_the_union(self) -> None:
        whole, left, right = DDSketch(), DDSketch(), DDSketch()
        whole.update(range(1000))
        left.update(range(400))
        right.update(range(400, 1000))
        left.merge(right)
        assert left.to_bytes() == whole.to_bytes()
        left.merge(left)
        assert left.count == 2000

    def test_bytes_round_trip(self) -> None:
        sketch = DDSketch()
        sketch.update(range(1, 5000))
        again = DDSketch.from_bytes(sketch.to_bytes())
        assert again.quantile(0.9) == sketch.quantile(0.9)
        with pytest.raises(ValueError, match="malformed"):
            DDSketch.from_bytes(b"")

    def test_refused(self) -> None:
        sketch = DDSketch()
        for q in (-0.1, 1.1, float("nan")):
            with pytest.raises(ValueError, match="q must lie"):
                sketch.quantile(q)
        with pytest.raises(TypeError):
            sketch.add("1")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            sketch.update(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            DDSketch(1)  # type: ignore[call-arg]

    def test_threads_share_one_sketch(self) -> None:
        sketch = DDSketch()
        values = array("d", range(1, 50_001))

        def work() -> None:
            for _ in range(4):
                sketch.update(values)
                sketch.add(1.0)
                sketch.quantile(0.5)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sketch.count == 16 * 50_001

    def test_update_from_an_iterable_that_uses_the_sketch(self) -> None:
        sketch = DDSketch()
        sketch.update(float(sketch.count) for _ in range(5))
        assert sketch.count == 5
        assert sketch.quantile(1) == pytest.approx(4, rel=0.01)


class TestSpaceSaving:
    def test_few_are_exact(self) -> None:
        sketch = SpaceSaving()
        sketch.update(iter("abracadabra"))
        assert sketch.top(3) == [("a", 5, 0), ("b", 2, 0), ("r", 2, 0)]
        assert sketch.top(3)[0].item == "a"
        assert isinstance(sketch.top(1)[0], HeavyItem)
        assert sketch.total == 11
        assert sketch.capacity == 100
        assert len(sketch.top()) == 5
        assert sketch.top(0) == []

    def test_bounds_hold(self) -> None:
        rng = random.Random(9)
        stream = [f"key {int(rng.paretovariate(1))}" for _ in range(50_000)]
        exact = Counter(stream)
        sketch = SpaceSaving(capacity=50)
        sketch.update(stream)
        rows = sketch.top(50)
        assert len(rows) == 50
        for row in rows:
            assert row.count - row.error <= exact[row.item] <= row.count
            assert row.error <= len(stream) / 50
        listed = {row.item for row in rows}
        assert {item for item, weight in exact.items() if weight > len(stream) / 50} <= listed

    def test_weights(self) -> None:
        sketch = SpaceSaving()
        sketch.update(Counter({"x": 5, "y": 7}))
        sketch.add("x", 3)
        sketch.add("z", weight=0)
        assert sketch.top() == [("x", 8, 0), ("y", 7, 0)]

    def test_merge(self) -> None:
        left, right = SpaceSaving(10), SpaceSaving(10)
        left.update(["a", "a", "b"])
        right.update(["b", "c"])
        left.merge(right)
        assert left.top() == [("a", 2, 0), ("b", 2, 0), ("c", 1, 0)]
        left.merge(left)
        assert left.total == 10
        left.clear()
        assert left.top() == []
        assert left.capacity == 10

    def test_text_beyond_ascii(self) -> None:
        sketch = SpaceSaving()
        sketch.add("grün")
        sketch.add("ü" * 200)
        items = {row.item for row in sketch.top()}
        assert "grün" in items
        assert "ü" * 127 + "\ufffd" in items  # 255 bytes of the 400

    def test_refused(self) -> None:
        for capacity in (0, -1, 2**24 + 1):
            with pytest.raises(ValueError, match="capacity"):
                SpaceSaving(capacity)
        sketch = SpaceSaving()
        with pytest.raises(TypeError, match="must be a str"):
            sketch.add(b"x")  # type: ignore[arg-type]
        with pytest.raises(OverflowError):
            sketch.add("x", -1)
        with pytest.raises(TypeError):
            sketch.add("x", 1.5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="negative"):
            sketch.top(-1)
        with pytest.raises(TypeError):
            sketch.top(k=3)  # type: ignore[call-arg]
        assert sketch.total == 0
