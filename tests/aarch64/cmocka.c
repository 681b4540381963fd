/* cmocka.c - Runs unit tests where there is no cmocka; see cmocka.h. */
#include "cmocka.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

enum outcome { PASSED, FAILED, SKIPPED };

static jmp_buf end_of_test;

_Noreturn void cmocka_fail(struct cmocka_place place, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", place.file, place.line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    longjmp(end_of_test, FAILED);
}

_Noreturn void cmocka_skip(void) {
    longjmp(end_of_test, SKIPPED);
}

void print_message(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

void cmocka_assert_true(struct cmocka_place place, int is_true, const char *text) {
    if (!is_true) {
        cmocka_fail(place, "%s", text);
    }
}

void cmocka_assert_equal(struct cmocka_place place, uintmax_t a, uintmax_t b, const char *text) {
    if (a != b) {
        cmocka_fail(place, "%s: %" PRIuMAX " (%#" PRIxMAX ") is not %" PRIuMAX " (%#" PRIxMAX ")", text, a, a, b, b);
    }
}

void cmocka_assert_bytes(struct cmocka_place place, const void *a, const void *b, size_t size_bytes) {
    const unsigned char *left = a, *right = b;
    for (size_t i = 0; i < size_bytes; i++) {
        if (left[i] != right[i]) {
            cmocka_fail(place, "byte %zu of %zu: %#x is not %#x", i, size_bytes, left[i], right[i]);
        }
    }
}

int cmocka_run(const struct CMUnitTest *tests, size_t count, const void *setup, const void *teardown) {
    static volatile size_t outcomes[SKIPPED + 1];
    if (setup || teardown) {
        fprintf(stderr, "cmocka.c: group setup and teardown are not built\n");
        return 1;
    }
    for (volatile size_t i = 0; i < count; i++) {
        void *state = NULL;
        int outcome = setjmp(end_of_test);
        if (outcome == PASSED) {
            tests[i].test_func(&state);
        } else {
            printf("%s: %s\n", tests[i].name, outcome == FAILED ? "failed" : "skipped");
        }
        outcomes[outcome]++;
    }
    printf("%zu passed, %zu failed, %zu skipped\n", outcomes[PASSED], outcomes[FAILED], outcomes[SKIPPED]);
    return (int)outcomes[FAILED];
}
