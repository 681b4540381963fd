/* test_slab.c - Blocks are taken, held, returned and found again, by other processes too, and after a death. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "pool/segment.h"
#include "pool/slab.h"

struct fixture {
    struct sw_segment segment;
    struct sw_slab_shared *shared;
    struct sw_slab_arena arena;
};

static int set_up(void **state) {
    struct fixture *fixture = sw_alloc_zero(sizeof(*fixture));
    assert_non_null(fixture);
    assert_int_equal(sw_segment_create(1, &fixture->segment, NULL), SW_OK);
    fixture->shared = sw_segment_slabs(&fixture->segment, 0);
    sw_slab_open(&fixture->arena, fixture->shared, sw_segment_arena(&fixture->segment, 0),
                 fixture->segment.arena_bytes);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    sw_segment_release(&fixture->segment);
    sw_free(fixture);
    return 0;
}

static uint32_t take(struct fixture *fixture, uint64_t size) {
    uint32_t number = UINT32_MAX;
    assert_int_equal(sw_slab_take(&fixture->arena, size, &number), SW_OK);
    unsigned char *data = sw_slab_data(fixture->shared, fixture->arena.base, number, size);
    assert_non_null(data);
    data[0] = 1;
    data[size - 1] = 1;
    return number;
}

static void sizes_are_rounded_up_by_a_quarter_at_most(void **state) {
    struct fixture *fixture = *state;
    static const uint64_t rows[][2] = {{1, 16384},
                                       {16384, 16384},
                                       {16385, 20480},
                                       {20481, 24576},
                                       {28673, 32768},
                                       {65536, 65536},
                                       {100000, 114688},
                                       {1 << 20, 1 << 20},
                                       {(1 << 20) + 1, (1 << 20) * 5 / 4},
                                       {100000000, 100663296}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t number = take(fixture, rows[i][0]);
        assert_int_equal(fixture->shared->blocks[number].size, rows[i][1]);
        assert_int_equal(fixture->shared->blocks[number].offset % 4096, 0);
    }
}

static void a_returned_block_is_used_again(void **state) {
    struct fixture *fixture = *state;
    uint32_t first = take(fixture, 100000);
    uint32_t second = take(fixture, 100000);
    assert_int_not_equal(first, second);
    assert_true(sw_slab_hold(fixture->shared, first));
    assert_false(sw_slab_hold(fixture->shared, first)); /* once */
    sw_slab_return(fixture->shared, first);
    assert_false(sw_slab_hold(fixture->shared, first));
    uint64_t out = fixture->arena.out;
    assert_int_equal(take(fixture, 110000), first); /* of the same class */
    assert_int_equal(fixture->arena.out, out);
    sw_slab_give(&fixture->arena, second);
    assert_int_not_equal(take(fixture, 10), second); /* of another */
    assert_int_equal(take(fixture, 100000), second);
}

static void many_come_back_in_any_order(void **state) {
    struct fixture *fixture = *state;
    enum { BLOCKS = 500 };
    uint32_t numbers[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        numbers[i] = take(fixture, 20000);
    for (int i = 0; i < BLOCKS; i++)
        assert_true(sw_slab_hold(fixture->shared, numbers[i]));
    for (int i = 0; i < BLOCKS; i++)
        sw_slab_return(fixture->shared, numbers[i * 7 % BLOCKS]);
    sw_slab_collect(&fixture->arena);
    assert_int_equal(fixture->arena.out, 0);
    uint32_t count = atomic_load(&fixture->shared->count);
    for (int i = 0; i < BLOCKS; i++)
        take(fixture, 20000);
    assert_int_equal(atomic_load(&fixture->shared->count), count);
}

static void cold_blocks_give_their_pages_back(void **state) {
    struct fixture *fixture = *state;
    fixture->arena.warm_limit = 64 << 10;
    uint32_t warm = take(fixture, 64 << 10);
    uint32_t cold = take(fixture, 64 << 10);
    sw_slab_give(&fixture->arena, warm);
    sw_slab_give(&fixture->arena, cold);
    const unsigned char *base = fixture->arena.base;
    assert_int_equal(base[fixture->shared->blocks[warm].offset], 1);
    assert_int_equal(base[fixture->shared->blocks[cold].offset], 0);
    assert_int_equal(take(fixture, 64 << 10), cold);
}

static void an_arena_can_be_full(void **state) {
    struct fixture *fixture = *state;
    fixture->arena.size = 100 << 10;
    uint32_t number = take(fixture, 64 << 10);
    uint32_t other = 7;
    assert_int_equal(sw_slab_take(&fixture->arena, 64 << 10, &other), SW_NOMEM);
    assert_int_equal(other, 7);
    assert_int_equal(sw_slab_take(&fixture->arena, UINT64_MAX, &other), SW_NOMEM);
    sw_slab_give(&fixture->arena, number);
    assert_int_equal(sw_slab_take(&fixture->arena, 64 << 10, &other), SW_OK);
}

static void numbers_from_elsewhere_are_checked(void **state) {
    struct fixture *fixture = *state;
    uint32_t number = take(fixture, 20480);
    assert_null(sw_slab_data(fixture->shared, fixture->arena.base, number, 20481));
    assert_null(sw_slab_data(fixture->shared, fixture->arena.base, number + 1, 1));
    assert_null(sw_slab_data(fixture->shared, fixture->arena.base, UINT32_MAX, 1));
}

static void what_a_dead_receiver_held_is_reclaimed(void **state) {
    struct fixture *fixture = *state;
    struct sw_slab_block *blocks = fixture->shared->blocks;
    uint32_t held = take(fixture, 20000);
    uint32_t returning = take(fixture, 20000);
    uint32_t unread = take(fixture, 20000);
    uint32_t queued = take(fixture, 20000); /* of a task that goes to another receiver */
    uint32_t others = take(fixture, 20000);
    for (uint32_t i = held; i <= others; i++)
        blocks[i].holder = i == others ? 2 : 1;
    blocks[unread].stamp = 5;
    blocks[queued].stamp = 6;
    sw_slab_hold(fixture->shared, held);
    sw_slab_hold(fixture->shared, others);
    atomic_store(&blocks[returning].state, SW_SLAB_RETURNED); /* it died before the push */
    sw_slab_collect(&fixture->arena);
    sw_slab_reclaim(&fixture->arena, 1, 5);
    assert_int_equal(blocks[held].state, SW_SLAB_FREE);
    assert_int_equal(blocks[returning].state, SW_SLAB_FREE);
    assert_int_equal(blocks[unread].state, SW_SLAB_FREE);
    assert_int_equal(blocks[queued].state, SW_SLAB_FILLED);
    assert_int_equal(blocks[others].state, SW_SLAB_HELD);
}

static void a_dead_owner_is_succeeded(void **state) {
    struct fixture *fixture = *state;
    uint32_t held = take(fixture, 20000);
    uint32_t lost = take(fixture, 20000);
    uint32_t returned = take(fixture, 20000);
    sw_slab_hold(fixture->shared, held);
    sw_slab_hold(fixture->shared, returned);
    sw_slab_return(fixture->shared, returned);
    sw_slab_recover(fixture->shared);
    struct fixture next = *fixture;
    sw_slab_open(&next.arena, next.shared, fixture->arena.base, fixture->arena.size);
    assert_int_equal(next.arena.out, 20480); /* the held one */
    uint32_t a = take(&next, 20000);
    uint32_t b = take(&next, 20000);
    assert_int_equal(a + b, lost + returned);
    assert_true(take(&next, 20000) > returned);
    sw_slab_return(next.shared, held);
    assert_int_equal(take(&next, 20000), held);
}

/* Several processes return blocks at once; none is lost and none comes twice. */
static void processes_return_at_once(void **state) {
    struct fixture *fixture = *state;
    enum { EACH = 2000, PROCESSES = 4 };
    for (uint32_t i = 0; i < EACH * PROCESSES; i++) {
        assert_int_equal(take(fixture, 1), i);
        sw_slab_hold(fixture->shared, i);
    }
    for (uint32_t part = 0; part < PROCESSES; part++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            for (uint32_t i = 0; i < EACH; i++)
                sw_slab_return(fixture->shared, i * PROCESSES + part);
            _exit(0);
        }
    }
    for (int part = 0; part < PROCESSES; part++) {
        sw_slab_collect(&fixture->arena);
        wait(NULL);
    }
    sw_slab_collect(&fixture->arena);
    assert_int_equal(fixture->arena.out, 0);
    for (uint32_t i = 0; i < EACH * PROCESSES; i++)
        take(fixture, 1);
    assert_int_equal(atomic_load(&fixture->shared->count), EACH * PROCESSES);
}

static void segments_are_checked(void **state) {
    struct fixture *fixture = *state;
    struct sw_error err;
    struct sw_segment other = {.fd = -1};
    assert_int_equal(sw_segment_create(0, &other, &err), SW_INVALID);
    assert_int_equal(sw_segment_create(SW_SEGMENT_WORKERS + 1, &other, &err), SW_INVALID);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(sw_segment_attach(fds[0], &other, &err), SW_INVALID);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(sw_segment_attach(dup(fixture->segment.fd), &other, &err), SW_OK);
    assert_int_equal(other.workers, 1);
    sw_segment_lane(&fixture->segment, 0)->tasks[5] = 42;
    assert_int_equal(sw_segment_lane(&other, 0)->tasks[5], 42);
    sw_segment_release(&other);
    assert_null(other.base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sizes_are_rounded_up_by_a_quarter_at_most, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_returned_block_is_used_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_come_back_in_any_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cold_blocks_give_their_pages_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_arena_can_be_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_from_elsewhere_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_dead_receiver_held_is_reclaimed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_owner_is_succeeded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(processes_return_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(segments_are_checked, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
