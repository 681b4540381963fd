/* test_flight_ring.c - The flight recorder's ring: what is put comes back, old segments go, damage is noticed. */
#include "probe/flight_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

#define START_NS INT64_C(1700000000000000000)
#define STEP_NS (10 * SW_NS_PER_MS)

static char folder[] = "/tmp/sidewinder-ring-XXXXXX";
static char path[64];

static int set_up(void **unused) {
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.ring", folder);
    return 0;
}

static int tear_down(void **unused) {
    unlink(path);
    return rmdir(folder);
}

static struct sw_flight_ring *ring_new(int64_t keep_ns) {
    struct sw_flight_ring *ring = NULL;
    struct sw_flight_ring_options options = {.path = path,
                                             .size_bytes = SW_FLIGHT_RING_BYTES_MIN,
                                             .keep_ns = keep_ns,
                                             .pid = 4242,
                                             .rate_hz = 100,
                                             .what = SW_STR("wall"),
                                             .command = SW_STR("python3 app.py")};
    struct sw_error err = {0};
    assert_int_equal(sw_flight_ring_new(&ring, &options, &err), SW_OK);
    return ring;
}

/* Sample number `i`, in one of `stacks` stacks of 3 frames. */
static void sample_add(struct sw_profile *profile, int i, int stacks) {
    uint32_t node = SW_PROFILE_ROOT, frame, track;
    char name[32];
    for (int depth = 0; depth < 3; depth++) {
        snprintf(name, sizeof name, "f%d_%d", depth, depth == 2 ? i % stacks : 0);
        struct sw_profile_frame wanted = {.name = sw_str_from(name),
                                          .file = SW_STR("app.py"),
                                          .line = depth == 2 ? -5 : 10 + depth};
        assert_int_equal(sw_profile_add_frame(profile, &wanted, &frame), SW_OK);
        assert_int_equal(sw_profile_add_node(profile, node, frame, &node), SW_OK);
    }
    struct sw_profile_track wanted = {.pid = 4242, .tid = 4242 + i % 2, .thread = SW_STR("worker")};
    assert_int_equal(sw_profile_add_track(profile, &wanted, &track), SW_OK);
    struct sw_profile_sample sample = {START_NS + i * STEP_NS, STEP_NS, track, node};
    assert_int_equal(sw_profile_add_sample(profile, &sample), SW_OK);
}

static bool put(struct sw_flight_ring *ring, const struct sw_profile *profile, uint64_t exact) {
    struct sw_flight_quality quality = {.exact = exact};
    bool is_turned;
    struct sw_error err = {0};
    assert_int_equal(sw_flight_ring_put(ring, profile, &quality, &is_turned, &err), SW_OK);
    return is_turned;
}

/* Puts samples `from` to `to`, ten at a time, taking another profile whenever a segment turns, as the recorder does. */
static void put_many(struct sw_flight_ring *ring, int from, int to, int stacks) {
    struct sw_profile profile = {.keeps_samples = true};
    for (int i = from; i < to; i++) {
        sample_add(&profile, i, stacks);
        if ((i + 1) % 10 == 0 && put(ring, &profile, (uint64_t)i + 1)) {
            sw_profile_release(&profile);
            profile = (struct sw_profile){.keeps_samples = true};
            sw_flight_ring_restart(ring);
        }
    }
    if (profile.sample_count)
        (void)put(ring, &profile, (uint64_t)to);
    sw_profile_release(&profile);
}

/* Every sample is one that was put, in its own stack; they are consecutive, and the last one is `to` - 1. */
static void check(const struct sw_profile *profile, int to, int stacks) {
    assert_true(profile->sample_count > 0);
    int first = to - (int)profile->sample_count;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct sw_profile_sample *sample = &profile->samples[i];
        int number = first + (int)i;
        char name[32];
        assert_int_equal(sample->epoch_ns, START_NS + number * STEP_NS);
        assert_int_equal(sample->weight_ns, STEP_NS);
        assert_int_equal(profile->tracks[sample->track].tid, 4242 + number % 2);
        assert_int_equal(profile->nodes[sample->node].depth, 3);
        const struct sw_profile_frame *leaf = &profile->frames[profile->nodes[sample->node].frame];
        snprintf(name, sizeof name, "f2_%d", number % stacks);
        assert_true(sw_str_eq(leaf->name, sw_str_from(name)) && leaf->line == -5);
    }
}

static void what_is_put_comes_back(void **unused) {
    struct sw_flight_ring *ring = ring_new(30 * SW_NS_PER_S);
    struct sw_profile read = {0};
    struct sw_error err = {0};
    put_many(ring, 0, 1000, 7);
    assert_int_equal(sw_flight_ring_read(ring, 0, &read, &err), SW_OK);
    assert_int_equal(read.sample_count, 1000);
    check(&read, 1000, 7);
    assert_int_equal(read.about.exact, 1000);
    assert_int_equal(read.about.start_epoch_ns, START_NS);
    assert_int_equal(read.about.duration_ns, 999 * STEP_NS);
    assert_true(sw_str_eq(read.about.command, SW_STR("python3 app.py")));
    assert_true(sw_str_eq(read.about.what, SW_STR("wall")));
    sw_profile_release(&read);
    read = (struct sw_profile){0};
    assert_int_equal(sw_flight_ring_read(ring, START_NS + 900 * STEP_NS, &read, &err), SW_OK);
    assert_int_equal(read.sample_count, 100);
    check(&read, 1000, 7);
    sw_profile_release(&read);
    sw_flight_ring_free(ring);
}

/* 100 times what is kept goes through; what is kept is always there, and the file has its size from the beginning. */
static void the_oldest_is_given_up(void **unused) {
    struct sw_flight_ring *ring = ring_new(5 * SW_NS_PER_S); /* 500 samples */
    struct sw_error err = {0};
    int fd = open(path, O_RDONLY);
    off_t size = lseek(fd, 0, SEEK_END);
    assert_true(size > 0 && size <= (off_t)SW_FLIGHT_RING_BYTES_MIN);
    for (int round = 1; round <= 50; round++) {
        struct sw_profile read = {0};
        put_many(ring, (round - 1) * 1000, round * 1000, 13);
        assert_int_equal(sw_flight_ring_read(ring, 0, &read, &err), SW_OK);
        assert_true(read.sample_count >= 500 && read.sample_count <= 1000);
        check(&read, round * 1000, 13);
        sw_profile_release(&read);
    }
    assert_int_equal(lseek(fd, 0, SEEK_END), size);
    close(fd);
    sw_flight_ring_free(ring);
}

/* A stream of ever new stacks: segments are left when they are full. */
static void full_segments_turn(void **unused) {
    struct sw_flight_ring *ring = ring_new(3600 * SW_NS_PER_S);
    struct sw_profile read = {0};
    struct sw_error err = {0};
    put_many(ring, 0, 400000, 1000000);
    assert_int_equal(sw_flight_ring_lost(ring), 0);
    assert_int_equal(sw_flight_ring_read(ring, 0, &read, &err), SW_OK);
    assert_true(read.sample_count > 50000 && read.sample_count < 400000);
    check(&read, 400000, 1000000);
    sw_profile_release(&read);
    sw_flight_ring_free(ring);
}

static void byte_change(off_t at) {
    unsigned char byte;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x55;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* As a killed writer leaves it: the file is read by its name, and a damaged batch ends its segment only. */
static void what_is_left_can_be_read(void **unused) {
    struct sw_flight_ring *ring = ring_new(5 * SW_NS_PER_S);
    struct sw_profile read = {0};
    struct sw_error err = {0};
    put_many(ring, 0, 1000, 7);
    sw_flight_ring_free(ring);
    assert_int_equal(sw_flight_file_read(path, 0, &read, &err), SW_OK);
    size_t whole = read.sample_count;
    check(&read, 1000, 7);
    sw_profile_release(&read);
    for (off_t at = 4096; at < 4096 + 2048; at += 7) { /* somewhere in the first segment */
        read = (struct sw_profile){0};
        byte_change(at);
        assert_int_equal(sw_flight_file_read(path, 0, &read, &err), SW_OK);
        assert_true(read.sample_count <= whole);
        sw_profile_release(&read);
        byte_change(at);
    }
}

static void strange_files_are_refused(void **unused) {
    struct sw_profile read = {0};
    struct sw_error err = {0};
    assert_int_equal(sw_flight_file_read(path, 0, &read, &err), SW_NOTFOUND);
    struct sw_flight_ring *ring = ring_new(5 * SW_NS_PER_S);
    put_many(ring, 0, 100, 7);
    sw_flight_ring_free(ring);
    for (off_t at = 0; at < 24; at++) { /* magic, version, numbers and sizes of segments */
        byte_change(at);
        assert_int_equal(sw_flight_file_read(path, 0, &read, &err), SW_MALFORMED);
        assert_int_equal(read.sample_count, 0);
        byte_change(at);
    }
    assert_int_equal(truncate(path, 100000), 0);
    assert_int_equal(sw_flight_file_read(path, 0, &read, &err), SW_MALFORMED);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(sw_flight_file_read(path, 0, &read, &err), SW_MALFORMED);
    assert_non_null(strstr(err.text, path));
}

static void a_file_is_never_overwritten(void **unused) {
    struct sw_flight_ring *ring = ring_new(5 * SW_NS_PER_S), *second = NULL;
    struct sw_flight_ring_options options = {.path = path, .keep_ns = SW_NS_PER_S, .rate_hz = 100};
    struct sw_error err = {0};
    assert_int_equal(sw_flight_ring_new(&second, &options, &err), SW_EXISTS);
    options.path = NULL;
    assert_int_equal(sw_flight_ring_new(&second, &options, &err), SW_OK); /* in memory */
    put_many(second, 0, 100, 7);
    struct sw_profile read = {0};
    assert_int_equal(sw_flight_ring_read(second, 0, &read, &err), SW_OK);
    check(&read, 100, 7);
    sw_profile_release(&read);
    sw_flight_ring_free(second);
    sw_flight_ring_free(ring);
}

/* A put that runs out of memory loses samples at most; what is read is always right. */
static void out_of_memory_does_no_harm(void **unused) {
    for (size_t nth = 1; nth < 40; nth++) {
        struct sw_flight_ring *ring = ring_new(5 * SW_NS_PER_S);
        struct sw_profile profile = {.keeps_samples = true}, read = {0};
        struct sw_flight_quality quality = {0};
        struct sw_error err = {0};
        bool is_turned;
        for (int i = 0; i < 100; i++)
            sample_add(&profile, i, 50);
        sw_mem_fail_at(nth);
        enum sw_status status = sw_flight_ring_put(ring, &profile, &quality, &is_turned, &err);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        assert_int_equal(sw_flight_ring_put(ring, &profile, &quality, &is_turned, &err), SW_OK);
        sw_mem_fail_at(nth);
        status = sw_flight_ring_read(ring, 0, &read, &err);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        if (status == SW_NOMEM)
            assert_int_equal(sw_flight_ring_read(ring, 0, &read, &err), SW_OK);
        assert_int_equal(read.sample_count, 100);
        check(&read, 100, 50);
        sw_profile_release(&read);
        sw_profile_release(&profile);
        sw_flight_ring_free(ring);
        unlink(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_is_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_segments_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_left_can_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strange_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_is_never_overwritten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory_does_no_harm, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
