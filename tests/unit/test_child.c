/* test_child.c - Child processes: exit codes, signals, pipes, groups, what cannot be started. */
#include "net/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"

#define PATIENCE_NS (60 * SW_NS_PER_S) /* how long a test waits for what must come */

static struct sw_reactor *reactor;

struct end {
    int code, signal_number, calls;
};

static int set_up(void **unused) {
    return sw_reactor_open(&reactor, NULL, NULL) == SW_OK ? 0 : -1;
}

static int tear_down(void **unused) {
    sw_reactor_close(reactor);
    return 0;
}

static void on_exit_of(void *context, int exit_code, int signal_number) {
    struct end *end = context;
    end->code = exit_code;
    end->signal_number = signal_number;
    end->calls++;
}

static struct sw_child *start(const char *script, struct end *end, struct sw_child_options options) {
    const char *argv[] = {"sh", "-c", script, NULL};
    struct sw_child *child = NULL;
    struct sw_error err = {0};
    *end = (struct end){0};
    options.argv = argv;
    options.fn = on_exit_of;
    options.context = end;
    assert_int_equal(sw_child_spawn(&child, reactor, &options, &err), SW_OK);
    assert_true(sw_child_is_running(child));
    assert_true(sw_child_pid(child) > 0);
    return child;
}

static void turn_until_over(const struct end *end) {
    for (int64_t deadline_ns = sw_clock_mono_ns() + PATIENCE_NS; end->calls == 0;) {
        assert_true(sw_clock_mono_ns() < deadline_ns);
        assert_int_equal(sw_reactor_turn(reactor, 10 * SW_NS_PER_MS, NULL), SW_OK);
    }
    assert_int_equal(end->calls, 1);
}

static void test_exit_codes(void **unused) {
    for (int code = 0; code < 256; code += 85) {
        struct end end;
        char script[16];
        snprintf(script, sizeof script, "exit %d", code);
        struct sw_child *child = start(script, &end, (struct sw_child_options){0});
        turn_until_over(&end);
        assert_int_equal(end.code, code);
        assert_int_equal(end.signal_number, 0);
        assert_false(sw_child_is_running(child));
        assert_int_equal(sw_child_kill(child, SIGTERM, NULL), SW_CLOSED);
        sw_child_close(child);
    }
}

static void test_pipes(void **unused) {
    struct end end;
    struct sw_child_options options = {.in = SW_CHILD_PIPE, .out = SW_CHILD_PIPE, .err = SW_CHILD_PIPE};
    struct sw_child *child = start("read x; echo got $x; echo oops >&2", &end, options);
    int in = sw_child_take_pipe(child, 0);
    int out = sw_child_take_pipe(child, 1);
    assert_int_equal(sw_child_take_pipe(child, 1), -1);
    assert_int_equal(write(in, "hello\n", 6), 6);
    close(in);
    turn_until_over(&end);
    assert_int_equal(end.code, 0);
    char text[64] = {0};
    assert_int_equal(read(out, text, sizeof text), 10);
    assert_string_equal(text, "got hello\n");
    assert_int_equal(read(out, text, sizeof text), 0);
    int errors = sw_child_take_pipe(child, 2);
    assert_int_equal(read(errors, text, sizeof text), 5);
    close(out);
    close(errors);
    sw_child_close(child);
}

static void test_signals_reach_the_group(void **unused) {
    struct end end;
    struct sw_child_options options = {.out = SW_CHILD_PIPE, .has_own_group = true};
    struct sw_child *child = start("sleep 1000 & echo $!; wait", &end, options);
    int out = sw_child_take_pipe(child, 1);
    char text[32] = {0};
    while (read(out, text, sizeof text - 1) < 0) {
        assert_int_equal(errno, EAGAIN);
        sw_clock_sleep_ns(SW_NS_PER_MS);
    }
    assert_int_equal(sw_child_kill(child, SIGTERM, NULL), SW_OK);
    turn_until_over(&end);
    assert_int_equal(end.code, -1);
    assert_int_equal(end.signal_number, SIGTERM);
    /* The grandchild held the pipe's other end too: its end shows that it is gone. */
    ssize_t got = -1;
    for (int64_t deadline_ns = sw_clock_mono_ns() + PATIENCE_NS; (got = read(out, text, sizeof text)) < 0;) {
        assert_true(sw_clock_mono_ns() < deadline_ns);
        sw_clock_sleep_ns(SW_NS_PER_MS);
    }
    assert_int_equal(got, 0);
    close(out);
    sw_child_close(child);
}

static void test_close_kills(void **unused) {
    struct end end;
    struct sw_child *child = start("trap '' TERM; sleep 1000", &end, (struct sw_child_options){.has_own_group = true});
    pid_t pid = sw_child_pid(child);
    sw_child_close(child);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(end.calls, 0);
}

static void test_clean_signal_state(void **unused) {
    sigset_t blocked, before;
    sigfillset(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    signal(SIGPIPE, SIG_IGN);
    struct end end;
    struct sw_child_options options = {.out = SW_CHILD_PIPE};
    struct sw_child *child = start("grep -E 'Sig(Blk|Ign)' /proc/self/status", &end, options);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    turn_until_over(&end);
    char text[128] = {0};
    int out = sw_child_take_pipe(child, 1);
    assert_true(read(out, text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "SigBlk:\t0000000000000000"));
    const char *ignored = strstr(text, "SigIgn:");
    assert_non_null(ignored);
    /* The classic signals; glibc ignores its own two, 32 and 33, in what it spawns. */
    assert_int_equal(strtoull(ignored + 7, NULL, 16) & 0x7fffffff, 0);
    close(out);
    sw_child_close(child);
}

static void test_missing_program(void **unused) {
    const char *argv[] = {"sidewinder-no-such-program", NULL};
    struct sw_child_options options = {.argv = argv, .out = SW_CHILD_PIPE};
    struct sw_child *child = NULL;
    struct sw_error err = {0};
    assert_int_equal(sw_child_spawn(&child, reactor, &options, &err), SW_NOTFOUND);
    assert_non_null(strstr(err.text, "sidewinder-no-such-program"));
    assert_null(child);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_exit_codes),         T(test_pipes),           T(test_signals_reach_the_group), T(test_close_kills),
        T(test_clean_signal_state), T(test_missing_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
