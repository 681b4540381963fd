/* test_log.c - What reaches the sink, and that nothing else speaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"

struct heard {
    int lines;
    enum sw_log_level level;
    char last[2000];
};

static void hear(void *context, enum sw_log_level level, const char *line) {
    struct heard *heard = context;
    heard->lines++;
    heard->level = level;
    snprintf(heard->last, sizeof(heard->last), "%s", line);
}

static int forget(void **state) {
    sw_log_set(NULL, NULL, SW_LOG_DEBUG);
    return 0;
}

static void without_a_sink_nothing_happens(void **state) {
    sw_log(SW_LOG_ERROR, "%s", "to nobody");
}

static void lines_reach_the_sink(void **state) {
    static struct heard heard;
    sw_log_set(hear, &heard, SW_LOG_DEBUG);
    sw_log(SW_LOG_WARN, "ring %d is %s", 3, "full");
    assert_int_equal(heard.lines, 1);
    assert_int_equal(heard.level, SW_LOG_WARN);
    assert_string_equal(heard.last, "ring 3 is full");
    sw_log_set(NULL, NULL, SW_LOG_DEBUG);
    sw_log(SW_LOG_ERROR, "gone");
    assert_int_equal(heard.lines, 1);
}

static void lower_levels_are_dropped(void **state) {
    for (int least = SW_LOG_DEBUG; least <= SW_LOG_ERROR; least++) {
        struct heard heard = {0};
        sw_log_set(hear, &heard, (enum sw_log_level)least);
        for (int level = SW_LOG_DEBUG; level <= SW_LOG_ERROR; level++) {
            sw_log((enum sw_log_level)level, "level %d", level);
        }
        assert_int_equal(heard.lines, SW_LOG_ERROR - least + 1);
    }
}

static void a_line_stays_one_line(void **state) {
    static struct heard heard;
    sw_log_set(hear, &heard, SW_LOG_DEBUG);
    sw_log(SW_LOG_INFO, "peer %s", "a\nERROR forged\r\x1b[2J");
    assert_string_equal(heard.last, "peer a ERROR forged  [2J");
    char big[5000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    sw_log(SW_LOG_INFO, "%s", big);
    assert_int_equal(strlen(heard.last), 1023);
}

static void names(void **state) {
    assert_string_equal(sw_log_level_name(SW_LOG_DEBUG), "debug");
    assert_string_equal(sw_log_level_name(SW_LOG_INFO), "info");
    assert_string_equal(sw_log_level_name(SW_LOG_WARN), "warn");
    assert_string_equal(sw_log_level_name(SW_LOG_ERROR), "error");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_a_sink_nothing_happens, forget),
        cmocka_unit_test_teardown(lines_reach_the_sink, forget),
        cmocka_unit_test_teardown(lower_levels_are_dropped, forget),
        cmocka_unit_test_teardown(a_line_stays_one_line, forget),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
