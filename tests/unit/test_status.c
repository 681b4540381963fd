/* test_status.c - Status texts, and errors that stay one whole line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/status.h"

static void every_status_has_a_text_of_its_own(void **state) {
    static const enum sw_status all[] = {
#define LISTED(code, text) SW_##code,
        SW_STATUS_LIST(LISTED)
#undef LISTED
    };
    size_t count = sizeof(all) / sizeof(all[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(sw_status_text(all[i]), sw_status_text(all[j]));
        }
    }
    assert_string_equal(sw_status_text(SW_OK), "ok");
    assert_string_equal(sw_status_text((enum sw_status)count), "unknown status");
}

static void fail_fills_and_returns(void **state) {
    struct sw_error err = {0};
    assert_int_equal(sw_fail(&err, SW_MALFORMED, "line %d: %s", 7, "no comma"), SW_MALFORMED);
    assert_int_equal(err.status, SW_MALFORMED);
    assert_string_equal(err.text, "line 7: no comma");
    assert_int_equal(sw_fail(NULL, SW_LIMIT, "nobody reads this"), SW_LIMIT);
    assert_int_equal(sw_fail_errno(NULL, ENOENT, "nobody reads this"), SW_NOTFOUND);
}

static void an_error_can_be_wrapped_by_itself(void **state) {
    struct sw_error err = {0};
    sw_fail_errno(&err, ENOENT, "cannot open %s", "a.csv");
    assert_int_equal(sw_fail(&err, err.status, "source ticks: %s", err.text), SW_NOTFOUND);
    assert_string_equal(err.text, "source ticks: cannot open a.csv: No such file or directory");
    assert_int_equal(sw_fail_errno(&err, EACCES, "%s, and then", "again"), SW_PERM);
    assert_string_equal(err.text, "again, and then: Permission denied");
}

static void errors_are_one_line(void **state) {
    struct sw_error err = {0};
    sw_fail(&err, SW_INVALID, "a\nb\tc\x1b[31m\x7f");
    assert_string_equal(err.text, "a b c [31m ");
    sw_fail_errno(&err, EIO, "cannot read %s", "evil\nname");
    assert_string_equal(err.text, "cannot read evil name: Input/output error");
}

static void long_errors_are_cut_but_keep_their_reason(void **state) {
    char path[600];
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    struct sw_error err = {0};
    sw_fail(&err, SW_IO, "cannot read %s", path);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    sw_fail_errno(&err, ENOSPC, "cannot write %s", path);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    const char *reason = ": No space left on device";
    assert_string_equal(err.text + strlen(err.text) - strlen(reason), reason);
}

/* Whatever the length before it, a three-byte character is kept or dropped as a whole. */
static void a_cut_never_splits_a_character(void **state) {
    for (int before = 290; before < 330; before++) {
        struct sw_error err = {0};
        sw_fail(&err, SW_IO, "%0*d\xe2\x82\xac\xe2\x82\xac", before, 0);
        const char *at = err.text + strspn(err.text, "0");
        while (*at) {
            assert_memory_equal(at, "\xe2\x82\xac", 3);
            at += 3;
        }
        sw_fail_errno(&err, EIO, "%0*d\xe2\x82\xac\xe2\x82\xac", before - 30, 0);
        at = err.text + strspn(err.text, "0");
        while (*at != ':') {
            assert_memory_equal(at, "\xe2\x82\xac", 3);
            at += 3;
        }
        assert_string_equal(at, ": Input/output error");
    }
}

static void errno_values_find_their_status(void **state) {
    static const struct {
        int error_number;
        enum sw_status status;
    } rows[] = {
        {ENOMEM, SW_NOMEM},
        {EINVAL, SW_INVALID},
        {ENOSYS, SW_UNSUPPORTED},
        {EMFILE, SW_LIMIT},
        {ENOENT, SW_NOTFOUND},
        {ESRCH, SW_NOTFOUND},
        {EEXIST, SW_EXISTS},
        {EADDRINUSE, SW_EXISTS},
        {EACCES, SW_PERM},
        {EPERM, SW_PERM},
        {EAGAIN, SW_AGAIN},
        {ETIMEDOUT, SW_TIMEOUT},
        {EPIPE, SW_CLOSED},
        {ECONNRESET, SW_CLOSED},
        {EINTR, SW_INTERRUPTED},
        {EIO, SW_IO},
        {0, SW_IO}, /* a forgotten errno must not turn a failure into success */
        {99999, SW_IO},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(sw_status_from_errno(rows[i].error_number), rows[i].status);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_text_of_its_own),
        cmocka_unit_test(fail_fills_and_returns),
        cmocka_unit_test(an_error_can_be_wrapped_by_itself),
        cmocka_unit_test(errors_are_one_line),
        cmocka_unit_test(long_errors_are_cut_but_keep_their_reason),
        cmocka_unit_test(a_cut_never_splits_a_character),
        cmocka_unit_test(errno_values_find_their_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
