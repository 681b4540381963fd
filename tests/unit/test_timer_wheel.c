/* test_timer_wheel.c - The wheel against a plain list of deadlines, over random operations and jumps in time. */
#include "net/timer_wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"

#define MS SW_NS_PER_MS

enum { TIMERS = 300 };

struct probe {
    struct sw_timer timer;
    int64_t deadline_ns; /* by the oracle; -1 while not armed */
    size_t fired;
};

static int64_t now_ns;
static size_t wrong;

static void on_fire(void *context) {
    struct probe *probe = context;
    int64_t due_tick = (probe->deadline_ns + MS - 1) / MS;
    wrong += probe->deadline_ns < 0 || due_tick > now_ns / MS; /* cancelled, or early */
    probe->deadline_ns = -1;
    probe->fired++;
}

static uint64_t next_random(uint64_t *state) {
    return sw_hash_u64((*state)++ + UINT64_C(0x9e3779b97f4a7c15));
}

/* Delays of every magnitude: all levels of the wheel and beyond it. */
static int64_t random_delay(uint64_t *state) {
    unsigned bits = (unsigned)(next_random(state) % 54);
    return (int64_t)(next_random(state) & ((UINT64_C(1) << bits) - 1));
}

static void check_late(const struct probe *probes) {
    for (size_t i = 0; i < TIMERS; i++) {
        if (probes[i].deadline_ns >= 0) {
            assert_true((probes[i].deadline_ns + MS - 1) / MS > now_ns / MS); /* else it should have fired */
            assert_true(sw_timer_is_armed(&probes[i].timer));
        } else {
            assert_false(sw_timer_is_armed(&probes[i].timer));
        }
    }
}

static int64_t earliest(const struct probe *probes) {
    int64_t best = INT64_MAX;
    for (size_t i = 0; i < TIMERS; i++) {
        if (probes[i].deadline_ns >= 0 && probes[i].deadline_ns < best) {
            best = probes[i].deadline_ns;
        }
    }
    return best;
}

static void operate(struct sw_timer_wheel *wheel, struct probe *probe, uint64_t *state) {
    uint64_t what = next_random(state) % 8;
    if (what == 0) {
        sw_timer_wheel_cancel(&probe->timer);
        probe->deadline_ns = -1;
        return;
    }
    probe->deadline_ns = now_ns + random_delay(state);
    if (what < 4) {
        sw_timer_wheel_touch(wheel, &probe->timer, probe->deadline_ns);
    } else {
        sw_timer_wheel_add(wheel, &probe->timer, probe->deadline_ns);
    }
}

static void test_against_oracle(void **unused) {
    static struct probe probes[TIMERS];
    struct sw_timer_wheel wheel;
    uint64_t state = 42;
    now_ns = 123456789;
    wrong = 0;
    sw_timer_wheel_init(&wheel, now_ns);
    for (size_t i = 0; i < TIMERS; i++) {
        probes[i] = (struct probe){.timer = {.fn = on_fire, .context = &probes[i]}, .deadline_ns = -1};
    }
    for (int round = 0; round < 20000; round++) {
        for (int i = 0; i < 3; i++) {
            operate(&wheel, &probes[next_random(&state) % TIMERS], &state);
        }
        /* The wheel must ask to be woken in time, and not before there can be anything to do. */
        int64_t first_ns = earliest(probes);
        if (first_ns < INT64_MAX) {
            assert_true(sw_timer_wheel_next_ns(&wheel) <= (first_ns + MS - 1) / MS * MS);
        }
        now_ns += round % 3 == 0 ? random_delay(&state) : (int64_t)(next_random(&state) % (3 * MS));
        assert_false(sw_timer_wheel_advance(&wheel, now_ns, SIZE_MAX));
        assert_int_equal(wrong, 0);
        check_late(probes);
    }
    size_t armed = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        armed += sw_timer_is_armed(&probes[i].timer);
    }
    assert_int_equal(wheel.count, armed);
}

static void count_fire(void *context) {
    ++*(int *)context;
}

static void test_exact_ticks(void **unused) {
    static const int64_t delays_ms[] = {1,     2,     255,   256,      257,      511,     512,
                                        65535, 65536, 65537, 16777215, 16777216, 16777217};
    for (size_t start = 0; start < 600; start += 37) {
        for (size_t i = 0; i < sizeof delays_ms / sizeof delays_ms[0]; i++) {
            struct sw_timer_wheel wheel;
            int fired = 0;
            int64_t begin = (int64_t)start * MS;
            struct sw_timer timer = {.fn = count_fire, .context = &fired};
            sw_timer_wheel_init(&wheel, begin);
            sw_timer_wheel_add(&wheel, &timer, begin + delays_ms[i] * MS);
            sw_timer_wheel_advance(&wheel, begin + delays_ms[i] * MS - 1, 10);
            assert_int_equal(fired, 0);
            sw_timer_wheel_advance(&wheel, begin + delays_ms[i] * MS, 10);
            assert_int_equal(fired, 1);
            assert_int_equal(wheel.count, 0);
            assert_true(sw_timer_wheel_next_ns(&wheel) == INT64_MAX);
        }
    }
}

struct pair {
    struct sw_timer_wheel *wheel;
    struct sw_timer self, other;
    int fired;
};

static void cancel_other(void *context) {
    struct pair *pair = context;
    pair->fired++;
    sw_timer_wheel_cancel(&pair->other);
    sw_timer_wheel_cancel(&pair->self);
    sw_timer_wheel_add(pair->wheel, &pair->self, 0); /* in the past: the next advance, not this one */
}

static void test_callbacks_may_do_anything(void **unused) {
    struct sw_timer_wheel wheel;
    sw_timer_wheel_init(&wheel, 0);
    struct pair pair = {.wheel = &wheel};
    pair.self = (struct sw_timer){.fn = cancel_other, .context = &pair};
    pair.other = (struct sw_timer){.fn = cancel_other, .context = &pair};
    sw_timer_wheel_add(&wheel, &pair.other, 5 * MS);
    sw_timer_wheel_add(&wheel, &pair.self, 5 * MS);
    sw_timer_wheel_advance(&wheel, 5 * MS, 100);
    assert_int_equal(pair.fired, 1);
    assert_int_equal(wheel.count, 1);
    sw_timer_wheel_advance(&wheel, 6 * MS, 100);
    assert_int_equal(pair.fired, 2);
    sw_timer_wheel_cancel(&pair.self);
    assert_int_equal(wheel.count, 0);
}

static void test_limit_per_advance(void **unused) {
    struct sw_timer_wheel wheel;
    struct sw_timer timers[10];
    int fired = 0;
    sw_timer_wheel_init(&wheel, 0);
    for (int i = 0; i < 10; i++) {
        timers[i] = (struct sw_timer){.fn = count_fire, .context = &fired};
        sw_timer_wheel_add(&wheel, &timers[i], 3 * MS);
    }
    assert_true(sw_timer_wheel_advance(&wheel, 3 * MS, 4));
    assert_int_equal(fired, 4);
    assert_true(sw_timer_wheel_next_ns(&wheel) <= 3 * MS);
    assert_true(sw_timer_wheel_advance(&wheel, 3 * MS, 4));
    assert_false(sw_timer_wheel_advance(&wheel, 3 * MS, 4));
    assert_int_equal(fired, 10);
}

static void test_touch_keeps_the_slot(void **unused) {
    struct sw_timer_wheel wheel;
    int fired = 0;
    struct sw_timer timer = {.fn = count_fire, .context = &fired};
    sw_timer_wheel_init(&wheel, 0);
    sw_timer_wheel_touch(&wheel, &timer, 10 * MS);
    uint32_t slot = timer.slot;
    for (int64_t at = 1; at <= 1000; at++) {
        sw_timer_wheel_touch(&wheel, &timer, (at + 10) * MS);
        sw_timer_wheel_advance(&wheel, at * MS, 10);
        assert_int_equal(fired, 0);
        if (at < 10) {
            assert_int_equal(timer.slot, slot);
        }
    }
    sw_timer_wheel_advance(&wheel, 1010 * MS, 10);
    assert_int_equal(fired, 1);
    sw_timer_wheel_touch(&wheel, &timer, 2000 * MS);
    sw_timer_wheel_touch(&wheel, &timer, 1500 * MS); /* earlier: moved */
    sw_timer_wheel_advance(&wheel, 1500 * MS, 10);
    assert_int_equal(fired, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_ticks),       cmocka_unit_test(test_callbacks_may_do_anything),
        cmocka_unit_test(test_limit_per_advance), cmocka_unit_test(test_touch_keeps_the_slot),
        cmocka_unit_test(test_against_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
