/* cmocka.h - As much of cmocka's interface as the unit tests of kernels/ use, for processors that have no cmocka here.
 *
 * tools/neon puts this folder first on the include path when it cross-compiles those tests.
 */
#ifndef SW_TESTS_AARCH64_CMOCKA_H
#define SW_TESTS_AARCH64_CMOCKA_H

#include <stddef.h>
#include <stdint.h>

struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
};

struct cmocka_place {
    const char *file;
    int line;
};

/* These end the test; the next one runs. */
_Noreturn void cmocka_fail(struct cmocka_place place, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void cmocka_skip(void);

void print_message(const char *format, ...) __attribute__((format(printf, 1, 2)));

void cmocka_assert_true(struct cmocka_place place, int is_true, const char *text);
void cmocka_assert_equal(struct cmocka_place place, uintmax_t a, uintmax_t b, const char *text);
void cmocka_assert_bytes(struct cmocka_place place, const void *a, const void *b, size_t size_bytes);

/* Returns how many tests failed. `setup` and `teardown` must be NULL. */
int cmocka_run(const struct CMUnitTest *tests, size_t count, const void *setup, const void *teardown);

#define CMOCKA_HERE ((struct cmocka_place){__FILE__, __LINE__})

#define cmocka_unit_test(function) \
    { #function, function }
#define cmocka_run_group_tests(tests, setup, teardown) \
    cmocka_run(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

#define skip() cmocka_skip()
#define fail() cmocka_fail(CMOCKA_HERE, "fail()")
#define fail_msg(...) cmocka_fail(CMOCKA_HERE, __VA_ARGS__)
#define assert_true(is_true) cmocka_assert_true(CMOCKA_HERE, (is_true) ? 1 : 0, #is_true)
#define assert_false(is_true) cmocka_assert_true(CMOCKA_HERE, (is_true) ? 0 : 1, "not " #is_true)
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_null(pointer) assert_true((pointer) == NULL)
#define assert_ptr_equal(a, b) assert_true((const void *)(a) == (const void *)(b))
#define assert_int_equal(a, b) cmocka_assert_equal(CMOCKA_HERE, (uintmax_t)(a), (uintmax_t)(b), #a " == " #b)
#define assert_int_not_equal(a, b) assert_true((uintmax_t)(a) != (uintmax_t)(b))
#define assert_in_range(value, least, most) \
    assert_true((uintmax_t)(value) >= (uintmax_t)(least) && (uintmax_t)(value) <= (uintmax_t)(most))
#define assert_string_equal(a, b) assert_true(strcmp((a), (b)) == 0)
#define assert_memory_equal(a, b, size_bytes) cmocka_assert_bytes(CMOCKA_HERE, (a), (b), (size_bytes))

#endif
