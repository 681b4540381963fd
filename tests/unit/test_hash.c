/* test_hash.c - Hashing: no over-read, every bit counts, few collisions, answers that never change. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "guard_page.h"

enum { LONGEST = 200 };

static void fill(unsigned char *bytes, size_t len, uint64_t seed) {
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (unsigned char)sw_hash_u64(seed * 1000 + i);
    }
}

static void reads_exactly_its_bytes(void **state) {
    unsigned char around[LONGEST + 2];
    for (size_t len = 0; len <= LONGEST; len++) {
        unsigned char bytes[LONGEST];
        fill(bytes, len, len);
        struct sw_str placed = guard_place(sw_str_make((const char *)bytes, len));
        uint64_t hash = sw_hash_bytes(placed.ptr, placed.len, 7);
        /* The same bytes between others and at an odd address: same hash. */
        memset(around, 0xa5, sizeof(around));
        memcpy(around + 1, bytes, len);
        assert_true(sw_hash_bytes(around + 1, len, 7) == hash);
    }
    assert_true(sw_hash_bytes(NULL, 0, 7) == sw_hash_bytes("", 0, 7));
}

/* Sketches are merged across machines and releases: whoever changes these numbers breaks stored ones. */
static void answers_never_change(void **state) {
    static const struct {
        const char *text;
        uint64_t hash;
    } rows[] = {
        {"", UINT64_C(0x5043c6c1b19a02d3)},
        {"a", UINT64_C(0x60f5a00ddbbf6309)},
        {"abc", UINT64_C(0xbb56fb374edf2dd4)},
        {"price", UINT64_C(0x1ff139a1d4c2d211)},
        {"sidewinder", UINT64_C(0xea51c8cc0793b2f3)},
        {"a key of twenty-five chars", UINT64_C(0xba68e45788d696c6)},
        {"a text that is longer than the forty-eight bytes of a round of three lanes", UINT64_C(0xfcab8b522eba615e)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(sw_hash_bytes(rows[i].text, strlen(rows[i].text), 0), rows[i].hash);
    }
    assert_int_equal(sw_hash_u64(0), 0);
    assert_int_equal(sw_hash_u64(1), UINT64_C(0x4179b061e0c0e0d0));
}

/* Every bit of key and seed changes every bit of the hash about half of the time. */
static void every_bit_counts(void **state) {
    enum { KEYS = 400 };
    static const size_t lengths[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 33, 48, 49, 100};
    for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
        size_t len = lengths[l];
        for (size_t bit = 0; bit < 8 * len + 64; bit++) {
            int flips[64] = {0};
            for (uint64_t key = 0; key < KEYS; key++) {
                unsigned char bytes[LONGEST];
                fill(bytes, len, key);
                uint64_t seed = sw_hash_u64(key + 99);
                uint64_t hash = sw_hash_bytes(bytes, len, seed);
                if (bit < 8 * len) {
                    bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
                } else {
                    seed ^= UINT64_C(1) << (bit - 8 * len);
                }
                hash ^= sw_hash_bytes(bytes, len, seed);
                for (int i = 0; i < 64; i++) {
                    flips[i] += (int)(hash >> i & 1);
                }
            }
            for (int i = 0; i < 64; i++) {
                /* 400 throws of a coin: 200 +- 10; six sigmas are missed once in 5e8, and 5e5 counts are looked at. */
                assert_in_range(flips[i], 140, 260);
            }
        }
    }
}

static int compare_u32(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static unsigned collisions(uint32_t *hashes, size_t count) {
    unsigned found = 0;
    qsort(hashes, count, sizeof(hashes[0]), compare_u32);
    for (size_t i = 1; i < count; i++) {
        found += hashes[i] == hashes[i - 1];
    }
    return found;
}

/* 2^18 keys in 32 bits: 8 collisions are expected by chance, 30 would be a fault. Each half of the hash has to do. */
static void similar_keys_spread(void **state) {
    enum { KEYS = 1 << 18 };
    static uint32_t low[KEYS];
    static uint32_t high[KEYS];
    static const char *const formats[] = {"%d", "key-%d", "%08d", "sensor/%d/temperature",
                                          "%d of a text longer than 16"};
    for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]) + 2; f++) {
        for (int i = 0; i < KEYS; i++) {
            char key[64] = {0};
            size_t len = 8;
            if (f < sizeof(formats) / sizeof(formats[0])) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                len = (size_t)snprintf(key, sizeof(key), formats[f], i);
#pragma GCC diagnostic pop
            } else {
                uint64_t value = (uint64_t)i << (f % 2 ? 40 : 0);
                memcpy(key, &value, sizeof(value));
            }
            uint64_t hash = sw_hash_bytes(key, len, 0);
            low[i] = (uint32_t)hash;
            high[i] = (uint32_t)(hash >> 32);
        }
        assert_true(collisions(low, KEYS) < 30);
        assert_true(collisions(high, KEYS) < 30);
    }
}

static void zeros_of_every_length_differ(void **state) {
    static const char zeros[LONGEST];
    static uint32_t hashes[LONGEST + 1];
    for (size_t len = 0; len <= LONGEST; len++) {
        hashes[len] = (uint32_t)sw_hash_bytes(zeros, len, 0);
    }
    assert_int_equal(collisions(hashes, LONGEST + 1), 0);
}

/* A factor that a known seed turns to zero must not wipe out the rest of the key. */
static void no_block_wipes_out_another(void **state) {
    static const uint64_t constants[] = {
        UINT64_C(0x9e3779b97f4a7c15),
        UINT64_C(0xbf58476d1ce4e5b9),
        UINT64_C(0x94d049bb133111eb),
        UINT64_C(0xd6e8feb86659fd93),
    };
    for (size_t c = 0; c < 4; c++) {
        for (int at = 0; at < 6; at++) {
            uint64_t key[6] = {1, 2, 3, 4, 5, 6};
            key[at] = constants[c];
            uint64_t before = sw_hash_bytes(key, sizeof(key), 0);
            for (int other = 0; other < 6; other++) {
                if (other != at) {
                    key[other]++;
                    assert_true(sw_hash_bytes(key, sizeof(key), 0) != before);
                    key[other]--;
                }
            }
        }
    }
}

static uint64_t undo_shift(uint64_t value) {
    return value ^ value >> 32;
}

static void the_finaliser_can_be_undone(void **state) {
    /* The inverse modulo 2^64 by Newton's method. */
    uint64_t inverse = 1;
    for (int i = 0; i < 6; i++) {
        inverse *= 2 - UINT64_C(0xd6e8feb86659fd93) * inverse;
    }
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t value = i * UINT64_C(0x9e3779b97f4a7c15);
        uint64_t back = undo_shift(undo_shift(undo_shift(sw_hash_u64(value)) * inverse) * inverse);
        assert_true(back == value);
    }
}

static void *draw(void *out) {
    *(uint64_t *)out = sw_hash_seed();
    return NULL;
}

static void one_seed_per_process(void **state) {
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    uint64_t seeds[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, draw, &seeds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_true(seeds[i] != 0 && seeds[i] == seeds[0]);
    }
    assert_true(sw_hash_seed() == seeds[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_exactly_its_bytes),
        cmocka_unit_test(answers_never_change),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(similar_keys_spread),
        cmocka_unit_test(zeros_of_every_length_differ),
        cmocka_unit_test(no_block_wipes_out_another),
        cmocka_unit_test(the_finaliser_can_be_undone),
        cmocka_unit_test(one_seed_per_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
