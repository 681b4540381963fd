/* test_team.c - Every iteration is done once, by one lane at a time; what one lane leaves another takes. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "pool/team.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IS_THREAD_SANITIZED /* which ends a child that a process with threads forked, once it starts one of its own */
#endif
#endif

#define COUNT_MAX 10007

struct marks {
    _Atomic unsigned char done[COUNT_MAX];
    _Atomic bool is_busy[SW_TEAM_LANES];
    _Atomic unsigned clashes, too_long;
    size_t grain;
};

static void mark(void *context, size_t first, size_t last, unsigned lane) {
    struct marks *marks = context;
    if (atomic_exchange(&marks->is_busy[lane], true))
        atomic_fetch_add(&marks->clashes, 1);
    if (last - first > marks->grain)
        atomic_fetch_add(&marks->too_long, 1);
    for (size_t i = first; i < last; i++)
        atomic_fetch_add(&marks->done[i], 1);
    atomic_store(&marks->is_busy[lane], false);
}

static void check_loop(struct sw_parallel *parallel, size_t count, size_t grain) {
    static struct marks marks;
    memset(&marks, 0, sizeof(marks));
    marks.grain = grain ? grain : 1;
    sw_parallel_run(parallel, &(struct sw_parallel_loop){count, grain, mark, &marks});
    for (size_t i = 0; i < COUNT_MAX; i++)
        assert_int_equal(marks.done[i], i < count);
    assert_int_equal(marks.clashes, 0);
    assert_int_equal(marks.too_long, 0);
}

static void each_iteration_is_done_once(void **state) {
    static const unsigned lanes[] = {1, 2, 3, 8};
    static const size_t counts[] = {0, 1, 2, 7, 1000, COUNT_MAX};
    static const size_t grains[] = {0, 1, 3, 64, 20000};
    for (size_t l = 0; l < sizeof(lanes) / sizeof(lanes[0]); l++) {
        struct sw_team *team;
        assert_int_equal(sw_team_open(lanes[l], &team, NULL), SW_OK);
        assert_int_equal(sw_parallel_lanes(sw_team_parallel(team)), lanes[l]);
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
            for (size_t g = 0; g < sizeof(grains) / sizeof(grains[0]); g++)
                check_loop(sw_team_parallel(team), counts[c], grains[g]);
        }
        sw_team_close(team);
    }
}

static void no_team_is_the_caller(void **state) {
    assert_int_equal(sw_parallel_lanes(NULL), 1);
    check_loop(NULL, 1000, 7);
    sw_team_close(NULL);
}

struct hold {
    _Atomic size_t done;
    size_t count;
};

/* The first iteration, at the front of the caller's part, ends when all others are done: somebody must steal them. */
static void hold_the_first(void *context, size_t first, size_t last, unsigned lane) {
    struct hold *hold = context;
    while (first == 0 && atomic_load(&hold->done) < hold->count - 1)
        sched_yield();
    atomic_fetch_add(&hold->done, 1);
}

static void a_lane_that_is_held_up_is_robbed(void **state) {
    struct sw_team *team;
    assert_int_equal(sw_team_open(3, &team, NULL), SW_OK);
    for (int round = 0; round < 20; round++) {
        struct hold hold = {.count = 100};
        sw_parallel_run(sw_team_parallel(team), &(struct sw_parallel_loop){hold.count, 1, hold_the_first, &hold});
        assert_int_equal(hold.done, hold.count);
    }
    sw_team_close(team);
}

struct caller {
    struct sw_parallel *parallel;
    uint64_t sum;
};

static void add(void *context, size_t first, size_t last, unsigned lane) {
    _Atomic uint64_t *sum = context;
    for (size_t i = first; i < last; i++)
        atomic_fetch_add(sum, i);
}

static void *call_often(void *context) {
    struct caller *caller = context;
    for (int round = 0; round < 200; round++) {
        _Atomic uint64_t sum = 0;
        sw_parallel_run(caller->parallel, &(struct sw_parallel_loop){100, 3, add, &sum});
        caller->sum += sum;
    }
    return NULL;
}

static void callers_take_turns(void **state) {
    struct sw_team *team;
    assert_int_equal(sw_team_open(2, &team, NULL), SW_OK);
    struct caller callers[3] = {{sw_team_parallel(team), 0}, {sw_team_parallel(team), 0}, {sw_team_parallel(team), 0}};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].sum, 200 * 4950);
    }
    sw_team_close(team);
}

static void a_forked_child_gets_its_own(void **state) {
#if defined(IS_THREAD_SANITIZED)
    skip();
#endif
    struct sw_parallel *parallel = sw_team_shared(2);
    assert_non_null(parallel);
    assert_ptr_equal(sw_team_shared(2), parallel);
    check_loop(parallel, 1000, 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _Atomic uint64_t sum = 0;
        sw_parallel_run(sw_team_shared(2), &(struct sw_parallel_loop){100, 3, add, &sum});
        _exit(sum == 4950 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    check_loop(parallel, 1000, 1);
}

static void shared_teams_have_the_lanes_asked_for(void **state) {
    assert_null(sw_team_shared(1));
    assert_int_equal(sw_parallel_lanes(sw_team_shared(3)), 3);
    assert_int_equal(sw_parallel_lanes(sw_team_shared(SW_TEAM_LANES + 1)) <= SW_TEAM_LANES, true);
}

static void bad_numbers_are_refused(void **state) {
    struct sw_team *team = NULL;
    struct sw_error err;
    assert_int_equal(sw_team_open(0, &team, &err), SW_INVALID);
    assert_int_equal(sw_team_open(SW_TEAM_LANES + 1, &team, &err), SW_INVALID);
    assert_string_equal(err.text, "cannot make a team of 257 threads: 1 to 256 are possible");
    assert_null(team);
}

static void no_memory_leaves_nothing(void **state) {
    for (size_t nth = 1;; nth++) {
        struct sw_team *team = NULL;
        sw_mem_fail_at(nth);
        enum sw_status status = sw_team_open(3, &team, NULL);
        sw_mem_fail_at(0);
        if (status == SW_OK) {
            assert_true(nth > 1);
            sw_team_close(team);
            return;
        }
        assert_int_equal(status, SW_NOMEM);
        assert_null(team);
    }
}

enum { NAP_US = 2000, NAPS = 20 };

struct meeting {
    _Atomic unsigned met;
    cpu_set_t seen[2];
};

/* Two lanes that wait for each other, so that each has one iteration. */
static void meet(void *context, size_t first, size_t last, unsigned lane) {
    struct meeting *meeting = context;
    atomic_fetch_add(&meeting->met, 1);
    while (atomic_load(&meeting->met) < 2)
        sched_yield();
    assert_int_equal(sched_getaffinity(0, sizeof(meeting->seen[lane]), &meeting->seen[lane]), 0);
}

/* Also of lanes that slept, which are kept off the caller's CPU while they are woken. */
static void a_lane_has_the_cpus_of_its_caller(void **state) {
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    struct sw_team *team;
    assert_int_equal(sw_team_open(2, &team, NULL), SW_OK);
    struct sw_parallel_loop loop = {2, 1, meet, NULL};
    for (int i = 0; i < NAPS; i++) {
        usleep(NAP_US);
        struct meeting meeting = {0};
        loop.context = &meeting;
        sw_parallel_run(sw_team_parallel(team), &loop);
        assert_true(CPU_EQUAL(&meeting.seen[0], &before));
        assert_true(CPU_EQUAL(&meeting.seen[1], &before));
    }
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    struct meeting meeting = {0};
    loop.context = &meeting;
    sw_parallel_run(sw_team_parallel(team), &loop); /* nowhere else to go */
    assert_int_equal(meeting.met, 2);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    sw_team_close(team);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_iteration_is_done_once),       cmocka_unit_test(no_team_is_the_caller),
        cmocka_unit_test(a_lane_that_is_held_up_is_robbed),  cmocka_unit_test(callers_take_turns),
        cmocka_unit_test(a_forked_child_gets_its_own),       cmocka_unit_test(shared_teams_have_the_lanes_asked_for),
        cmocka_unit_test(a_lane_has_the_cpus_of_its_caller), cmocka_unit_test(bad_numbers_are_refused),
        cmocka_unit_test(no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
