/* fuzz_sketch.c - Arbitrary bytes as encoded sketches: what is accepted must work, and encode to the same bytes. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "sketch/ddsketch.h"
#include "sketch/hll.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect(int is_true) {
    if (!is_true) {
        __builtin_trap();
    }
}

static void expect_same(struct sw_buf *again, struct sw_str text) {
    expect(sw_str_eq(sw_buf_view(again), text));
    sw_buf_release(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct sw_str text = sw_str_make((const char *)bytes, size);
    struct sw_ddsketch quantiles = {0}, merged = {0};
    struct sw_hll distinct = {0}, united = {0};
    struct sw_buf again = {0};
    if (sw_ddsketch_decode(&quantiles, text) == SW_OK) {
        expect(sw_ddsketch_encode(&quantiles, &again) == SW_OK);
        expect_same(&again, text);
        expect((sw_ddsketch_count(&quantiles) == 0) == (isnan(sw_ddsketch_quantile(&quantiles, 0.5)) != 0));
        expect(sw_ddsketch_add(&merged, 1.0) == SW_OK && sw_ddsketch_merge(&merged, &quantiles) == SW_OK);
    }
    if (sw_hll_decode(&distinct, text) == SW_OK) {
        expect(sw_hll_encode(&distinct, &again) == SW_OK);
        expect_same(&again, text);
        expect(sw_hll_add(&united, UINT64_MAX) == SW_OK && sw_hll_merge(&united, &distinct) == SW_OK);
        expect(sw_hll_count(&united) >= 1);
    }
    sw_ddsketch_release(&quantiles);
    sw_ddsketch_release(&merged);
    sw_hll_release(&distinct);
    sw_hll_release(&united);
    return 0;
}
