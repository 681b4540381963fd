/* test_gil.c - The GIL's struct decoded at every place a release may have its fields, and which futex is a wait for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe/gil.h"

#define GIL_BYTES 256

struct subject {
    struct sw_target target;
    struct sw_runtime runtime;
    unsigned char gil[GIL_BYTES];
};

static void subject_open(struct subject *subject) {
    struct sw_error err;
    *subject = (struct subject){.runtime.target = &subject->target};
    if (sw_target_open(&subject->target, (int32_t)getpid(), &err) != SW_OK)
        fail_msg("%s", err.text);
    subject->runtime.layout.gil.last_holder = 8;
    subject->runtime.layout.gil.locked = 16;
    subject->runtime.layout.gil.switch_number = 24;
    subject->runtime.layout.gil.cond = 32;
    subject->runtime.layout.gil.mutex = 80;
    subject->runtime.layout.gil.switch_cond = 120;
    subject->runtime.layout.gil.size = 208;
}

static void gil_write(struct subject *subject, uint64_t holder, int32_t locked, uint64_t switches) {
    memset(subject->gil, 0xee, sizeof subject->gil);
    memcpy(subject->gil + subject->runtime.layout.gil.last_holder, &holder, sizeof holder);
    memcpy(subject->gil + subject->runtime.layout.gil.locked, &locked, sizeof locked);
    memcpy(subject->gil + subject->runtime.layout.gil.switch_number, &switches, sizeof switches);
}

static void holder_is_who_has_it_locked(void **state) {
    static const struct {
        uint64_t last;
        int32_t locked;
        uint64_t holder;
    } rows[] = {{0x7f0000001000, 1, 0x7f0000001000}, {0x7f0000001000, 0, 0}, {0, -1, 0}, {0x1000, -1, 0}};
    struct subject subject;
    subject_open(&subject);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_interpreter interpreter = {.gil = (uint64_t)(uintptr_t)subject.gil};
        struct sw_gil_look look = {0};
        gil_write(&subject, rows[i].last, rows[i].locked, 77 + i);
        assert_int_equal(sw_gil_look(&subject.runtime, &interpreter, &look), SW_OK);
        assert_true(look.is_known && look.mono_ns > 0);
        assert_int_equal(look.holder, rows[i].holder);
        assert_int_equal(look.last, rows[i].last);
        assert_int_equal(look.switches, 77 + i);
    }
    sw_target_close(&subject.target);
}

static void fields_may_be_in_any_order(void **state) {
    static const uint32_t rows[][3] = {{8, 16, 24}, {40, 16, 24}, {16, 48, 8}, {0, 8, 16}};
    struct subject subject;
    subject_open(&subject);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_gil_range range;
        struct sw_gil_look look = {0};
        subject.runtime.layout.gil.last_holder = rows[i][0];
        subject.runtime.layout.gil.locked = rows[i][1];
        subject.runtime.layout.gil.switch_number = rows[i][2];
        gil_write(&subject, 0x1234, 1, 5);
        assert_true(sw_gil_range(&subject.runtime, (uint64_t)(uintptr_t)subject.gil, &range));
        assert_true(range.size_bytes <= SW_GIL_RANGE_MAX);
        sw_gil_range_decode(&subject.runtime, (const void *)(uintptr_t)range.address, &look);
        assert_int_equal(look.holder, 0x1234);
        assert_int_equal(look.switches, 5);
    }
    sw_target_close(&subject.target);
}

static void what_is_not_there_is_not_known(void **state) {
    struct subject subject;
    subject_open(&subject);
    struct sw_interpreter none = {.gil = 0};
    struct sw_interpreter unmapped = {.gil = 8};
    struct sw_gil_range range;
    struct sw_gil_look look = {.is_known = true};
    assert_int_equal(sw_gil_look(&subject.runtime, &none, &look), SW_OK);
    assert_false(look.is_known);
    assert_int_equal(sw_gil_look(&subject.runtime, &unmapped, &look), SW_IO);
    assert_false(sw_gil_range(&subject.runtime, 0, &range));
    subject.runtime.layout.gil.switch_number = SW_ABSENT;
    assert_false(sw_gil_range(&subject.runtime, (uint64_t)(uintptr_t)subject.gil, &range));
    sw_target_close(&subject.target);
}

static void only_the_first_condition_is_a_wait(void **state) {
    static const struct {
        int64_t offset;
        enum sw_gil_place place;
    } rows[] = {
        {-4, SW_GIL_ELSEWHERE},    {0, SW_GIL_ELSEWHERE},     {31, SW_GIL_ELSEWHERE},    {32, SW_GIL_AWAITED},
        {72, SW_GIL_AWAITED},      {76, SW_GIL_AWAITED},      {80, SW_GIL_AWAITED},      {119, SW_GIL_AWAITED},
        {120, SW_GIL_HANDED_OVER}, {160, SW_GIL_HANDED_OVER}, {207, SW_GIL_HANDED_OVER}, {208, SW_GIL_ELSEWHERE},
    };
    struct subject subject;
    subject_open(&subject);
    const uint64_t gil = 0x7f0000000000;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_thread_look look = {.activity = SW_THREAD_BLOCKED, .syscall = SYS_futex};
        look.args[0] = gil + (uint64_t)rows[i].offset;
        assert_int_equal(sw_gil_place_of(&subject.runtime, gil, &look), rows[i].place);
        assert_int_equal(sw_gil_is_awaited(&subject.runtime, gil, &look), rows[i].place == SW_GIL_AWAITED);
        assert_int_equal(sw_gil_place_of(&subject.runtime, 0, &look), SW_GIL_ELSEWHERE);
        look.activity = SW_THREAD_RUNNING;
        assert_int_equal(sw_gil_place_of(&subject.runtime, gil, &look), SW_GIL_ELSEWHERE);
    }
    sw_target_close(&subject.target);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holder_is_who_has_it_locked),
        cmocka_unit_test(fields_may_be_in_any_order),
        cmocka_unit_test(what_is_not_there_is_not_known),
        cmocka_unit_test(only_the_first_condition_is_a_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
