/* test_ring.c - The ring between two threads, its bounds, and memory running out. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/ring.h"

#define ITEMS ((uintptr_t)5000000)
#define ENOUGH_NS (10 * SW_NS_PER_S) /* where both threads share a busy processor, fewer must do */

static void *item_of(uintptr_t number) {
    return (void *)(number + 1);
}

static void capacity_is_a_power_of_two(void **state) {
    static const size_t rows[][2] = {{1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {1000, 1024}, {4096, 4096}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sw_ring ring;
        assert_int_equal(sw_ring_init(&ring, rows[i][0]), SW_OK);
        assert_int_equal(sw_ring_capacity(&ring), rows[i][1]);
        sw_ring_release(&ring);
        assert_int_equal(sw_ring_capacity(&ring), 0);
    }
    struct sw_ring ring;
    assert_int_equal(sw_ring_init(&ring, 0), SW_INVALID);
    assert_int_equal(sw_ring_init(&ring, SIZE_MAX), SW_NOMEM);
    assert_int_equal(sw_ring_init(&ring, SIZE_MAX / 8), SW_NOMEM);
}

static void first_in_first_out(void **state) {
    struct sw_ring ring;
    assert_int_equal(sw_ring_init(&ring, 4), SW_OK);
    assert_null(sw_ring_pop(&ring));
    uintptr_t pushed = 0;
    uintptr_t popped = 0;
    /* Every fill level at every offset. */
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < round % 5; i++) {
            assert_true(sw_ring_push(&ring, item_of(pushed++)));
            assert_int_equal(sw_ring_depth(&ring), i + 1);
        }
        assert_int_equal(sw_ring_push(&ring, item_of(pushed)), round % 5 < 4);
        pushed += round % 5 < 4;
        while (popped < pushed) {
            assert_ptr_equal(sw_ring_pop(&ring), item_of(popped++));
        }
        assert_null(sw_ring_pop(&ring));
        assert_int_equal(sw_ring_depth(&ring), 0);
    }
    sw_ring_release(&ring);
}

static void indices_may_wrap(void **state) {
    struct sw_ring ring;
    assert_int_equal(sw_ring_init(&ring, 4), SW_OK);
    ring.head = ring.tail = ring.head_seen = ring.tail_seen = SIZE_MAX - 2;
    for (uintptr_t i = 0; i < 4; i++) {
        assert_true(sw_ring_push(&ring, item_of(i)));
    }
    assert_false(sw_ring_push(&ring, item_of(4)));
    assert_int_equal(sw_ring_depth(&ring), 4);
    for (uintptr_t i = 0; i < 4; i++) {
        assert_ptr_equal(sw_ring_pop(&ring), item_of(i));
    }
    assert_null(sw_ring_pop(&ring));
    sw_ring_release(&ring);
}

static void the_sides_share_no_cache_line(void **state) {
    assert_true(offsetof(struct sw_ring, head) / 64 != offsetof(struct sw_ring, tail) / 64);
    assert_true(offsetof(struct sw_ring, items) / 64 != offsetof(struct sw_ring, head) / 64);
    assert_true(offsetof(struct sw_ring, items) / 64 != offsetof(struct sw_ring, tail) / 64);
    assert_int_equal(offsetof(struct sw_ring, head) / 64, offsetof(struct sw_ring, tail_seen) / 64);
    assert_int_equal(offsetof(struct sw_ring, tail) / 64, offsetof(struct sw_ring, head_seen) / 64);
}

struct passage {
    struct sw_ring ring;
    _Atomic uintptr_t item_count; /* the producer stops there */
};

static void *produce(void *context) {
    struct passage *passage = context;
    for (uintptr_t i = 0; i < atomic_load_explicit(&passage->item_count, memory_order_relaxed); i++) {
        while (!sw_ring_push(&passage->ring, item_of(i))) {
            sched_yield();
        }
    }
    return NULL;
}

static void two_threads_pass_everything_in_order(void **state) {
    static struct passage passage;
    assert_int_equal(sw_ring_init(&passage.ring, 256), SW_OK);
    passage.item_count = ITEMS;
    int64_t enough_ns = sw_clock_mono_ns() + ENOUGH_NS;
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce, &passage), 0);
    for (uintptr_t i = 0; i < passage.item_count; i++) {
        void *item;
        while (!(item = sw_ring_pop(&passage.ring))) {
            sched_yield();
        }
        if (item != item_of(i) || sw_ring_depth(&passage.ring) > 256) {
            fail_msg("item %zu is %p, depth %zu", (size_t)i, item, sw_ring_depth(&passage.ring));
        }
        if (i % 4096 == 0 && passage.item_count == ITEMS && sw_clock_mono_ns() > enough_ns) {
            passage.item_count = i + 10000 < ITEMS ? i + 10000 : ITEMS; /* more than the producer can be ahead */
        }
    }
    pthread_join(producer, NULL);
    assert_null(sw_ring_pop(&passage.ring));
    sw_ring_release(&passage.ring);
}

/* What is written before a push is seen after the pop; the sanitizer for threads watches. */
struct message {
    uint64_t body[4];
};

static void *send_messages(void *context) {
    struct sw_ring *ring = context;
    static struct message messages[1024];
    for (uint64_t i = 0; i < 1024; i++) {
        for (uint64_t j = 0; j < 4; j++) {
            messages[i].body[j] = i * j;
        }
        while (!sw_ring_push(ring, &messages[i])) {
            sched_yield();
        }
    }
    return NULL;
}

static void contents_travel_with_the_pointer(void **state) {
    struct sw_ring ring;
    assert_int_equal(sw_ring_init(&ring, 2), SW_OK);
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, send_messages, &ring), 0);
    for (uint64_t i = 0; i < 1024; i++) {
        const struct message *message;
        while (!(message = sw_ring_pop(&ring))) {
            sched_yield();
        }
        for (uint64_t j = 0; j < 4; j++) {
            assert_int_equal(message->body[j], i * j);
        }
    }
    pthread_join(producer, NULL);
    sw_ring_release(&ring);
}

static void running_out_of_memory(void **state) {
    struct sw_ring ring;
    sw_mem_fail_at(1);
    assert_int_equal(sw_ring_init(&ring, 8), SW_NOMEM);
    sw_mem_fail_at(2);
    assert_int_equal(sw_ring_init(&ring, 8), SW_OK);
    sw_mem_fail_at(0);
    sw_ring_release(&ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_is_a_power_of_two),
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(indices_may_wrap),
        cmocka_unit_test(the_sides_share_no_cache_line),
        cmocka_unit_test(two_threads_pass_everything_in_order),
        cmocka_unit_test(contents_travel_with_the_pointer),
        cmocka_unit_test(running_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
