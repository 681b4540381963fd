/* test_gil_lanes.c - What a sequence of looks makes of a thread: holds, waits, spans, totals, with times made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "probe/gil_timeline_impl.h"

struct fixture {
    struct sw_target target;
    struct sw_runtime runtime;
    struct sw_gil_timeline *timeline;
    struct sw_gil_lane *lane;
};

static void fixture_open(struct fixture *fixture, bool is_meter) {
    struct sw_error err;
    *fixture = (struct fixture){.runtime.target = &fixture->target};
    if (sw_target_open(&fixture->target, (int32_t)getpid(), &err) != SW_OK)
        fail_msg("%s", err.text);
    fixture->timeline = sw_alloc_zero(sizeof *fixture->timeline);
    assert_non_null(fixture->timeline);
    fixture->timeline->runtime = &fixture->runtime;
    fixture->timeline->options.is_meter = is_meter;
    fixture->timeline->gil_count = 1;
    fixture->timeline->gils[0] = (struct sw_gil_state_now){.address = 1, .is_started = true};
    assert_int_equal(sw_thread_watch_new(&fixture->timeline->watch, &fixture->target), SW_OK);
    fixture->lane =
        sw_gil_lane_add(fixture->timeline,
                        &(struct sw_gil_lane){.address = 0x1000, .tid = (int32_t)getpid(), .has_waits = true});
    assert_non_null(fixture->lane);
}

static void fixture_close(struct fixture *fixture) {
    sw_gil_timeline_free(fixture->timeline);
    sw_target_close(&fixture->target);
}

static void waits_begin_and_end_between_looks(void **state) {
    struct fixture fixture;
    fixture_open(&fixture, false);
    struct sw_gil_lane *lane = fixture.lane;
    lane->looked_ns = 1000;
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_AWAITED, false, 2000);
    assert_int_equal(lane->wait_start_ns, 1500);
    assert_int_equal(fixture.timeline->gils[0].waiting, 1);
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_AWAITED, false, 3000);
    assert_int_equal(lane->wait_start_ns, 1500);
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_ELSEWHERE, false, 5000);
    assert_int_equal(lane->waited_ns, 2500); /* 1500 to 4000 */
    assert_int_equal(lane->waits, 1);
    assert_int_equal(fixture.timeline->gils[0].waiting, 0);
    assert_int_equal(lane->span_count, 1);
    assert_int_equal(lane->spans[0].state, SW_GIL_WAITED);
    assert_int_equal(lane->spans[0].start_ns, 1500);
    assert_int_equal(lane->spans[0].end_ns, 4000);
    assert_int_equal(fixture.timeline->totals.waited_ns, 2500);
    fixture_close(&fixture);
}

static void who_had_to_let_go_waits_since_then(void **state) {
    struct fixture fixture;
    fixture_open(&fixture, false);
    struct sw_gil_lane *lane = fixture.lane;
    lane->looked_ns = 10000; /* held it then */
    sw_gil_lane_hold(fixture.timeline, lane, 5000, 10400);
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_HANDED_OVER, false, 10800);
    assert_int_equal(lane->wait_start_ns, 0);
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_AWAITED, false, 12000);
    assert_int_equal(lane->wait_start_ns, 10400);
    sw_gil_lane_got(fixture.timeline, lane, 20400);
    assert_int_equal(lane->waited_ns, 10000);
    assert_int_equal(lane->held_ns, 5400);
    assert_int_equal(lane->longest_wait_ns, 10000);
    assert_int_equal(sw_histogram_quantile(lane->wait, 1), 10000);
    assert_int_equal(lane->span_count, 2);
    fixture_close(&fixture);
}

static void being_woken_does_not_end_a_wait(void **state) {
    struct fixture fixture;
    fixture_open(&fixture, false);
    struct sw_gil_lane *lane = fixture.lane;
    lane->looked_ns = 1000;
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_AWAITED, false, 1000);
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_ELSEWHERE, true, 51000); /* asks for the GIL each interval */
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_AWAITED, false, 101000);
    assert_int_equal(lane->waits, 0);
    assert_int_equal(lane->wait_start_ns, 1000);
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_ELSEWHERE, true, 151000);
    sw_gil_lane_got(fixture.timeline, lane, 161000);
    assert_int_equal(lane->waits, 1);
    assert_int_equal(lane->waited_ns, 160000);
    fixture_close(&fixture);
}

/* This very thread computes, so that its CPU time belies a wait: it had got the GIL and let it go. */
static void computing_without_the_gil_is_no_wait(void **state) {
    struct fixture fixture;
    fixture_open(&fixture, false);
    struct sw_gil_lane *lane = fixture.lane;
    struct sw_thread_look look;
    assert_int_equal(sw_thread_look(fixture.timeline->watch, lane->tid, SW_LOOK_SCHEDSTAT, &look), SW_OK);
    if (!look.has_schedstat)
        skip();
    lane->looked_ns = 1000;
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_AWAITED, false, 1000);
    sw_gil_lane_seen(fixture.timeline, lane, SW_GIL_ELSEWHERE, true, 3000);
    assert_int_equal(lane->running_ns, 2000);
    /* An hour later, by made-up clock, of which the thread cannot have been without a CPU for more than a moment. */
    sw_gil_lane_got(fixture.timeline, lane, INT64_C(3600000000000));
    assert_int_equal(lane->waited_ns, 1000);
    assert_int_equal(lane->waits, 1);
    fixture_close(&fixture);
}

static void the_end_of_a_thread_ends_all(void **state) {
    struct fixture fixture;
    fixture_open(&fixture, true);
    struct sw_gil_lane *lane = fixture.lane;
    struct sw_gil_state_now *gil = &fixture.timeline->gils[0];
    gil->holder = lane;
    gil->hold_start_ns = 100;
    gil->look = (struct sw_gil_look){.mono_ns = 900, .holder = lane->address};
    sw_gil_lane_gone(fixture.timeline, lane);
    assert_true(lane->is_gone);
    assert_null(gil->holder);
    assert_int_equal(fixture.timeline->totals.held_ns, 800);
    assert_null(sw_gil_lane_find(fixture.timeline, 0x1000));
    sw_gil_lanes_drop(fixture.timeline, 0);
    assert_int_equal(fixture.timeline->lane_count, 0);
    assert_int_equal(fixture.timeline->totals.ended_threads, 1);
    assert_int_equal(fixture.timeline->totals.held_ns, 800);
    fixture_close(&fixture);
}

static int64_t told_ns;

static void on_span(void *context, int32_t tid, const struct sw_gil_span *span) {
    assert_int_equal(tid, getpid());
    told_ns += span->end_ns - span->start_ns;
}

static void a_meter_tells_spans_and_keeps_none(void **state) {
    struct fixture fixture;
    fixture_open(&fixture, true);
    fixture.timeline->options.on_span = on_span;
    told_ns = 0;
    sw_gil_lane_hold(fixture.timeline, fixture.lane, 0, 500);
    sw_gil_lane_hold(fixture.timeline, fixture.lane, 600, 700);
    assert_int_equal(told_ns, 600);
    assert_int_equal(fixture.lane->span_count, 0);
    assert_int_equal(fixture.lane->holds, 2);
    fixture_close(&fixture);
}

static void spans_stay_within_their_bound(void **state) {
    struct fixture fixture;
    fixture_open(&fixture, false);
    int64_t now_ns = 0;
    int64_t held_ns = 0;
    for (size_t i = 0; i < 3 * (size_t)SW_GIL_SPANS_MAX / 2; i++) {
        int64_t length_ns = i % 100 == 0 ? 10000000 : 20000;
        sw_gil_lane_hold(fixture.timeline, fixture.lane, now_ns, now_ns + length_ns);
        held_ns += length_ns;
        now_ns += length_ns + 500000;
    }
    assert_true(fixture.timeline->span_total < SW_GIL_SPANS_MAX);
    assert_int_equal(fixture.timeline->span_total, fixture.lane->span_count);
    assert_int_equal(fixture.lane->held_ns, held_ns);
    assert_true(fixture.timeline->totals.detail_ns > 20000);
    for (size_t i = 1; i < fixture.lane->span_count; i++)
        assert_true(fixture.lane->spans[i].start_ns >= fixture.lane->spans[i - 1].end_ns);
    fixture_close(&fixture);
}

static void a_vote_finds_the_majority(void **state) {
    struct sw_code a = {.id = 1, .name = SW_STR("a")};
    struct sw_code b = {.id = 2, .name = SW_STR("b")};
    const struct sw_code *rows[] = {&b, &a, &a, &b, &a, &a, &b};
    struct sw_gil_vote vote = {0};
    assert_int_equal(sw_gil_vote_where(&vote).name.len, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        sw_gil_vote_add(&vote, rows[i], 7);
    assert_ptr_equal(vote.code, &a);
    assert_int_equal(sw_gil_vote_where(&vote).line, 7);
}

static void longest_holds_and_functions_are_sorted(void **state) {
    struct fixture fixture;
    fixture_open(&fixture, false);
    struct sw_code a = {.id = 1, .name = SW_STR("a")};
    struct sw_code b = {.id = 2, .name = SW_STR("b")};
    for (int64_t i = 1; i <= 100; i++)
        sw_gil_hold_keep(fixture.timeline,
                         &(struct sw_gil_kept_hold){.lane = fixture.lane, .end_ns = i * 37 % 101, .vote = {&a, 1, 1}});
    for (int i = 0; i < 10; i++)
        assert_int_equal(sw_gil_function_seen(fixture.timeline, i < 3 ? &a : &b, i < 5 ? 10 : 20), SW_OK);
    fixture.timeline->totals.held_ns = 1000;
    sw_gil_timeline_end(fixture.timeline);
    size_t count;
    const struct sw_gil_hold *holds = sw_gil_timeline_holds(fixture.timeline, &count);
    assert_int_equal(count, SW_GIL_HOLDS_MAX);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(holds[i].end_ns - holds[i].start_ns, 100 - (int64_t)i);
    const struct sw_gil_function *functions = sw_gil_timeline_functions(fixture.timeline, &count);
    assert_int_equal(count, 2);
    assert_string_equal(functions[0].where.name.ptr, "b");
    assert_int_equal(functions[0].where.line, 20); /* 5 looks against 2 */
    assert_int_equal(functions[0].looks, 7);
    assert_int_equal(functions[0].held_ns, 700);
    assert_int_equal(functions[1].held_ns, 300);
    fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_begin_and_end_between_looks),
        cmocka_unit_test(who_had_to_let_go_waits_since_then),
        cmocka_unit_test(being_woken_does_not_end_a_wait),
        cmocka_unit_test(computing_without_the_gil_is_no_wait),
        cmocka_unit_test(the_end_of_a_thread_ends_all),
        cmocka_unit_test(a_meter_tells_spans_and_keeps_none),
        cmocka_unit_test(spans_stay_within_their_bound),
        cmocka_unit_test(a_vote_finds_the_majority),
        cmocka_unit_test(longest_holds_and_functions_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
