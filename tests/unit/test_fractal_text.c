/* test_fractal_text.c - Times, amounts and shares as the statistics of a fractal show them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/fractal_text.c"

static void times_have_the_unit_that_fits(void **state) {
    static const struct {
        double ns;
        const char *text;
    } rows[] = {
        {NAN, "-"},
        {1500, "1.50 us"},
        {999.6e3, "1.00 ms"},
        {2.5e9, "2.50 s"},
        {119.4e9, "119 s"},
        {119.7e9, "2 min 0 s"},
        {179.4e9, "2 min 59 s"},
        {179.7e9, "3 min 0 s"},
        {7199.4e9, "119 min 59 s"},
        {7199.7e9, "2.0 h"},
    };
    char out[24];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(sw_fractal_time_text(rows[i].ns, out), rows[i].text);
}

static void amounts_and_shares(void **state) {
    char out[24];
    assert_string_equal(sw_fractal_amount_text(999, out), "999");
    assert_string_equal(sw_fractal_amount_text(999600, out), "1.00 M");
    assert_string_equal(sw_fractal_amount_text(NAN, out), "-");
    assert_string_equal(sw_fractal_share_text(0.1234, out), "12.3 %");
    assert_string_equal(sw_fractal_share_text(NAN, out), "-");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_have_the_unit_that_fits),
        cmocka_unit_test(amounts_and_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
