/* test_runtime.c - Runtimes: versions and names as text, and thread lists of made-up and hostile memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "probe/runtime_impl.h"

#define HEAD_BYTES 512
#define INTERPRETER_BYTES 8192
#define THREADS_MAX 700

/* A runtime of 3.12 in our own memory: its structures are where the layout says. */
struct fake {
    char runtime[256];
    char interpreters[3][INTERPRETER_BYTES];
    char threads[THREADS_MAX][HEAD_BYTES];
    char gils[3][256];
};

struct scene {
    struct fake *fake;
    struct sw_target target;
    struct sw_runtime runtime;
    struct sw_thread_list list;
};

static uint64_t address_of(const void *pointer) {
    return (uint64_t)(uintptr_t)pointer;
}

static void word_put(char *at, uint32_t offset, uint64_t value) {
    memcpy(at + offset, &value, sizeof value);
}

static uint32_t minor = 12; /* whose layout the scene has */

static const struct sw_layout *layout(void) {
    return sw_layout_for(3u << 24 | minor << 16, false);
}

/* The threads from `first` up, newest first, of interpreter `index`. */
static void threads_link(struct fake *fake, int index, const int *threads, int count) {
    char *interpreter = fake->interpreters[index];
    word_put(interpreter, layout()->interpreter.threads_head, count ? address_of(fake->threads[threads[0]]) : 0);
    for (int i = 0; i < count; i++) {
        char *head = fake->threads[threads[i]];
        word_put(head, layout()->thread.prev, i > 0 ? address_of(fake->threads[threads[i - 1]]) : 0);
        word_put(head, layout()->thread.next, i + 1 < count ? address_of(fake->threads[threads[i + 1]]) : 0);
        word_put(head, layout()->thread.interp, address_of(interpreter));
        if (layout()->thread.native_thread_id != SW_ABSENT)
            word_put(head, layout()->thread.native_thread_id, (uint64_t)(1000 + threads[i]));
        word_put(head, layout()->thread.thread_id, (uint64_t)(5000 + threads[i]));
    }
}

static void scene_open(struct scene *scene) {
    *scene = (struct scene){.fake = calloc(1, sizeof *scene->fake)};
    assert_non_null(scene->fake);
    assert_int_equal(sw_target_open(&scene->target, (int32_t)getpid(), NULL), SW_OK);
    scene->runtime = (struct sw_runtime){.target = &scene->target,
                                         .address = address_of(scene->fake->runtime),
                                         .layout = *layout(),
                                         .version = 0x030c00f0};
    word_put(scene->fake->runtime, layout()->runtime.interpreters_head, address_of(scene->fake->interpreters[1]));
    for (int i = 0; i < 2; i++) {
        word_put(scene->fake->interpreters[i], layout()->interpreter.id, (uint64_t)i);
        if (layout()->interpreter.ceval_gil != SW_ABSENT)
            word_put(scene->fake->interpreters[i], layout()->interpreter.ceval_gil, address_of(scene->fake->gils[i]));
    }
    word_put(scene->fake->interpreters[1], layout()->interpreter.next, address_of(scene->fake->interpreters[0]));
    threads_link(scene->fake, 0, (const int[]){2, 1, 0}, 3);
    threads_link(scene->fake, 1, (const int[]){3}, 1);
}

static void scene_close(struct scene *scene) {
    sw_thread_list_release(&scene->list);
    sw_target_close(&scene->target);
    free(scene->fake);
}

static enum sw_status scene_read(struct scene *scene) {
    return sw_runtime_threads(&scene->runtime, &scene->list);
}

static void tids_check(const struct scene *scene, const int32_t *tids, size_t count) {
    assert_int_equal(scene->list.thread_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(scene->list.threads[i].tid, tids[i]);
}

static void threads_of_all_interpreters_are_listed(void **state) {
    (void)state;
    struct scene scene;
    scene_open(&scene);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(scene_read(&scene), SW_OK);
        tids_check(&scene, (const int32_t[]){1003, 1002, 1001, 1000}, 4);
        assert_int_equal(scene.list.interpreter_count, 2);
        assert_int_equal(scene.list.interpreters[0].id, 1);
        assert_int_equal(scene.list.interpreters[1].gil, address_of(scene.fake->gils[0]));
        assert_int_equal(scene.list.threads[0].interpreter, 0);
        assert_int_equal(scene.list.threads[3].interpreter, 1);
        assert_int_equal(scene.list.threads[3].pthread, 5000);
        assert_int_equal(scene.list.threads[3].address, address_of(scene.fake->threads[0]));
    }
    scene_close(&scene);
}

static void threads_that_come_and_go_are_noticed(void **state) {
    (void)state;
    struct scene scene;
    scene_open(&scene);
    assert_int_equal(scene_read(&scene), SW_OK);
    threads_link(scene.fake, 0, (const int[]){5, 2, 0}, 3);
    assert_int_equal(scene_read(&scene), SW_OK);
    tids_check(&scene, (const int32_t[]){1003, 1005, 1002, 1000}, 4);
    threads_link(scene.fake, 1, NULL, 0);
    threads_link(scene.fake, 0, (const int[]){0}, 1);
    assert_int_equal(scene_read(&scene), SW_OK);
    tids_check(&scene, (const int32_t[]){1000}, 1);
    threads_link(scene.fake, 0, (const int[]){7, 6, 0, 4}, 4);
    assert_int_equal(scene_read(&scene), SW_OK);
    tids_check(&scene, (const int32_t[]){1007, 1006, 1000, 1004}, 4);
    scene_close(&scene);
}

/* More than are read at once. */
static void many_threads_are_listed(void **state) {
    (void)state;
    struct scene scene;
    int threads[THREADS_MAX];
    scene_open(&scene);
    for (int i = 0; i < THREADS_MAX; i++)
        threads[i] = THREADS_MAX - 1 - i;
    threads_link(scene.fake, 1, NULL, 0);
    threads_link(scene.fake, 0, threads, THREADS_MAX);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(scene_read(&scene), SW_OK);
        assert_int_equal(scene.list.thread_count, THREADS_MAX);
        for (int i = 0; i < THREADS_MAX; i++)
            assert_int_equal(scene.list.threads[i].tid, 1000 + threads[i]);
    }
    scene_close(&scene);
}

struct damage {
    const char *name;
    void (*make)(struct fake *fake);
    enum sw_status status;
};

static void ring_of_threads(struct fake *fake) {
    word_put(fake->threads[0], layout()->thread.next, address_of(fake->threads[2]));
    word_put(fake->threads[2], layout()->thread.prev, address_of(fake->threads[0]));
}

static void thread_is_its_own_next(struct fake *fake) {
    word_put(fake->threads[1], layout()->thread.next, address_of(fake->threads[1]));
    word_put(fake->threads[1], layout()->thread.prev, address_of(fake->threads[1]));
}

static void thread_next_is_unmapped(struct fake *fake) {
    word_put(fake->threads[1], layout()->thread.next, 8);
}

static void thread_head_is_unmapped(struct fake *fake) {
    word_put(fake->interpreters[0], layout()->interpreter.threads_head, UINT64_MAX - 7);
}

static void thread_is_of_another(struct fake *fake) {
    word_put(fake->threads[1], layout()->thread.interp, address_of(fake->interpreters[1]));
}

static void thread_prev_is_wrong(struct fake *fake) {
    word_put(fake->threads[1], layout()->thread.prev, address_of(fake->threads[3]));
}

static void interpreter_is_its_own_next(struct fake *fake) {
    word_put(fake->interpreters[0], layout()->interpreter.next, address_of(fake->interpreters[0]));
}

static void interpreter_next_is_unmapped(struct fake *fake) {
    word_put(fake->interpreters[0], layout()->interpreter.next, 0x10);
}

static void no_interpreter(struct fake *fake) {
    word_put(fake->runtime, layout()->runtime.interpreters_head, 0);
}

static void interpreter_head_is_unmapped(struct fake *fake) {
    word_put(fake->runtime, layout()->runtime.interpreters_head, UINT64_MAX);
}

/* No list of a target, however wrong, makes the walk hang, crash or lie. */
static void damaged_lists_are_refused(void **state) {
    (void)state;
    static const struct damage damages[] = {
        {"ring of threads", ring_of_threads, SW_AGAIN},
        {"thread is its own next", thread_is_its_own_next, SW_AGAIN},
        {"thread next is unmapped", thread_next_is_unmapped, SW_AGAIN},
        {"thread head is unmapped", thread_head_is_unmapped, SW_AGAIN},
        {"thread is of another interpreter", thread_is_of_another, SW_AGAIN},
        {"thread prev is wrong", thread_prev_is_wrong, SW_AGAIN},
        {"interpreter is its own next", interpreter_is_its_own_next, SW_AGAIN},
        {"interpreter next is unmapped", interpreter_next_is_unmapped, SW_AGAIN},
        {"interpreter head is unmapped", interpreter_head_is_unmapped, SW_AGAIN},
        {"no interpreter", no_interpreter, SW_NOTFOUND},
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++)
        for (int has_round_before = 0; has_round_before < 2; has_round_before++) {
            struct scene scene;
            scene_open(&scene);
            if (has_round_before)
                assert_int_equal(scene_read(&scene), SW_OK);
            damages[i].make(scene.fake);
            enum sw_status status = scene_read(&scene);
            if (status != damages[i].status)
                fail_msg("%s: %s", damages[i].name, sw_status_text(status));
            scene_close(&scene);
        }
}

static void random_links_do_no_harm(void **state) {
    (void)state;
    struct scene scene;
    scene_open(&scene);
    srand(17);
    for (int round = 0; round < 3000; round++) {
        char *at = rand() % 2 ? scene.fake->threads[rand() % 4] : scene.fake->interpreters[rand() % 2];
        uint32_t offset = (uint32_t)(rand() % 32) * 8;
        uint64_t was;
        memcpy(&was, at + offset, sizeof was);
        word_put(at, offset, rand() % 2 ? address_of(scene.fake->threads[rand() % 8]) : (uint64_t)rand());
        enum sw_status status = scene_read(&scene);
        assert_true(status == SW_OK || status == SW_AGAIN);
        word_put(at, offset, was);
    }
    scene_close(&scene);
}

static int32_t tid_of_fourth(struct scene *scene) {
    assert_int_equal(scene_read(scene), SW_OK);
    assert_int_equal(scene->list.thread_count, 4);
    return scene->list.threads[3].tid;
}

/* Up to 3.10 the ids come from the C library's structure, where they must be threads of the process. */
static void ids_of_old_releases_come_from_the_c_library(void **state) {
    (void)state;
    static const uint32_t places[] = {720, 208, 48}; /* glibc on x86-64 and aarch64, musl */
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct scene scene;
        char pthread[1024] = {0}, other[1024] = {0};
        int32_t tid = (int32_t)getpid(), wrong = INT32_MAX;
        minor = 10;
        scene_open(&scene);
        word_put(scene.fake->threads[0], layout()->thread.thread_id, address_of(pthread));
        assert_int_equal(tid_of_fourth(&scene), 0);
        memcpy(pthread + places[i], &tid, sizeof tid);
        assert_int_equal(tid_of_fourth(&scene), tid);
        assert_int_equal(tid_of_fourth(&scene), tid); /* as it was the round before */
        memcpy(pthread + places[i], &wrong, sizeof wrong);
        assert_int_equal(tid_of_fourth(&scene), 0);
        memcpy(pthread + places[i], &tid, sizeof tid);
        assert_int_equal(tid_of_fourth(&scene), tid);
        word_put(scene.fake->threads[0], layout()->thread.thread_id, address_of(other));
        assert_int_equal(tid_of_fourth(&scene), 0);
        assert_int_equal(scene.list.interpreters[0].gil, scene.runtime.address + layout()->runtime.gil);
        scene_close(&scene);
        minor = 12;
    }
}

static void lack_of_memory_is_told(void **state) {
    (void)state;
    enum sw_status status = SW_NOMEM;
    size_t nth = 1;
    for (; status == SW_NOMEM && nth < 100; nth++) {
        struct scene scene;
        scene_open(&scene);
        sw_mem_fail_at(nth);
        status = scene_read(&scene);
        sw_mem_fail_at(0);
        scene_close(&scene);
    }
    assert_int_equal(status, SW_OK);
    assert_true(nth > 2);
}

static void versions_are_parsed(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t version;
    } cases[] = {
        {"3.10.13 (main, Nov", 0x030a0df0},
        {"3.8.0 (default", 0x030800f0},
        {"3.13.0rc2 (main", 0x030d00c2},
        {"3.14.0a7 (x", 0x030e00a7},
        {"3.15.0b1 (x", 0x030f00b1},
        {"3.11.7+ (heads", 0x030b07f0},
        {"3.11", 0},
        {"3.11.7", 0},
        {"3.11.7.1 (", 0},
        {"2.7.18 (", 0},
        {"3.100.1 (", 0},
        {"3.1000.1 (", 0},
        {"3..1 (", 0},
        {"", 0},
        {"3.9.18  (", 0},
        {"3.9.18rc99 (", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (sw_version_parse(sw_str_from(cases[i].text)) != cases[i].version)
            fail_msg("'%s' gives %#x", cases[i].text, sw_version_parse(sw_str_from(cases[i].text)));
}

static void versions_are_formatted(void **state) {
    (void)state;
    static const struct {
        uint32_t version;
        bool is_free_threaded;
        const char *text;
    } cases[] = {
        {0x030d05f0, false, "3.13.5"},   {0x030d05f0, true, "3.13.5t"},   {0x030e00c2, false, "3.14.0rc2"},
        {0x030e00a1, true, "3.14.0a1t"}, {0x030f00b3, false, "3.15.0b3"}, {0x030a0000, false, "3.10"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[24];
        sw_version_format(cases[i].version, cases[i].is_free_threaded, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void names_of_python_are_known(void **state) {
    (void)state;
    static const struct {
        const char *path;
        bool is_python;
        uint32_t version;
    } cases[] = {
        {"/usr/bin/python3.11", true, 0x030b0000},
        {"python", true, 0},
        {"/opt/python3.13t", true, 0x030d0000},
        {"/opt/python3.14td", true, 0x030e0000},
        {"python3-dbg", true, 0},
        {"/usr/lib/libpython3.10.so.1.0", true, 0x030a0000},
        {"/usr/lib/libpython3.13td.so", true, 0x030d0000},
        {"/usr/lib/libpython3.so", true, 0},
        {"libpython3.9m.so.1.0", true, 0x03090000},
        {"/usr/bin/pythonista", false, 0},
        {"/usr/bin/ipython3", false, 0},
        {"/usr/lib/python3.11/lib-dynload/x.so", false, 0},
        {"/usr/lib/libpython3.11.a", false, 0},
        {"/python3.11/bash", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sw_str path = sw_str_from(cases[i].path);
        if (sw_path_is_python(path) != cases[i].is_python || sw_version_from_file(path) != cases[i].version)
            fail_msg("'%s'", cases[i].path);
    }
}

/* This test itself is a process without Python. */
static void other_processes_are_not_python(void **state) {
    (void)state;
    struct sw_target target;
    struct sw_runtime runtime;
    struct sw_error err = {0};
    bool is_denied = true;
    assert_int_equal(sw_target_open(&target, (int32_t)getpid(), &err), SW_OK);
    assert_false(sw_target_is_python(&target, &is_denied));
    assert_false(is_denied);
    assert_int_equal(sw_runtime_open(&runtime, &target, &err), SW_NOTFOUND);
    assert_non_null(strstr(err.text, "is not a Python process"));
    sw_target_close(&target);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_of_all_interpreters_are_listed),
        cmocka_unit_test(threads_that_come_and_go_are_noticed),
        cmocka_unit_test(many_threads_are_listed),
        cmocka_unit_test(damaged_lists_are_refused),
        cmocka_unit_test(random_links_do_no_harm),
        cmocka_unit_test(ids_of_old_releases_come_from_the_c_library),
        cmocka_unit_test(lack_of_memory_is_told),
        cmocka_unit_test(versions_are_parsed),
        cmocka_unit_test(versions_are_formatted),
        cmocka_unit_test(names_of_python_are_known),
        cmocka_unit_test(other_processes_are_not_python),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
