/* test_sampler.c - The sampler on a Python of its own: what it collects, hands over, follows, and how it runs out of memory. */
#include "probe/sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

#define PYTHON "/usr/bin/python3"
#define LOOKS_MAX 100000 /* a bound for what comes at once, or after the child got to run */

/* Blocked in `inner`, called by `outer`, with a second thread in `other`. */
static const char program[] = "import os, sys, threading, time\n"
                              "def other():\n"
                              "    time.sleep(100000)\n"
                              "def inner():\n"
                              "    os.write(1, b'u')\n"
                              "    time.sleep(100000)\n"
                              "def outer():\n"
                              "    inner()\n"
                              "threading.Thread(target=other, daemon=True).start()\n"
                              "outer()\n";

static pid_t child;

static void child_end(void) {
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static int set_up(void **unused) {
    int ends[2];
    char byte;
    if (access(PYTHON, X_OK) || pipe(ends))
        return 0;
    child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        execl(PYTHON, PYTHON, "-I", "-S", "-c", program, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], &byte, 1);
    close(ends[0]);
    return got == 1 ? 0 : -1;
}

static int tear_down(void **unused) {
    if (child > 0)
        child_end();
    child = 0;
    return 0;
}

static struct sw_sampler *open_sampler(const struct sw_sampler_options *options) {
    struct sw_sampler *sampler = NULL;
    struct sw_error err = {0};
    if (child <= 0)
        skip();
    assert_int_equal(sw_sampler_new(&sampler, options), SW_OK);
    enum sw_status status = sw_sampler_add(sampler, (int32_t)child, false, &err);
    if (status == SW_PERM || status == SW_UNSUPPORTED) {
        print_message("%s\n", err.text);
        sw_sampler_free(sampler);
        skip();
    }
    assert_int_equal(status, SW_OK);
    return sampler;
}

static void look(struct sw_sampler *sampler) {
    while (!sw_sampler_wait(sampler, INT64_MAX))
        ;
    assert_int_equal(sw_sampler_look(sampler), SW_OK);
}

static bool has_frame(const struct sw_profile *profile, const char *name) {
    for (size_t i = 0; i < profile->frame_count; i++)
        if (sw_str_eq(profile->frames[i].name, sw_str_from(name)))
            return true;
    return false;
}

/* Looks until both threads are where they stay. */
static void look_until_settled(struct sw_sampler *sampler) {
    const struct sw_profile *profile = sw_sampler_profile(sampler);
    for (int i = 0; i < LOOKS_MAX && !(has_frame(profile, "other") && has_frame(profile, "inner")); i++)
        look(sampler);
    assert_true(has_frame(profile, "other") && has_frame(profile, "inner") && has_frame(profile, "outer"));
}

static void all_threads_are_sampled(void **unused) {
    struct sw_sampler *sampler = open_sampler(&(struct sw_sampler_options){.what = SW_SAMPLE_WALL});
    look_until_settled(sampler);
    const struct sw_profile *profile = sw_sampler_profile(sampler);
    struct sw_sampler_counts counts = sw_sampler_counts(sampler);
    uint64_t samples = 0;
    int64_t weight_ns = 0;
    for (size_t i = 0; i < profile->total_count; i++) {
        samples += profile->totals[i].count;
        weight_ns += profile->totals[i].weight_ns;
    }
    assert_int_equal(samples, counts.exact + counts.partial);
    assert_true(weight_ns >= (int64_t)samples * SW_NS_PER_MS);
    assert_true(counts.first_mono_ns > 0 && counts.last_mono_ns >= counts.first_mono_ns);
    assert_true(sw_sampler_has_live(sampler));
    assert_int_equal(sw_sampler_attached(sampler), 1);
    struct sw_sampler_process process = sw_sampler_process(sampler, 0);
    assert_int_equal(process.pid, child);
    assert_int_equal(process.thread_count, 2);
    assert_int_equal(process.version[0], '3');
    assert_int_equal(profile->track_count, 2);
    sw_sampler_free(sampler);
}

static void taking_begins_anew(void **unused) {
    struct sw_sampler *sampler =
        open_sampler(&(struct sw_sampler_options){.what = SW_SAMPLE_WALL, .has_process_headings = true});
    struct sw_profile first = {0}, second = {0};
    look_until_settled(sampler);
    uint64_t before = sw_sampler_counts(sampler).exact;
    assert_int_equal(sw_sampler_take(sampler, &first), SW_OK);
    assert_int_equal(first.about.exact, before);
    assert_true(sw_str_eq(first.about.what, SW_STR("wall")));
    assert_true(first.about.rate_hz == SW_SAMPLER_RATE_HZ);
    assert_int_equal(sw_sampler_profile(sampler)->total_count, 0);
    for (int i = 0; i < 5; i++)
        look(sampler);
    assert_int_equal(sw_sampler_take(sampler, &second), SW_OK);
    assert_true(has_frame(&second, "inner") && has_frame(&second, "other"));
    assert_int_equal(second.about.exact + second.about.partial, sw_sampler_counts(sampler).exact +
                                                                    sw_sampler_counts(sampler).partial - before -
                                                                    first.about.partial);
    assert_true(second.about.start_epoch_ns >= first.about.start_epoch_ns);
    bool has_heading = false;
    for (size_t i = 0; i < second.frame_count; i++)
        has_heading |= sw_str_starts(second.frames[i].name, SW_STR("process "));
    assert_true(has_heading);
    sw_profile_release(&first);
    sw_profile_release(&second);
    sw_sampler_free(sampler);
}

static void threads_that_sleep_do_not_run(void **unused) {
    struct sw_sampler *sampler = open_sampler(&(struct sw_sampler_options){.what = SW_SAMPLE_CPU});
    struct sw_profile dropped = {0};
    uint64_t samples = 1;
    for (int i = 0; i < LOOKS_MAX && samples; i++) { /* until a hundred looks in a row found nobody */
        assert_int_equal(sw_sampler_take(sampler, &dropped), SW_OK);
        sw_profile_release(&dropped);
        for (int j = 0; j < 100; j++)
            look(sampler);
        samples = sw_sampler_profile(sampler)->total_count;
    }
    assert_int_equal(samples, 0);
    sw_sampler_free(sampler);
}

static void the_end_of_a_process_is_told(void **unused) {
    struct sw_sampler *sampler = open_sampler(&(struct sw_sampler_options){.what = SW_SAMPLE_WALL, .rate_hz = 10000});
    look(sampler);
    child_end();
    enum sw_status status = SW_OK;
    for (int i = 0; i < LOOKS_MAX && status == SW_OK; i++)
        if (sw_sampler_wait(sampler, INT64_MAX))
            status = sw_sampler_look(sampler);
    assert_int_equal(status, SW_CLOSED);
    assert_int_equal(sw_sampler_process_count(sampler), 0);
    assert_true(has_frame(sw_sampler_profile(sampler), "outer") || sw_sampler_counts(sampler).exact == 0);
    child = 0;
    sw_sampler_free(sampler);
}

static void what_is_no_process_is_refused(void **unused) {
    struct sw_sampler *sampler = open_sampler(&(struct sw_sampler_options){.what = SW_SAMPLE_WALL});
    struct sw_error err = {0};
    pid_t other = fork(); /* this program, which is no Python */
    if (other == 0)
        for (;;)
            pause();
    assert_int_equal(sw_sampler_add(sampler, (int32_t)other, false, &err), SW_NOTFOUND);
    assert_non_null(strstr(err.text, "not a Python process"));
    assert_int_equal(sw_sampler_add(sampler, (int32_t)other, true, &err), SW_OK);
    assert_int_equal(sw_sampler_process_count(sampler), 2);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    for (int i = 0; i < LOOKS_MAX && sw_sampler_process_count(sampler) > 1; i++)
        look(sampler);
    assert_int_equal(sw_sampler_process_count(sampler), 1);
    assert_int_equal(sw_sampler_add(sampler, (int32_t)other, false, &err), SW_NOTFOUND);
    assert_int_equal(sw_sampler_add(sampler, (int32_t)child, false, &err), SW_OK); /* known already */
    assert_int_equal(sw_sampler_process_count(sampler), 1);
    sw_sampler_free(sampler);
}

static void rates_that_cannot_be_are_refused(void **unused) {
    struct sw_sampler *sampler = NULL;
    static const double rates[] = {-1, SW_SAMPLER_RATE_MAX_HZ * 1.01};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        assert_int_equal(sw_sampler_new(&sampler, &(struct sw_sampler_options){.rate_hz = rates[i]}), SW_INVALID);
    assert_null(sampler);
}

/* A few looks and a take, with the n-th allocation failing. True when none failed. */
static bool run_with_failure(size_t nth, bool has_native) {
    struct sw_sampler *sampler = NULL;
    struct sw_profile profile = {0};
    struct sw_sampler_options options = {.what = SW_SAMPLE_WALL,
                                         .counts_states = true,
                                         .has_native = has_native,
                                         .has_process_headings = true,
                                         .follow = SW_FOLLOW_ALL};
    sw_mem_fail_at(nth);
    enum sw_status status = sw_sampler_new(&sampler, &options);
    if (status == SW_OK)
        status = sw_sampler_add(sampler, (int32_t)child, false, NULL);
    for (int i = 0; i < 3 && status == SW_OK; i++)
        if (sw_sampler_wait(sampler, INT64_MAX))
            status = sw_sampler_look(sampler);
    if (status == SW_OK)
        status = sw_sampler_take(sampler, &profile);
    sw_mem_fail_at(0);
    bool is_done = status == SW_OK && profile.total_count >= 2;
    sw_profile_release(&profile);
    sw_sampler_free(sampler);
    return is_done;
}

static void memory_may_run_out(void **unused) {
    sw_sampler_free(open_sampler(&(struct sw_sampler_options){.what = SW_SAMPLE_WALL}));
    size_t nth = 1;
    while (nth < 5000 && !run_with_failure(nth, false))
        nth++;
    assert_in_range(nth, 10, 4999);
}

static void memory_may_run_out_among_c_frames(void **unused) {
    sw_sampler_free(open_sampler(&(struct sw_sampler_options){.what = SW_SAMPLE_WALL, .has_native = true}));
    size_t nth = 1;
    while (nth < 5000 && !run_with_failure(nth, true))
        nth += 1 + nth / 16;
    assert_in_range(nth, 10, 4999);
}

/* Threads that sleep are undisturbed, and C frames stand inside of the Python frame that called them. */
static void c_frames_are_sampled(void **unused) {
    struct sw_sampler *sampler =
        open_sampler(&(struct sw_sampler_options){.what = SW_SAMPLE_WALL, .has_native = true, .counts_states = true});
    const struct sw_profile *profile = sw_sampler_profile(sampler);
    size_t inside = 0;
    for (int i = 0; i < LOOKS_MAX && inside < 2; i++) {
        look(sampler);
        inside = 0;
        for (size_t k = 0; k < profile->node_count; k++) {
            const struct sw_profile_node *node = &profile->nodes[k];
            const struct sw_profile_frame *frame = &profile->frames[node->frame];
            const struct sw_profile_frame *caller = &profile->frames[profile->nodes[node->parent].frame];
            inside += node->depth > 1 && frame->kind == SW_PROFILE_NATIVE && caller->kind == SW_PROFILE_PYTHON &&
                      (sw_str_eq(caller->name, SW_STR("inner")) || sw_str_eq(caller->name, SW_STR("other")));
        }
    }
    assert_true(inside >= 2);
    struct sw_sampler_counts counts = sw_sampler_counts(sampler);
    assert_true(counts.native > 0 && counts.native <= counts.exact + counts.partial);
    sw_sampler_free(sampler);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_threads_are_sampled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(taking_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_that_sleep_do_not_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_of_a_process_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_process_is_refused, set_up, tear_down),
        cmocka_unit_test(rates_that_cannot_be_are_refused),
        cmocka_unit_test_setup_teardown(memory_may_run_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(c_frames_are_sampled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_may_run_out_among_c_frames, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
