/* test_event.c - The last 256 events by id, oldest first, whatever the reader has seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/event.h"

static struct sw_events events;

static int setup(void **state) {
    sw_events_init(&events);
    return 0;
}

static int teardown(void **state) {
    sw_events_release(&events);
    return 0;
}

static void add(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct sw_event event = {.level = SW_LOG_WARN};
        snprintf(event.text, sizeof event.text, "event %llu", (unsigned long long)sw_events_last_id(&events) + 1);
        sw_events_add(&events, &event);
    }
}

static void none(void **state) {
    struct sw_event out[4];
    assert_int_equal(sw_events_last_id(&events), 0);
    assert_int_equal(sw_events_since(&events, 0, out, 4), 0);
}

static void in_order_after_what_was_seen(void **state) {
    struct sw_event out[8];
    add(5);
    assert_int_equal(sw_events_since(&events, 2, out, 8), 3);
    assert_int_equal(out[0].id, 3);
    assert_string_equal(out[2].text, "event 5");
    assert_int_equal(sw_events_since(&events, 5, out, 8), 0);
    assert_int_equal(sw_events_since(&events, 99, out, 8), 0);
    assert_int_equal(sw_events_since(&events, 0, out, 2), 2);
    assert_int_equal(out[1].id, 2);
}

static void the_oldest_are_forgotten(void **state) {
    static struct sw_event out[SW_EVENTS_KEPT + 10];
    add(SW_EVENTS_KEPT * 3 + 7);
    assert_int_equal(sw_events_since(&events, 0, out, SW_EVENTS_KEPT + 10), SW_EVENTS_KEPT);
    assert_int_equal(out[0].id, SW_EVENTS_KEPT * 2 + 8);
    assert_string_equal(out[SW_EVENTS_KEPT - 1].text, "event 775");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(none, setup, teardown),
        cmocka_unit_test_setup_teardown(in_order_after_what_was_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_are_forgotten, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
