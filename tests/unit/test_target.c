/* test_target.c - Another process: its memory, threads and names; its end; and why it may not be read. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "probe/target_impl.h"

static uint64_t marker = UINT64_C(0x5157494e44455221);

static void own_open(struct sw_target *target) {
    struct sw_error err;
    if (sw_target_open(target, (int32_t)getpid(), &err) != SW_OK)
        fail_msg("%s", err.text);
}

/* A child that waits for its death. */
static pid_t child_start(void) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return pid;
}

static void child_end(pid_t pid) {
    int how;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &how, 0), pid);
}

static void memory_is_read(void **state) {
    (void)state;
    struct sw_target target;
    uint64_t value = 0;
    char text[8];
    own_open(&target);
    assert_int_equal(sw_target_read_u64(&target, (uint64_t)(uintptr_t)&marker, &value), SW_OK);
    assert_int_equal(value, marker);
    assert_int_equal(sw_target_read(&target, (uint64_t)(uintptr_t) "sidewind", text, 8), SW_OK);
    assert_memory_equal(text, "sidewind", 8);
    assert_int_equal(sw_target_explain(&target, NULL), SW_OK);
    sw_target_close(&target);
    sw_target_close(&target);
}

static void unmapped_memory_is_an_io_error(void **state) {
    (void)state;
    static const uint64_t addresses[] = {0, 1, 8, UINT64_C(0x800000000000), UINT64_MAX - 7, UINT64_MAX};
    struct sw_target target;
    uint64_t value = 77;
    own_open(&target);
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        assert_int_equal(sw_target_read_u64(&target, addresses[i], &value), SW_IO);
    assert_int_equal(value, 77);
    sw_target_close(&target);
}

static void a_read_over_the_edge_of_memory_fails_as_a_whole(void **state) {
    (void)state;
    struct sw_target target;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *area = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(area, MAP_FAILED);
    assert_int_equal(munmap(area + page, page), 0);
    char bytes[64];
    own_open(&target);
    assert_int_equal(sw_target_read(&target, (uint64_t)(uintptr_t)area + page - 64, bytes, 64), SW_OK);
    assert_int_equal(sw_target_read(&target, (uint64_t)(uintptr_t)area + page - 63, bytes, 64), SW_IO);
    sw_target_close(&target);
    munmap(area, page);
}

static void many_ranges_stop_at_the_first_fault(void **state) {
    (void)state;
    struct sw_target target;
    uint64_t values[3] = {0};
    struct iovec local = {values, sizeof values};
    struct iovec remote[3] = {{&marker, 8}, {(void *)8, 8}, {&marker, 8}};
    own_open(&target);
    assert_int_equal(sw_target_readv(&target, &local, 1, remote, 3), 8);
    assert_int_equal(sw_target_readv(&target, &local, 1, remote + 1, 1), -14); /* EFAULT */
    remote[1] = remote[0];
    assert_int_equal(sw_target_readv(&target, &local, 1, remote, 3), 24);
    assert_int_equal(values[2], marker);
    sw_target_close(&target);
}

static void a_process_that_ends_is_closed(void **state) {
    (void)state;
    struct sw_target target;
    struct sw_maps maps = {0};
    struct sw_target_usage usage;
    struct sw_buf command = {0};
    struct sw_error err;
    int32_t *tids = NULL;
    size_t count = 0, cap = 0;
    uint64_t value;
    pid_t pid = child_start();
    assert_int_equal(sw_target_open(&target, (int32_t)pid, &err), SW_OK);
    assert_true(sw_target_is_alive(&target));
    child_end(pid);
    assert_false(sw_target_is_alive(&target));
    assert_int_equal(sw_target_read_u64(&target, (uint64_t)(uintptr_t)&marker, &value), SW_CLOSED);
    assert_int_equal(sw_target_maps(&target, &maps, &err), SW_CLOSED);
    assert_int_equal(sw_target_explain(&target, &err), SW_CLOSED);
    assert_non_null(strstr(err.text, "has ended"));
    assert_int_equal(sw_target_usage(&target, &usage), SW_CLOSED);
    assert_int_equal(sw_target_command(&target, &command), SW_CLOSED);
    assert_int_equal(sw_target_threads(&target, &tids, &count, &cap), SW_CLOSED);
    sw_free(tids);
    sw_buf_release(&command);
    sw_target_close(&target);
    assert_int_equal(sw_target_open(&target, (int32_t)pid, &err), SW_NOTFOUND);
}

static void a_zombie_is_not_found(void **state) {
    (void)state;
    struct sw_target target;
    struct sw_error err;
    siginfo_t info;
    pid_t pid = child_start();
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(sw_target_open(&target, (int32_t)pid, &err), SW_NOTFOUND);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void ids_that_are_none_are_refused(void **state) {
    (void)state;
    struct sw_target target;
    struct sw_error err;
    assert_int_equal(sw_target_open(&target, 0, &err), SW_INVALID);
    assert_int_equal(sw_target_open(&target, -1, &err), SW_INVALID);
    assert_int_equal(sw_target_open(&target, INT32_MAX, &err), SW_NOTFOUND);
    assert_non_null(strstr(err.text, "2147483647"));
}

static void processes_and_threads_are_listed(void **state) {
    (void)state;
    struct sw_target target;
    struct sw_target_usage usage;
    int32_t *ids = NULL;
    size_t count = 0, cap = 0;
    char name[16];
    bool is_there = false;
    own_open(&target);
    assert_int_equal(sw_target_threads(&target, &ids, &count, &cap), SW_OK);
    assert_int_equal(ids[0], getpid());
    assert_int_equal(sw_target_usage(&target, &usage), SW_OK);
    assert_int_equal(usage.threads, count);
    assert_true(usage.rss_bytes > 65536 && usage.cpu_ns > 0);
    assert_int_equal(sw_target_pids(&ids, &count, &cap), SW_OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || ids[i - 1] < ids[i]);
        is_there |= ids[i] == getpid();
    }
    assert_true(is_there);
    assert_int_equal(prctl(PR_SET_NAME, "a b\nc"), 0);
    assert_int_equal(sw_target_thread_name(&target, target.pid, name), SW_OK);
    assert_string_equal(name, "a b\nc");
    assert_int_equal(sw_target_thread_name(&target, 1 << 30, name), SW_CLOSED);
    sw_free(ids);
    sw_target_close(&target);
}

static void a_command_has_no_control_characters(void **state) {
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ready[1], STDOUT_FILENO);
        execl("/bin/sh", "a\033[2Jb", "-c", "echo; read -r line </dev/zero; :", "two  words", "", (char *)NULL);
        _exit(127);
    }
    char byte;
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1); /* it has begun, so that the words are its own */
    struct sw_target target;
    struct sw_buf command = {0};
    assert_int_equal(sw_target_open(&target, (int32_t)pid, NULL), SW_OK);
    assert_int_equal(sw_target_command(&target, &command), SW_OK);
    assert_true(sw_str_starts(sw_buf_view(&command), SW_STR("a?[2Jb -c ")));
    assert_true(sw_str_ends(sw_buf_view(&command), SW_STR("two  words")));
    sw_buf_release(&command);
    sw_target_close(&target);
    close(ready[0]);
    child_end(pid);
}

static void own_files_are_opened_by_their_mappings(void **state) {
    (void)state;
    struct sw_target target;
    struct sw_maps maps = {0};
    char magic[4];
    own_open(&target);
    assert_int_equal(sw_target_maps(&target, &maps, NULL), SW_OK);
    const struct sw_mapping *code = sw_maps_find(&maps, (uint64_t)(uintptr_t)own_open);
    assert_non_null(code);
    assert_true(code->is_executable);
    assert_true(sw_maps_find(&maps, (uint64_t)(uintptr_t)&marker)->is_writable);
    int fd = sw_target_open_mapped(&target, code);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, magic, 4, 0), 4);
    assert_memory_equal(magic, "\177ELF", 4);
    close(fd);
    const struct sw_mapping *stack = sw_maps_find(&maps, (uint64_t)(uintptr_t)&maps);
    assert_non_null(stack);
    assert_int_equal(sw_target_open_mapped(&target, stack), -1);
    sw_maps_release(&maps);
    sw_target_close(&target);
}

static void status_values_are_found_by_whole_names(void **state) {
    (void)state;
    struct sw_str text = SW_STR("Name:\tUid:\nUidx:\t5\nUid:\t1000\t1000\t0\t0\nCapEff:\t00ff\nEmpty:\n");
    assert_true(sw_str_eq(sw_status_value(text, SW_STR("Uid")), SW_STR("1000\t1000\t0\t0")));
    assert_true(sw_str_eq(sw_status_value(text, SW_STR("CapEff")), SW_STR("00ff")));
    assert_int_equal(sw_status_value(text, SW_STR("Empty")).len, 0);
    assert_null(sw_status_value(text, SW_STR("Missing")).ptr);
    assert_null(sw_status_value(SW_STR(""), SW_STR("Uid")).ptr);
}

#define USER \
    { 1000, 1000, 1000 }
#define ROOT \
    { 0, 0, 0 }

static void each_denial_has_its_cause_and_remedy(void **state) {
    (void)state;
    static const struct {
        struct sw_denial denial;
        const char *cause, *remedy;
    } cases[] = {
        {{.our_uid = 1000, .our_gid = 1000, .has_ids = true, .uids = ROOT, .gids = ROOT, .yama_scope = 1},
         "belongs to user root (uid 0)",
         "as root"},
        {{.our_uid = 1000,
          .our_gid = 1000,
          .has_ids = true,
          .uids = {4242, 4242, 4242},
          .gids = USER,
          .yama_scope = -1},
         "belongs to user uid 4242",
         "run it as that user or as root"},
        {{.our_uid = 1000, .our_gid = 1000, .has_ids = true, .uids = {1000, 0, 0}, .gids = USER, .yama_scope = -1},
         "changed its user",
         "as root"},
        {{.our_uid = 1000, .our_gid = 1000, .has_ids = true, .uids = USER, .gids = USER, .yama_scope = 1},
         "kernel.yama.ptrace_scope is 1",
         "sysctl kernel.yama.ptrace_scope=0"},
        {{.our_uid = 1000, .our_gid = 1000, .has_ids = true, .uids = USER, .gids = USER, .yama_scope = 2},
         "kernel.yama.ptrace_scope is 2",
         "run as root"},
        {{.our_uid = 0,
          .has_ids = true,
          .uids = ROOT,
          .gids = ROOT,
          .has_capability = true,
          .yama_scope = 3,
          .is_initial_namespace = true},
         "kernel.yama.ptrace_scope is 3",
         "reboot"},
        {{.our_uid = 1000,
          .our_gid = 1000,
          .has_ids = true,
          .uids = USER,
          .gids = USER,
          .is_undumpable = true,
          .yama_scope = 1},
         "protected",
         "as root"},
        {{.our_uid = 1000,
          .our_gid = 1000,
          .has_ids = true,
          .uids = USER,
          .gids = USER,
          .target_capabilities = 8,
          .yama_scope = 0},
         "protected",
         "as root"},
        {{.our_uid = 0, .has_ids = true, .uids = ROOT, .gids = ROOT, .target_capabilities = 1u << 19, .yama_scope = -1},
         "without CAP_SYS_PTRACE",
         "--cap-add=SYS_PTRACE"},
        {{.our_uid = 0, .has_ids = true, .uids = USER, .gids = USER, .yama_scope = 1},
         "without CAP_SYS_PTRACE",
         "capabilities.add"},
        {{.our_uid = 0, .has_ids = true, .uids = ROOT, .gids = ROOT, .yama_scope = 1},
         "kernel.yama.ptrace_scope is 1",
         "sysctl"},
        {{.our_uid = 0,
          .has_ids = true,
          .uids = ROOT,
          .gids = ROOT,
          .has_capability = true,
          .is_other_namespace = true,
          .yama_scope = -1},
         "another user namespace",
         "on the host"},
        {{.our_uid = 0,
          .has_ids = true,
          .uids = ROOT,
          .gids = ROOT,
          .has_capability = true,
          .is_initial_namespace = true,
          .yama_scope = -1},
         "a security module",
         "audit log"},
        {{.our_uid = 1000, .our_gid = 1000, .is_self_denied = true, .yama_scope = -1}, "seccomp", "seccomp=unconfined"},
        {{.our_uid = 1000, .our_gid = 1000, .has_ids = true, .uids = USER, .gids = USER, .yama_scope = 0},
         "sandbox",
         "as root"},
        {{.our_uid = 1000, .our_gid = 1000, .yama_scope = -1}, "whose it is", "as root"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sw_denial denial = cases[i].denial;
        struct sw_error err;
        denial.pid = 4242;
        assert_int_equal(sw_denial_explain(&denial, &err), SW_PERM);
        if (!strstr(err.text, "process 4242") || !strstr(err.text, cases[i].cause) ||
            !strstr(err.text, cases[i].remedy))
            fail_msg("case %zu: %s", i, err.text);
        assert_true(strlen(err.text) < sizeof err.text - 1); /* not cut off */
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_read),
        cmocka_unit_test(unmapped_memory_is_an_io_error),
        cmocka_unit_test(a_read_over_the_edge_of_memory_fails_as_a_whole),
        cmocka_unit_test(many_ranges_stop_at_the_first_fault),
        cmocka_unit_test(a_process_that_ends_is_closed),
        cmocka_unit_test(a_zombie_is_not_found),
        cmocka_unit_test(ids_that_are_none_are_refused),
        cmocka_unit_test(processes_and_threads_are_listed),
        cmocka_unit_test(a_command_has_no_control_characters),
        cmocka_unit_test(own_files_are_opened_by_their_mappings),
        cmocka_unit_test(status_values_are_found_by_whole_names),
        cmocka_unit_test(each_denial_has_its_cause_and_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
