/* test_buf.c - The growable buffer, and its state when memory runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

static void assert_holds(const struct sw_buf *buf, const char *expected) {
    assert_int_equal(buf->len, strlen(expected));
    assert_true(sw_str_eq(sw_buf_view(buf), sw_str_from(expected)));
}

static void zero_is_empty(void **state) {
    struct sw_buf buf = {0};
    assert_int_equal(sw_buf_view(&buf).len, 0);
    sw_buf_clear(&buf);
    sw_buf_consume(&buf, 3);
    assert_int_equal(sw_buf_append(&buf, sw_str_make(NULL, 0)), SW_OK);
    assert_null(buf.ptr);
    sw_buf_release(&buf);
    sw_buf_release(&buf);
}

static void appending(void **state) {
    struct sw_buf buf = {0};
    assert_int_equal(sw_buf_append(&buf, SW_STR("ab")), SW_OK);
    assert_int_equal(sw_buf_append_byte(&buf, 'c'), SW_OK);
    assert_int_equal(sw_buf_append_format(&buf, "-%d-%s", 42, "x"), SW_OK);
    assert_holds(&buf, "abc-42-x");
    sw_buf_clear(&buf);
    assert_holds(&buf, "");
    assert_true(buf.cap > 0);
    sw_buf_release(&buf);
    assert_null(buf.ptr);
    assert_int_equal(buf.cap, 0);
}

static void growth_keeps_the_bytes(void **state) {
    struct sw_buf buf = {0};
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(sw_buf_append_byte(&buf, (char)(i % 251)), SW_OK);
    }
    for (int i = 0; i < 100000; i++) {
        assert_int_equal((unsigned char)buf.ptr[i], i % 251);
    }
    assert_true(buf.cap < 2 * 100000 + 64);
    sw_buf_release(&buf);
}

/* Texts around every capacity: the terminating NUL of vsnprintf must find room or not be missed. */
static void formats_of_every_length(void **state) {
    for (int len = 0; len < 300; len++) {
        struct sw_buf buf = {0};
        assert_int_equal(sw_buf_append(&buf, SW_STR("<")), SW_OK);
        assert_int_equal(sw_buf_append_format(&buf, "%0*d", len, 0), SW_OK);
        size_t digits = len ? (size_t)len : 1;
        assert_int_equal(buf.len, 1 + digits);
        assert_int_equal(strspn(buf.ptr + 1, "0"), digits);
        sw_buf_release(&buf);
    }
}

static void consuming(void **state) {
    struct sw_buf buf = {0};
    assert_int_equal(sw_buf_append(&buf, SW_STR("0123456789")), SW_OK);
    sw_buf_consume(&buf, 0);
    sw_buf_consume(&buf, 4);
    assert_holds(&buf, "456789");
    sw_buf_consume(&buf, 99);
    assert_holds(&buf, "");
    sw_buf_release(&buf);
}

static void reserving(void **state) {
    struct sw_buf buf = {0};
    assert_int_equal(sw_buf_reserve(&buf, 1000), SW_OK);
    assert_true(buf.cap >= 1000);
    assert_int_equal(buf.len, 0);
    const char *before = buf.ptr;
    memset(buf.ptr, 'x', 1000);
    buf.len = 1000;
    assert_int_equal(sw_buf_reserve(&buf, 0), SW_OK);
    assert_ptr_equal(buf.ptr, before);
    assert_int_equal(sw_buf_reserve(&buf, SIZE_MAX - 10), SW_NOMEM);
    assert_int_equal(sw_buf_reserve(&buf, SIZE_MAX), SW_NOMEM);
    assert_int_equal(buf.len, 1000);
    sw_buf_release(&buf);
}

static enum sw_status fill(struct sw_buf *buf) {
    enum sw_status status = SW_OK;
    for (int i = 0; i < 200 && status == SW_OK; i++) {
        status = i % 3 == 0   ? sw_buf_append(buf, SW_STR("some text"))
                 : i % 3 == 1 ? sw_buf_append_byte(buf, '.')
                              : sw_buf_append_format(buf, "%08d", i);
    }
    return status;
}

static void running_out_of_memory_leaves_what_was_there(void **state) {
    struct sw_buf whole = {0};
    assert_int_equal(fill(&whole), SW_OK);
    size_t failures = 0;
    for (size_t nth = 1;; nth++) {
        struct sw_buf buf = {0};
        sw_mem_fail_at(nth);
        enum sw_status status = fill(&buf);
        sw_mem_fail_at(0);
        assert_true(buf.len <= whole.len && (buf.len == 0 || memcmp(buf.ptr, whole.ptr, buf.len) == 0));
        bool is_done = status == SW_OK;
        if (!is_done) {
            assert_int_equal(status, SW_NOMEM);
            size_t before = buf.len;
            assert_int_equal(sw_buf_append(&buf, SW_STR("goes on")), SW_OK);
            assert_int_equal(buf.len, before + 7);
            failures++;
        }
        sw_buf_release(&buf);
        if (is_done) {
            break;
        }
    }
    assert_true(failures >= 4);
    sw_buf_release(&whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_empty),
        cmocka_unit_test(appending),
        cmocka_unit_test(growth_keeps_the_bytes),
        cmocka_unit_test(formats_of_every_length),
        cmocka_unit_test(consuming),
        cmocka_unit_test(reserving),
        cmocka_unit_test(running_out_of_memory_leaves_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
