/* test_profile.c - Interning of frames, stacks and tracks, sums, merging, and what is left when memory runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "report/profile.h"

static uint32_t frame_add(struct sw_profile *profile, const char *name, const char *file, int32_t line) {
    uint32_t index = UINT32_MAX;
    struct sw_profile_frame frame = {sw_str_from(name), sw_str_from(file), line, SW_PROFILE_PYTHON};
    assert_int_equal(sw_profile_add_frame(profile, &frame, &index), SW_OK);
    return index;
}

static uint32_t node_add(struct sw_profile *profile, uint32_t parent, uint32_t frame) {
    uint32_t node = UINT32_MAX;
    assert_int_equal(sw_profile_add_node(profile, parent, frame, &node), SW_OK);
    return node;
}

static uint32_t track_add(struct sw_profile *profile, int32_t pid, int32_t tid, const char *process) {
    uint32_t index = UINT32_MAX;
    struct sw_profile_track track = {pid, tid, sw_str_from(process), SW_STR("name")};
    assert_int_equal(sw_profile_add_track(profile, &track, &index), SW_OK);
    return index;
}

static void zero_is_empty(void **state) {
    struct sw_profile profile = {0};
    assert_int_equal(profile.total_count, 0);
    sw_profile_release(&profile);
    sw_profile_release(&profile);
}

static void the_same_frame_is_found_again(void **state) {
    struct sw_profile profile = {0};
    char name[] = "work";
    uint32_t index = frame_add(&profile, name, "a.py", 3);
    name[0] = 'x';
    assert_true(sw_str_eq(profile.frames[index].name, SW_STR("work")));
    assert_int_equal(frame_add(&profile, "work", "a.py", 3), index);
    assert_int_not_equal(frame_add(&profile, "work", "a.py", 4), index);
    assert_int_not_equal(frame_add(&profile, "worka", ".py", 3), index);
    assert_int_not_equal(frame_add(&profile, "work", "b.py", 3), index);
    struct sw_profile_frame native = {SW_STR("work"), SW_STR("a.py"), 3, SW_PROFILE_NATIVE};
    uint32_t other;
    assert_int_equal(sw_profile_add_frame(&profile, &native, &other), SW_OK);
    assert_int_not_equal(other, index);
    assert_int_equal(profile.frame_count, 5);
    sw_profile_release(&profile);
}

static void long_names_are_found_again(void **state) {
    struct sw_profile profile = {0};
    static char name[5000];
    memset(name, 'n', sizeof name - 1);
    uint32_t index = frame_add(&profile, name, "a.py", 3);
    assert_int_equal(frame_add(&profile, name, "a.py", 3), index);
    name[4000] = 'm';
    assert_int_not_equal(frame_add(&profile, name, "a.py", 3), index);
    sw_profile_release(&profile);
}

static void equal_beginnings_of_stacks_are_one_node(void **state) {
    struct sw_profile profile = {0};
    uint32_t f = frame_add(&profile, "f", "a.py", 1);
    uint32_t g = frame_add(&profile, "g", "a.py", 9);
    uint32_t top = node_add(&profile, SW_PROFILE_ROOT, f);
    uint32_t inner = node_add(&profile, top, g);
    uint32_t again = node_add(&profile, inner, f); /* recursion */
    assert_int_equal(node_add(&profile, SW_PROFILE_ROOT, f), top);
    assert_int_equal(node_add(&profile, top, g), inner);
    assert_int_not_equal(again, top);
    assert_int_equal(profile.node_count, 4);
    assert_int_equal(profile.nodes[SW_PROFILE_ROOT].depth, 0);
    assert_int_equal(profile.nodes[again].depth, 3);
    assert_int_equal(profile.nodes[again].parent, inner);
    uint32_t none = 77;
    assert_int_equal(sw_profile_add_node(&profile, 4, f, &none), SW_INVALID);
    assert_int_equal(sw_profile_add_node(&profile, top, 2, &none), SW_INVALID);
    assert_int_equal(none, 77);
    sw_profile_release(&profile);
}

static void samples_of_a_track_and_node_add_up(void **state) {
    struct sw_profile profile = {0};
    uint32_t node = node_add(&profile, SW_PROFILE_ROOT, frame_add(&profile, "f", "a.py", 1));
    uint32_t one = track_add(&profile, 1, 1, "p");
    uint32_t two = track_add(&profile, 1, 2, "p");
    assert_int_equal(track_add(&profile, 1, 2, "p"), two);
    assert_int_not_equal(track_add(&profile, 1, 2, "q"), two);
    for (int64_t i = 1; i <= 10; i++) {
        struct sw_profile_sample sample = {i, i * 100, i % 2 ? one : two, node};
        assert_int_equal(sw_profile_add_sample(&profile, &sample), SW_OK);
    }
    assert_int_equal(profile.total_count, 2);
    assert_int_equal(profile.totals[0].count, 5);
    assert_int_equal(profile.totals[0].weight_ns, 2500);
    assert_int_equal(profile.totals[1].weight_ns, 3000);
    assert_int_equal(profile.sample_count, 0);
    assert_int_equal(sw_profile_add_sample(&profile, &(struct sw_profile_sample){1, 1, 3, node}), SW_INVALID);
    assert_int_equal(sw_profile_add_sample(&profile, &(struct sw_profile_sample){1, 1, one, 2}), SW_INVALID);
    struct sw_profile_total huge = {one, node, UINT64_MAX, INT64_MAX};
    assert_int_equal(sw_profile_add_total(&profile, &huge), SW_OK);
    assert_true(profile.totals[0].count == INT64_MAX && profile.totals[0].weight_ns == INT64_MAX);
    sw_profile_release(&profile);
}

/* Against a plain table, with enough stacks that the index grows many times. */
static void many_stacks_are_counted_exactly(void **state) {
    enum { FRAMES = 40, STEPS = 60000 };
    struct sw_profile profile = {.keeps_samples = true};
    static uint64_t counts[3][FRAMES][FRAMES];
    memset(counts, 0, sizeof counts);
    for (uint64_t step = 0; step < STEPS; step++) {
        uint64_t random = sw_hash_u64(step + 1);
        unsigned a = (unsigned)(random % FRAMES), b = (unsigned)(random >> 16) % FRAMES;
        unsigned t = (unsigned)(random >> 32) % 3;
        uint32_t outer = node_add(&profile, SW_PROFILE_ROOT, frame_add(&profile, "f", "a.py", (int32_t)a));
        uint32_t node = node_add(&profile, outer, frame_add(&profile, "f", "a.py", (int32_t)b));
        struct sw_profile_sample sample = {(int64_t)step, 7, track_add(&profile, 1, (int32_t)t, ""), node};
        assert_int_equal(sw_profile_add_sample(&profile, &sample), SW_OK);
        counts[t][a][b]++;
    }
    assert_int_equal(profile.sample_count, STEPS);
    size_t wanted = 0;
    for (size_t i = 0; i < 3 * FRAMES * FRAMES; i++)
        wanted += (&counts[0][0][0])[i] > 0;
    assert_int_equal(profile.total_count, wanted);
    for (size_t i = 0; i < profile.total_count; i++) {
        const struct sw_profile_total *total = &profile.totals[i];
        struct sw_profile_node inner = profile.nodes[total->node];
        int32_t a = profile.frames[profile.nodes[inner.parent].frame].line;
        assert_int_equal(total->count, counts[profile.tracks[total->track].tid][a][profile.frames[inner.frame].line]);
        assert_int_equal(total->weight_ns, 7 * total->count);
    }
    sw_profile_release(&profile);
}

static void fill(struct sw_profile *profile, const char *name, int64_t epoch_ns) {
    uint32_t node = node_add(profile, SW_PROFILE_ROOT, frame_add(profile, "main", "a.py", 1));
    node = node_add(profile, node, frame_add(profile, name, "a.py", 5));
    uint32_t track = track_add(profile, 1, 1, "p");
    for (int64_t i = 0; i < 3; i++) {
        struct sw_profile_sample sample = {epoch_ns + i * 20, 10, track, node};
        assert_int_equal(sw_profile_add_sample(profile, &sample), SW_OK);
    }
    struct sw_profile_about about = {
        .start_epoch_ns = epoch_ns, .duration_ns = 60, .rate_hz = 100, .exact = 3, .what = SW_STR("cpu")};
    about.command = sw_str_from(name);
    assert_int_equal(sw_profile_describe(profile, &about), SW_OK);
}

/* Everything that allocates, until all went well. */
static enum sw_status build(struct sw_profile *profile) {
    enum sw_status status = SW_OK;
    for (int32_t i = 0; i < 200 && status == SW_OK; i++) {
        uint32_t frame = 0, node = 0, track = 0;
        size_t frames = profile->frame_count, tracks = profile->track_count, totals = profile->total_count;
        struct sw_profile_frame one = {SW_STR("f"), SW_STR("a.py"), i, SW_PROFILE_PYTHON};
        status = sw_profile_add_frame(profile, &one, &frame);
        assert_int_equal(profile->frame_count, frames + (status == SW_OK));
        struct sw_profile_track two = {1, i, SW_STR("p"), SW_STR("t")};
        if (status == SW_OK) {
            status = sw_profile_add_track(profile, &two, &track);
            assert_int_equal(profile->track_count, tracks + (status == SW_OK));
        }
        if (status == SW_OK)
            status = sw_profile_add_node(profile, (uint32_t)i, frame, &node);
        if (status == SW_OK) {
            status = sw_profile_add_sample(profile, &(struct sw_profile_sample){i, 1, track, node});
            assert_int_equal(profile->total_count, totals + (status == SW_OK));
            assert_int_equal(profile->sample_count, profile->total_count);
        }
    }
    return status;
}

static void running_out_of_memory_leaves_it_as_it_was(void **state) {
    bool is_done = false;
    size_t nth = 1;
    for (; !is_done; nth++) {
        struct sw_profile profile = {.keeps_samples = true};
        sw_mem_fail_at(nth);
        enum sw_status status = build(&profile);
        sw_mem_fail_at(0);
        uint64_t count = 0;
        for (size_t i = 0; i < profile.total_count; i++)
            count += profile.totals[i].count;
        assert_int_equal(count, profile.sample_count);
        is_done = status == SW_OK;
        if (!is_done) {
            assert_int_equal(status, SW_NOMEM);
            assert_true(profile.sample_count <= 200 && profile.about.exact == 0);
            fill(&profile, "h", 5); /* of use still */
        }
        assert_int_equal(profile.sample_count, is_done ? 200 : count + 3);
        sw_profile_release(&profile);
    }
    assert_true(nth > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_empty),
        cmocka_unit_test(the_same_frame_is_found_again),
        cmocka_unit_test(long_names_are_found_again),
        cmocka_unit_test(equal_beginnings_of_stacks_are_one_node),
        cmocka_unit_test(samples_of_a_track_and_node_add_up),
        cmocka_unit_test(many_stacks_are_counted_exactly),
        cmocka_unit_test(running_out_of_memory_leaves_it_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
