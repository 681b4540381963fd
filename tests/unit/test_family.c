/* test_family.c - Children of a process, of all of its threads, and what is seen when they or it are gone. */
#include "probe/family.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"

static struct sw_target target;
static struct sw_family family;

static int set_up(void **unused) {
    return sw_target_open(&target, (int32_t)getpid(), NULL) == SW_OK ? 0 : -1;
}

static int tear_down(void **unused) {
    sw_target_close(&target);
    sw_family_release(&family);
    return 0;
}

/* A child that waits for its end. */
static pid_t child_start(void) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void child_end(pid_t pid) {
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static bool has_child(pid_t pid) {
    for (size_t i = 0; i < family.count; i++)
        if (family.children[i] == (int32_t)pid)
            return true;
    return false;
}

static void look(void) {
    enum sw_status status = sw_family_look(&family, &target);
    if (status == SW_UNSUPPORTED)
        skip(); /* a kernel without CONFIG_PROC_CHILDREN */
    assert_int_equal(status, SW_OK);
}

static void children_come_and_go(void **unused) {
    look();
    assert_int_equal(family.count, 0);
    pid_t pids[40];
    for (size_t i = 0; i < 40; i++)
        pids[i] = child_start();
    look();
    assert_int_equal(family.count, 40);
    for (size_t i = 0; i < 40; i++)
        assert_true(has_child(pids[i]));
    for (size_t i = 0; i < 40; i++)
        child_end(pids[i]);
    look();
    assert_int_equal(family.count, 0);
}

static void *thread_main(void *context) {
    pid_t *pids = context;
    pids[1] = child_start();
    while (read(pids[2], &pids[3], 1) < 0) /* the child is this thread's until it ends */
        ;
    return NULL;
}

static void children_of_every_thread_are_found(void **unused) {
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t pids[4] = {child_start(), 0, pipe_ends[0], 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, thread_main, pids), 0);
    do /* it has no end but that the thread runs */
        look();
    while (family.count < 2);
    assert_int_equal(family.count, 2);
    assert_int_equal(write(pipe_ends[1], "x", 1), 1);
    pthread_join(thread, NULL);
    assert_true(has_child(pids[0]) && has_child(pids[1]));
    child_end(pids[0]);
    child_end(pids[1]);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void a_parent_that_is_gone_is_closed(void **unused) {
    struct sw_target gone;
    pid_t pid = child_start();
    assert_int_equal(sw_target_open(&gone, (int32_t)pid, NULL), SW_OK);
    child_end(pid);
    assert_int_equal(sw_family_look(&family, &gone), SW_CLOSED);
    sw_target_close(&gone);
}

static void memory_may_run_out(void **unused) {
    pid_t pid = child_start();
    for (size_t nth = 1;; nth++) {
        sw_family_release(&family);
        sw_mem_fail_at(nth);
        enum sw_status status = sw_family_look(&family, &target);
        sw_mem_fail_at(0);
        if (status == SW_UNSUPPORTED)
            skip();
        if (status == SW_OK)
            break;
        assert_int_equal(status, SW_NOMEM);
        assert_true(nth < 50);
    }
    assert_true(has_child(pid));
    child_end(pid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(children_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(children_of_every_thread_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_parent_that_is_gone_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_may_run_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
