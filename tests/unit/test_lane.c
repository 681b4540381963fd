/* test_lane.c - Tasks and results between two sides: order, room, taking back, wrapping, and a worker that is killed. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "pool/lane.h"
#include "pool/segment.h"

struct fixture {
    struct sw_segment segment;
    struct sw_lane lane;
    struct sw_lane_worker worker;
    int wake_fd;
};

static int set_up(void **state) {
    struct fixture *fixture = sw_alloc_zero(sizeof(*fixture));
    assert_non_null(fixture);
    struct sw_error err;
    assert_int_equal(sw_segment_create(2, &fixture->segment, &err), SW_OK);
    assert_int_equal(sw_lane_init(&fixture->lane, sw_segment_lane(&fixture->segment, 1)), SW_OK);
    fixture->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(fixture->wake_fd >= 0);
    fixture->worker = (struct sw_lane_worker){.shared = fixture->lane.shared, .wake_fd = fixture->wake_fd};
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    sw_lane_release(&fixture->lane);
    sw_segment_release(&fixture->segment);
    close(fixture->wake_fd);
    sw_free(fixture);
    return 0;
}

/* A task of `size` bytes: a byte that is no skip, `value`, and filling. */
static bool push(struct sw_lane *lane, uint32_t value, size_t size) {
    unsigned char *to = sw_lane_reserve(lane, size);
    if (!to)
        return false;
    memset(to, 1, size);
    memcpy(to + 1, &value, sizeof value);
    sw_lane_commit(lane, 0, size, (struct sw_lane_task){.index = value});
    return true;
}

static uint32_t value_of(const unsigned char *bytes) {
    uint32_t value;
    memcpy(&value, bytes + 1, sizeof value);
    return value;
}

/* The worker's turn: the result of a task is its value plus one, in as many bytes. */
static void answer(struct sw_lane_worker *worker, size_t size) {
    const unsigned char *task = sw_lane_begin(worker);
    uint32_t value = value_of(task) + 1;
    sw_lane_consume(worker, size);
    unsigned char *to = sw_lane_result_reserve(worker, size);
    assert_non_null(to);
    memset(to, 2, size);
    memcpy(to + 1, &value, sizeof value);
    assert_true(sw_lane_finish(worker));
    sw_lane_result_publish(worker, size);
}

static uint32_t read_result(struct sw_lane *lane, size_t size) {
    size_t there;
    const unsigned char *bytes = sw_lane_result(lane, &there);
    assert_non_null(bytes);
    assert_true(there >= size);
    uint32_t value = value_of(bytes);
    sw_lane_result_done(lane, size);
    sw_lane_result_release(lane);
    return value;
}

static void results_come_in_order(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    assert_false(sw_lane_try_next(&fixture->worker));
    for (uint32_t i = 0; i < 10; i++)
        assert_true(push(lane, i, 9));
    assert_false(sw_lane_try_next(&fixture->worker)); /* not published */
    sw_lane_publish(lane);
    assert_int_equal(sw_lane_unclaimed(lane), 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(sw_lane_try_next(&fixture->worker));
        answer(&fixture->worker, 9);
    }
    assert_false(sw_lane_try_next(&fixture->worker));
    assert_int_equal(sw_lane_load(lane), 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(sw_lane_task(lane, lane->first)->index, i);
        assert_int_equal(read_result(lane, 9), i + 1);
    }
    size_t size;
    assert_null(sw_lane_result(lane, &size));
    assert_int_equal(sw_lane_load(lane), 0);
}

static void runs_of_any_size_wrap_around(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    uint32_t seed = 12345;
    for (uint32_t turn = 0; turn < 2000; turn++) {
        uint32_t first = seed;
        unsigned count = 1 + turn % 7;
        for (unsigned i = 0; i < count; i++, seed = seed * 1664525 + 1013904223)
            assert_true(push(lane, seed & 0xffffff, 5 + seed % (SW_LANE_RUN_BYTES - 4)));
        sw_lane_publish(lane);
        uint32_t at = first;
        for (unsigned i = 0; i < count; i++, at = at * 1664525 + 1013904223) {
            size_t size = 5 + at % (SW_LANE_RUN_BYTES - 4);
            assert_true(sw_lane_try_next(&fixture->worker));
            answer(&fixture->worker, size);
            assert_int_equal(read_result(lane, size), (at & 0xffffff) + 1);
        }
    }
}

static void a_full_lane_says_so(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    uint32_t count = 0;
    while (push(lane, count, 8))
        count++;
    assert_int_equal(count, SW_LANE_DEPTH);
    assert_false(sw_lane_has_room(lane));
    sw_lane_publish(lane);
    assert_true(sw_lane_try_next(&fixture->worker));
    answer(&fixture->worker, 8);
    assert_int_equal(read_result(lane, 8), 1);
    assert_true(push(lane, count, 8));
    sw_lane_reset(lane);
    count = 0;
    while (push(lane, count, SW_LANE_RUN_BYTES))
        count++;
    assert_int_equal(count, SW_LANE_RING_BYTES / SW_LANE_RUN_BYTES);
}

static void a_worker_waits_for_room_for_its_result(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    unsigned count = SW_LANE_RING_BYTES / SW_LANE_RUN_BYTES;
    for (unsigned i = 0; i <= count; i++)
        assert_true(push(lane, i, 5));
    sw_lane_publish(lane);
    for (unsigned i = 0; i < count; i++) {
        assert_true(sw_lane_try_next(&fixture->worker));
        sw_lane_begin(&fixture->worker);
        sw_lane_consume(&fixture->worker, 5);
        assert_non_null(sw_lane_result_reserve(&fixture->worker, SW_LANE_RUN_BYTES));
        memset(sw_lane_result_reserve(&fixture->worker, SW_LANE_RUN_BYTES), 0, SW_LANE_RUN_BYTES);
        sw_lane_result_publish(&fixture->worker, SW_LANE_RUN_BYTES);
    }
    assert_null(sw_lane_result_reserve(&fixture->worker, 5));
    sw_lane_arm(lane, lane->next - 1, false);
    sw_lane_wait_room(&fixture->worker, 5, 0); /* wakes the owner at once, though it armed for a later task */
    uint64_t wakes = 0;
    assert_int_equal(read(fixture->wake_fd, &wakes, sizeof wakes), sizeof wakes);
    read_result(lane, SW_LANE_RUN_BYTES);
    assert_non_null(sw_lane_result_reserve(&fixture->worker, 5));
}

static void what_is_not_claimed_can_be_taken_back(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    atomic_store(&lane->shared->claim, 3);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(push(lane, i, 100 + i));
    sw_lane_publish(lane);
    assert_true(sw_lane_try_next(&fixture->worker));
    assert_int_equal(sw_lane_claimed(lane), 3);
    assert_int_equal(sw_lane_unclaimed(lane), 7);
    assert_int_equal(sw_lane_take_back(lane, 2), 2);
    for (uint32_t number = lane->next - 2; number != lane->next; number++) {
        size_t size;
        const unsigned char *bytes = sw_lane_value(lane, number, &size);
        assert_int_equal(size, 100 + number);
        assert_int_equal(value_of(bytes), number);
    }
    sw_lane_drop(lane, 2);
    assert_int_equal(sw_lane_take_back(lane, 100), 5);
    sw_lane_drop(lane, 5);
    assert_int_equal(sw_lane_take_back(lane, 100), 0);
    assert_true(push(lane, 77, 50)); /* in the place of what was taken back */
    sw_lane_publish(lane);
    static const uint32_t rows[][2] = {{0, 100}, {1, 101}, {2, 102}, {77, 50}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(sw_lane_try_next(&fixture->worker));
        answer(&fixture->worker, rows[i][1]);
        assert_int_equal(read_result(lane, rows[i][1]), rows[i][0] + 1);
    }
    assert_false(sw_lane_try_next(&fixture->worker));
}

static void a_prefix_is_left_out_of_the_value(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    unsigned char *to = sw_lane_reserve(lane, 12);
    memcpy(to, "prefix--val!", 12);
    sw_lane_commit(lane, 8, 12, (struct sw_lane_task){0});
    size_t size;
    const unsigned char *value = sw_lane_value(lane, 0, &size);
    assert_int_equal(size, 4);
    assert_memory_equal(value, "val!", 4);
    sw_lane_publish(lane);
    assert_true(sw_lane_try_next(&fixture->worker));
    assert_memory_equal(sw_lane_begin(&fixture->worker), "prefix--val!", 12);
}

static void the_owner_is_woken_when_it_asked(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    for (uint32_t i = 0; i < 4; i++)
        assert_true(push(lane, i, 5));
    sw_lane_publish(lane);
    sw_lane_arm(lane, 2, false);
    uint64_t wakes;
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(sw_lane_try_next(&fixture->worker));
        answer(&fixture->worker, 5);
        bool is_woken = read(fixture->wake_fd, &wakes, sizeof wakes) == (ssize_t)sizeof wakes;
        assert_int_equal(is_woken, i == 2); /* once */
    }
    sw_lane_arm(lane, 9, false);
    bool is_closing = true;
    assert_false(sw_lane_next(&fixture->worker, 0, &is_closing)); /* out of tasks: before it was asked to */
    assert_false(is_closing);
    assert_int_equal(read(fixture->wake_fd, &wakes, sizeof wakes), sizeof wakes);
    sw_lane_close(lane);
    assert_false(sw_lane_next(&fixture->worker, 0, &is_closing));
    assert_true(is_closing);
}

static bool was_woken(const struct fixture *fixture) {
    uint64_t wakes;
    return read(fixture->wake_fd, &wakes, sizeof wakes) == (ssize_t)sizeof wakes;
}

static void the_owner_is_told_of_a_failure_when_it_asked(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    for (uint32_t i = 0; i < 4; i++)
        assert_true(push(lane, i, 5));
    sw_lane_publish(lane);
    for (uint32_t i = 0; i < 4; i++) {
        if (i > 0)
            sw_lane_arm(lane, 3, i == 2);
        assert_true(sw_lane_try_next(&fixture->worker));
        answer(&fixture->worker, 5);
        if (i < 3)
            assert_false(was_woken(fixture));
        sw_lane_tell_failure(&fixture->worker);
        assert_int_equal(was_woken(fixture), i >= 2); /* 3: for the number */
        sw_lane_tell_failure(&fixture->worker);
        assert_false(was_woken(fixture));
    }
}

static void a_worker_that_will_leave_claims_no_more_than_it_runs(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    static const uint32_t claims[] = {0, 50}; /* by time, and fixed */
    for (size_t row = 0; row < 2; row++) {
        atomic_store(&lane->shared->claim, claims[row]);
        for (uint32_t i = 0; i < 200; i++)
            assert_true(push(lane, i, 5));
        sw_lane_publish(lane);
        fixture->worker.claim = 64; /* as if tasks took no time */
        uint32_t left = 10;
        for (uint32_t i = 0; i < 10; i++, left--) {
            fixture->worker.claim_max = left;
            assert_true(sw_lane_try_next(&fixture->worker));
            assert_in_range(sw_lane_claimed(lane), 1, left);
            answer(&fixture->worker, 5);
            assert_int_equal(read_result(lane, 5), i + 1);
        }
        assert_int_equal(sw_lane_claimed(lane), 0);
        assert_int_equal(sw_lane_unclaimed(lane), 190);
        sw_lane_reset(lane);
        fixture->worker = (struct sw_lane_worker){.shared = lane->shared, .wake_fd = fixture->wake_fd};
    }
}

static void a_worker_can_wait_until_its_results_are_read(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    assert_true(sw_lane_wait_read(&fixture->worker, 0)); /* there are none */
    assert_true(push(lane, 1, 5));
    assert_true(push(lane, 2, 5));
    sw_lane_publish(lane);
    for (int i = 0; i < 2; i++) {
        assert_true(sw_lane_try_next(&fixture->worker));
        answer(&fixture->worker, 5);
    }
    sw_lane_arm(lane, 9, false);
    assert_false(sw_lane_wait_read(&fixture->worker, 0));
    assert_true(was_woken(fixture)); /* though the owner armed for a later task */
    read_result(lane, 5);
    assert_false(sw_lane_wait_read(&fixture->worker, 0));
    read_result(lane, 5);
    assert_true(sw_lane_wait_read(&fixture->worker, 0));
}

static void only_the_running_task_can_be_condemned(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    atomic_store(&lane->shared->is_timed, 1);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(push(lane, i, 5));
    sw_lane_publish(lane);
    assert_false(sw_lane_condemn(lane, 0)); /* no worker has begun */
    int64_t began_ns = -1;
    assert_false(sw_lane_is_running(lane, 0, &began_ns));
    assert_true(sw_lane_try_next(&fixture->worker));
    answer(&fixture->worker, 5);
    assert_false(sw_lane_condemn(lane, 0)); /* it was faster */
    assert_true(sw_lane_try_next(&fixture->worker));
    sw_lane_begin(&fixture->worker);
    assert_false(sw_lane_condemn(lane, 2)); /* it has not begun */
    assert_true(sw_lane_is_running(lane, 1, &began_ns));
    assert_true(began_ns > 0);
    assert_true(sw_lane_condemn(lane, 1));
    assert_false(sw_lane_finish(&fixture->worker));
}

static void numbers_may_wrap(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    uint32_t start = UINT32_MAX - 3;
    lane->first = lane->next = lane->published = start;
    fixture->worker.done = fixture->worker.claimed = start;
    atomic_store(&lane->shared->window, (uint64_t)start << 32 | start);
    for (uint32_t i = 0; i < 8; i++)
        assert_true(push(lane, i, 5));
    sw_lane_publish(lane);
    assert_int_equal(sw_lane_unclaimed(lane), 8);
    assert_int_equal(sw_lane_take_back(lane, 2), 2);
    sw_lane_drop(lane, 2);
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(sw_lane_try_next(&fixture->worker));
        answer(&fixture->worker, 5);
        assert_int_equal(read_result(lane, 5), i + 1);
    }
    assert_false(sw_lane_try_next(&fixture->worker));
}

static void nonsense_from_a_worker_is_not_read(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    size_t size;
    atomic_store(&lane->shared->result_tail, 64); /* a result without a task */
    assert_null(sw_lane_result(lane, &size));
    assert_true(push(lane, 1, 5));
    atomic_store(&lane->shared->result_tail, 2 * SW_LANE_RING_BYTES);
    assert_null(sw_lane_result(lane, &size));
}

/* The worker is another process; the sides hand over everything by the lane alone, both sleeping between. */
static void run_worker(struct sw_lane_worker *worker) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed assertion leaves nobody behind */
    bool is_closing = false;
    while (!is_closing)
        while (sw_lane_next(worker, -1, &is_closing)) {
            const unsigned char *task = sw_lane_begin(worker);
            uint32_t value = value_of(task) + 1;
            sw_lane_consume(worker, 5);
            unsigned char *to;
            while (!(to = sw_lane_result_reserve(worker, 5)))
                sw_lane_wait_room(worker, 5, -1);
            to[0] = 2;
            memcpy(to + 1, &value, sizeof value);
            sw_lane_result_publish(worker, 5);
        }
    _exit(0);
}

static void another_process_works(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    enum { TASKS = 100000 };
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_worker(&fixture->worker);
    uint32_t given = 0;
    uint32_t taken = 0;
    while (taken < TASKS) {
        while (given < TASKS && push(lane, given, 5))
            given++;
        sw_lane_publish(lane);
        size_t size;
        while (sw_lane_result(lane, &size)) {
            assert_int_equal(read_result(lane, 5), taken + 1);
            taken++;
        }
    }
    sw_lane_close(lane);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
}

/* Killed at some moment, a worker leaves results, at most one begun task (claims are of one), and tasks to give away. */
static void a_killed_worker_loses_one_task(void **state) {
    struct fixture *fixture = *state;
    struct sw_lane *lane = &fixture->lane;
    atomic_store(&lane->shared->claim, 1);
    for (uint32_t round = 0; round < 50; round++) {
        fixture->worker = (struct sw_lane_worker){.shared = lane->shared, .wake_fd = fixture->wake_fd};
        for (uint32_t i = 0; i < SW_LANE_DEPTH; i++)
            assert_true(push(lane, i, 5));
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            run_worker(&fixture->worker);
        sw_lane_publish(lane);
        size_t size;
        while (round % 2 && !sw_lane_has_result(lane))
            sw_bell_pause();
        kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        uint32_t done = 0;
        for (; sw_lane_result(lane, &size); done++)
            assert_int_equal(read_result(lane, 5), done + 1);
        uint32_t begun = sw_lane_claimed(lane);
        assert_in_range(begun, 0, 1);
        assert_int_equal(done + begun + sw_lane_unclaimed(lane), SW_LANE_DEPTH);
        assert_true(round % 2 == 0 || done > 0);
        for (uint32_t number = lane->first + begun; number != lane->next; number++)
            assert_int_equal(value_of(sw_lane_value(lane, number, &size)), number);
        sw_lane_reset(lane);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(results_come_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_of_any_size_wrap_around, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_lane_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_waits_for_room_for_its_result, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_claimed_can_be_taken_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_prefix_is_left_out_of_the_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_owner_is_woken_when_it_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_owner_is_told_of_a_failure_when_it_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_that_will_leave_claims_no_more_than_it_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_can_wait_until_its_results_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_running_task_can_be_condemned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_may_wrap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nonsense_from_a_worker_is_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_process_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_killed_worker_loses_one_task, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
