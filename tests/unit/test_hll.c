/* test_hll.c - HyperLogLog against exact counts, and its state against every way of splitting and merging a set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "sketch/hll.h"

enum { EXACT_MAX = 3072 };

/* The n-th hash of a seeded set; all differ. */
static uint64_t nth_hash(uint64_t seed, uint64_t n) {
    return sw_hash_u64(sw_hash_u64(seed) + n + 1);
}

static void fill(struct sw_hll *hll, uint64_t seed, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++) {
        assert_int_equal(sw_hll_add(hll, nth_hash(seed, i)), SW_OK);
    }
}

static void assert_same(const struct sw_hll *a, const struct sw_hll *b) {
    struct sw_buf left = {0}, right = {0};
    assert_int_equal(sw_hll_count(a), sw_hll_count(b));
    assert_int_equal(sw_hll_encode(a, &left), SW_OK);
    assert_int_equal(sw_hll_encode(b, &right), SW_OK);
    assert_int_equal(left.len, right.len);
    assert_memory_equal(left.ptr, right.ptr, left.len);
    sw_buf_release(&left);
    sw_buf_release(&right);
}

static void zero_is_empty_and_small(void **state) {
    struct sw_hll hll = {0};
    assert_true(sizeof(hll) <= 48);
    assert_int_equal(sw_hll_count(&hll), 0);
    sw_hll_clear(&hll);
    sw_hll_release(&hll);
}

static void counts_are_exact_while_few(void **state) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct sw_hll hll = {0};
        for (uint64_t n = 0; n < EXACT_MAX; n++) {
            assert_int_equal(sw_hll_count(&hll), n);
            assert_int_equal(sw_hll_add(&hll, nth_hash(seed, n)), SW_OK);
            assert_int_equal(sw_hll_add(&hll, nth_hash(seed, n / 2)), SW_OK); /* seen before */
        }
        assert_int_equal(sw_hll_count(&hll), EXACT_MAX);
        sw_hll_release(&hll);
    }
}

static void eight_need_no_memory(void **state) {
    struct sw_hll hll = {0};
    sw_mem_fail_at(1);
    for (int round = 0; round < 3; round++) {
        fill(&hll, 3, 0, 8);
    }
    enum sw_status ninth = sw_hll_add(&hll, nth_hash(3, 8));
    sw_mem_fail_at(0);
    assert_int_equal(ninth, SW_NOMEM);
    assert_int_equal(sw_hll_count(&hll), 8);
    sw_hll_release(&hll);
}

/* 2 % at every checkpoint; the standard error is 0.81 %, so the root mean square must be near that, too. */
static void estimates_are_within_two_percent(void **state) {
    double squares = 0;
    int points = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct sw_hll hll = {0};
        uint64_t next = EXACT_MAX + 1, most = seed == 1 ? 10000000 : 1000000;
        for (uint64_t n = 1; n <= most; n++) {
            if (sw_hll_add(&hll, nth_hash(seed, n)) != SW_OK) {
                fail();
            }
            if (n != next && n != most) {
                continue;
            }
            double error = (double)sw_hll_count(&hll) / (double)n - 1.0;
            if (error > 0.02 || error < -0.02) {
                fail_msg("seed %d, %ld distinct: error %g", (int)seed, (long)n, error);
            }
            squares += error * error;
            points++;
            next += next / 4;
        }
        sw_hll_release(&hll);
    }
    assert_true(points > 80);
    assert_true(squares / points < 0.012 * 0.012);
}

/* Hashes whose bits behind the index are zero take the other form of digest. */
static void rare_hashes_count_too(void **state) {
    struct sw_hll hll = {0}, dense = {0};
    fill(&dense, 9, 0, 4000);
    uint64_t distinct = 0;
    for (uint64_t index = 0; index < 5; index++) {
        for (unsigned shift = 0; shift < 33; shift += 4) {
            uint64_t hash = index << 50 | (shift == 32 ? 0 : UINT64_C(1) << shift);
            assert_int_equal(sw_hll_add(&hll, hash), SW_OK);
            assert_int_equal(sw_hll_add(&dense, hash), SW_OK);
            distinct++;
        }
    }
    assert_int_equal(sw_hll_count(&hll), distinct);
    struct sw_hll whole = {0};
    fill(&whole, 9, 0, 4000);
    assert_int_equal(sw_hll_merge(&whole, &hll), SW_OK);
    assert_same(&whole, &dense);
    sw_hll_release(&hll);
    sw_hll_release(&dense);
    sw_hll_release(&whole);
}

/* All maximal registers are the far end of the estimator. */
static void saturated_registers_estimate_much(void **state) {
    struct sw_hll hll = {0};
    fill(&hll, 1, 0, 4000);
    for (uint64_t index = 0; index < 16384; index++) {
        assert_int_equal(sw_hll_add(&hll, index << 50 | 1), SW_OK);
    }
    assert_true(sw_hll_count(&hll) > UINT64_C(1) << 60);
    sw_hll_release(&hll);
}

/* merge(a, merge(b, c)) == merge(merge(a, b), c) == adding all, for sets of all stages, overlapping or not. */
static void merging_is_associative_and_commutative(void **state) {
    static const uint64_t sizes[] = {0, 1, 8, 9, 40, 1000, 1500, 3072, 3073, 20000};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    for (uint64_t round = 0; round < 60; round++) {
        uint64_t ends[3][2];
        struct sw_hll parts[3] = {{{0}}}, left = {{0}}, right = {{0}}, all = {{0}};
        for (uint64_t i = 0; i < 3; i++) {
            ends[i][0] = nth_hash(77, round * 6 + i) % 3000;
            ends[i][1] = ends[i][0] + sizes[nth_hash(78, round * 6 + i) % SIZES];
            fill(&parts[i], 5, ends[i][0], ends[i][1]);
        }
        for (int i = 2; i >= 0; i--) {
            fill(&all, 5, ends[i][0], ends[i][1]);
        }
        for (int i = 0; i < 3; i++) {
            assert_int_equal(sw_hll_merge(&left, &parts[i]), SW_OK);
        }
        assert_int_equal(sw_hll_merge(&right, &parts[2]), SW_OK);
        assert_int_equal(sw_hll_merge(&parts[1], &right), SW_OK);
        assert_int_equal(sw_hll_merge(&parts[0], &parts[1]), SW_OK);
        assert_same(&left, &all);
        assert_same(&parts[0], &all);
        assert_int_equal(sw_hll_merge(&all, &all), SW_OK);
        assert_same(&parts[0], &all);
        for (int i = 0; i < 3; i++) {
            sw_hll_release(&parts[i]);
        }
        sw_hll_release(&left);
        sw_hll_release(&right);
        sw_hll_release(&all);
    }
}

static void add_many_is_add(void **state) {
    static uint64_t hashes[20000];
    struct sw_hll one = {0}, many = {0};
    for (size_t i = 0; i < 20000; i++) {
        hashes[i] = nth_hash(21, i % 15000);
        assert_int_equal(sw_hll_add(&one, hashes[i]), SW_OK);
    }
    assert_int_equal(sw_hll_add_many(&many, hashes, 1234), SW_OK);
    assert_int_equal(sw_hll_add_many(&many, hashes + 1234, 20000 - 1234), SW_OK);
    assert_same(&one, &many);
    sw_hll_release(&one);
    sw_hll_release(&many);
}

static void clear_keeps_nothing_but_memory(void **state) {
    static const uint64_t sizes[] = {5, 3000, 12, 9, 20000, 300, 0, 4000, 11, 8, 3072};
    struct sw_hll reused = {0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sw_hll fresh = {0};
        fill(&reused, i, 0, sizes[i]);
        fill(&fresh, i, 0, sizes[i]);
        assert_same(&reused, &fresh);
        sw_hll_release(&fresh);
        sw_hll_clear(&reused);
        assert_int_equal(sw_hll_count(&reused), 0);
        fill(&reused, i, 0, sizes[i] / 2); /* the same again must be new */
        assert_true(sizes[i] / 2 > EXACT_MAX || sw_hll_count(&reused) == sizes[i] / 2);
        sw_hll_clear(&reused);
    }
    fill(&reused, 1, 0, 3000);
    sw_hll_clear(&reused);
    sw_mem_fail_at(1);
    fill(&reused, 2, 0, 3072); /* all in the memory it has */
    sw_mem_fail_at(0);
    assert_int_equal(sw_hll_count(&reused), 3072);
    sw_hll_release(&reused);
}

/* The n-th allocation fails: what was in stays in, and trying again completes the work. */
static void running_out_of_memory_loses_nothing(void **state) {
    static const uint64_t sizes[] = {3, 9, 100, 3072, 5000};
    for (size_t a = 0; a < 5; a++) {
        for (size_t b = 0; b < 5; b++) {
            for (size_t nth = 1; nth <= 12; nth++) {
                struct sw_hll into = {0}, from = {0}, whole = {0};
                fill(&into, 1, 0, sizes[a]);
                fill(&from, 2, 0, sizes[b]);
                fill(&whole, 1, 0, sizes[a]);
                fill(&whole, 2, 0, sizes[b]);
                sw_mem_fail_at(nth);
                enum sw_status status = sw_hll_merge(&into, &from);
                sw_mem_fail_at(0);
                assert_true(status == SW_OK || status == SW_NOMEM);
                assert_true(sw_hll_count(&into) * 102 >= sizes[a] * 100);
                assert_int_equal(sw_hll_merge(&into, &from), SW_OK);
                assert_same(&into, &whole);
                sw_hll_release(&into);
                sw_hll_release(&from);
                sw_hll_release(&whole);
            }
        }
    }
    struct sw_hll hll = {0};
    for (uint64_t n = 0; n < 5000; n++) {
        sw_mem_fail_at(1);
        enum sw_status status = sw_hll_add(&hll, nth_hash(3, n));
        sw_mem_fail_at(0);
        assert_true(n >= EXACT_MAX || sw_hll_count(&hll) == n + (status == SW_OK));
        assert_int_equal(sw_hll_add(&hll, nth_hash(3, n)), SW_OK);
    }
    sw_hll_release(&hll);
}

static void decoding_returns_what_was_encoded(void **state) {
    static const uint64_t sizes[] = {0, 1, 8, 9, 3072, 3073, 100000};
    struct sw_hll decoded = {0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sw_hll hll = {0};
        struct sw_buf bytes = {0};
        fill(&hll, i, 0, sizes[i]);
        assert_int_equal(sw_hll_encode(&hll, &bytes), SW_OK);
        assert_true(bytes.len <= 12292);
        assert_int_equal(sw_hll_decode(&decoded, sw_buf_view(&bytes)), SW_OK);
        assert_same(&decoded, &hll);
        fill(&hll, 99, 0, 50);
        fill(&decoded, 99, 0, 50);
        assert_same(&decoded, &hll);
        sw_buf_release(&bytes);
        sw_hll_release(&hll);
    }
    sw_hll_release(&decoded);
}

/* Many cuts and changed bytes: refused with the sketch as it was, or accepted as a sketch that encodes to it. */
static void decoding_refuses_what_is_damaged(void **state) {
    static const uint64_t sizes[] = {5, 40, 5000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sw_hll hll = {0}, decoded = {0};
        struct sw_buf bytes = {0};
        fill(&hll, i, 0, sizes[i]);
        assert_int_equal(sw_hll_encode(&hll, &bytes), SW_OK);
        size_t stride = bytes.len / 200 + 1, refused = 0;
        for (size_t at = 0; at < bytes.len; at += stride) {
            char *copy = malloc(bytes.len);
            assert_non_null(copy);
            memcpy(copy, bytes.ptr, bytes.len);
            copy[at] = (char)(copy[at] ^ 0xff);
            enum sw_status status = sw_hll_decode(&decoded, sw_str_make(copy, bytes.len));
            struct sw_buf again = {0};
            assert_int_equal(sw_hll_encode(&decoded, &again), SW_OK);
            if (status == SW_OK) {
                assert_int_equal(again.len, bytes.len);
                assert_memory_equal(again.ptr, copy, again.len);
                sw_hll_clear(&decoded);
            } else {
                assert_int_equal(again.len, 4);
                refused++;
            }
            sw_buf_release(&again);
            char *cut = malloc(at ? at : 1);
            assert_non_null(cut);
            memcpy(cut, bytes.ptr, at);
            status = sw_hll_decode(&decoded, sw_str_make(cut, at));
            assert_true(status == SW_MALFORMED || (status == SW_OK && at % 4 == 0 && sizes[i] <= EXACT_MAX));
            sw_hll_clear(&decoded);
            free(cut);
            free(copy);
        }
        assert_true(refused >= 4 / stride);
        bytes.ptr[2] = 2;
        assert_int_equal(sw_hll_decode(&decoded, sw_buf_view(&bytes)), SW_UNSUPPORTED);
        sw_buf_release(&bytes);
        sw_hll_release(&hll);
        sw_hll_release(&decoded);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_empty_and_small),
        cmocka_unit_test(counts_are_exact_while_few),
        cmocka_unit_test(eight_need_no_memory),
        cmocka_unit_test(estimates_are_within_two_percent),
        cmocka_unit_test(rare_hashes_count_too),
        cmocka_unit_test(saturated_registers_estimate_much),
        cmocka_unit_test(merging_is_associative_and_commutative),
        cmocka_unit_test(add_many_is_add),
        cmocka_unit_test(clear_keeps_nothing_but_memory),
        cmocka_unit_test(running_out_of_memory_loses_nothing),
        cmocka_unit_test(decoding_returns_what_was_encoded),
        cmocka_unit_test(decoding_refuses_what_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
