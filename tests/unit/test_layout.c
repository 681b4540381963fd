/* test_layout.c - The tables of all releases, and _Py_DebugOffsets of real and of broken targets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "guard_page.h"
#include "probe/layout_impl.h"

#define PATH_BYTES 4096
#define HEADER_WORDS 3

struct sample {
    unsigned char bytes[SW_DEBUG_OFFSETS_MAX];
    size_t size;
};

static const struct {
    uint32_t minor;
    bool is_free_threaded;
} releases[] = {
#define RELEASE_ROW(minor, letter, is_free_threaded) {minor, is_free_threaded},
    SW_LAYOUT_LIST(RELEASE_ROW)
#undef RELEASE_ROW
};

#define RELEASE_COUNT (sizeof releases / sizeof releases[0])

static const struct sw_layout *table_of(size_t release) {
    return sw_layout_table(3u << 24 | releases[release].minor << 16, releases[release].is_free_threaded);
}

/* The debug offsets that go with the headers from which the table is made: those with the GIL were read in the running
 * interpreter, the free-threaded ones come from the headers' own initialiser. */
static void sample_read(uint32_t minor, bool is_free_threaded, struct sample *sample) {
    char path[PATH_BYTES];
    const char *slash = strrchr(__FILE__, '/');
    assert_non_null(slash);
    snprintf(path, sizeof path, "%.*s/../data/fuzz_layout/cpython_3_%u%s.bin", (int)(slash - __FILE__), __FILE__, minor,
             is_free_threaded ? "t" : "");
    FILE *file = fopen(path, "rb");
    if (!file) {
        snprintf(path, sizeof path, "tests/data/fuzz_layout/cpython_3_%u%s.bin", minor, is_free_threaded ? "t" : "");
        file = fopen(path, "rb");
    }
    assert_non_null(file);
    sample->size = fread(sample->bytes, 1, sizeof sample->bytes, file);
    fclose(file);
    assert_in_range(sample->size, 500, SW_DEBUG_OFFSETS_MAX);
}

static void word_set(struct sample *sample, size_t index, uint64_t value) {
    memcpy(sample->bytes + index * sizeof value, &value, sizeof value);
}

static uint64_t word_get(const struct sample *sample, size_t index) {
    uint64_t value;
    memcpy(&value, sample->bytes + index * sizeof value, sizeof value);
    return value;
}

static void tables_have_what_every_release_has(void **state) {
    (void)state;
    for (size_t i = 0; i < RELEASE_COUNT; i++) {
        const struct sw_layout *layout = table_of(i);
        assert_non_null(layout);
        assert_int_equal(layout->version >> 16 & 255, releases[i].minor);
        assert_int_equal(layout->is_free_threaded, releases[i].is_free_threaded);
        const uint32_t offsets[] = {
            layout->runtime.interpreters_head,
            layout->interpreter.next,
            layout->interpreter.id,
            layout->interpreter.threads_head,
            layout->interpreter.modules,
            layout->thread.prev,
            layout->thread.next,
            layout->thread.interp,
            layout->thread.frame,
            layout->thread.thread_id,
            layout->gil.last_holder,
            layout->gil.locked,
            layout->gil.switch_number,
            layout->gil.cond,
            layout->gil.mutex,
            layout->frame.code,
            layout->frame.previous,
            layout->frame.ip,
            layout->frame.localsplus,
            layout->code.filename,
            layout->code.name,
            layout->code.linetable,
            layout->code.firstlineno,
            layout->object.ob_type,
            layout->type.name,
            layout->value.dict_keys,
            layout->value.unicode_ascii,
            layout->value.keys_nentries,
            layout->gc.collecting,
            layout->generator.frame,
        };
        for (size_t k = 0; k < sizeof offsets / sizeof offsets[0]; k++)
            assert_in_range(offsets[k], 0, 1 << 20);
    }
}

static void tables_have_what_came_when_it_came(void **state) {
    (void)state;
    for (size_t i = 0; i < RELEASE_COUNT; i++) {
        const struct sw_layout *layout = table_of(i);
        uint32_t minor = releases[i].minor;
        assert_int_equal(layout->thread.native_thread_id != SW_ABSENT, minor >= 11);
        assert_int_equal(layout->thread.cframe_current != SW_ABSENT, minor == 11 || minor == 12);
        assert_int_equal(layout->frame.is_entry != SW_ABSENT, minor == 11);
        assert_int_equal(layout->frame.owner != SW_ABSENT, minor >= 11);
        assert_int_equal(layout->runtime.gil != SW_ABSENT, minor <= 11);
        assert_int_equal(layout->interpreter.ceval_gil != SW_ABSENT, minor >= 12);
        assert_int_equal(layout->code.tlbc != SW_ABSENT, minor >= 14 && releases[i].is_free_threaded);
        assert_int_equal(layout->gil.enabled != SW_ABSENT, releases[i].is_free_threaded);
        assert_int_equal(layout->frame.ip_kind, minor >= 13   ? SW_IP_INSTR
                                                : minor >= 11 ? SW_IP_PREV_INSTR
                                                : minor == 10 ? SW_IP_LASTI_UNITS
                                                              : SW_IP_LASTI_BYTES);
        assert_int_equal(layout->code.lines, minor >= 11   ? SW_LINES_LOCATIONS
                                             : minor == 10 ? SW_LINES_PAIRS
                                                           : SW_LINES_LNOTAB);
        assert_false(layout->asyncio.is_known);
        assert_int_equal(layout->asyncio.thread_tasks_head, SW_ABSENT);
    }
}

/* What is read at one go holds all that is taken from it. */
static void sizes_cover_their_fields(void **state) {
    (void)state;
    for (size_t i = 0; i < RELEASE_COUNT; i++) {
        const struct sw_layout *layout = table_of(i);
        assert_in_range(layout->thread.size, layout->thread.frame + 8, 4096);
        assert_in_range(layout->thread.size, layout->thread.thread_id + 8, 4096);
        if (layout->thread.datastack_top != SW_ABSENT)
            assert_in_range(layout->thread.size, layout->thread.datastack_top + 8, 4096);
        assert_in_range(layout->frame.size, layout->frame.ip + 4, 1024);
        assert_in_range(layout->code.size, layout->code.linetable + 8, 1024);
        assert_in_range(layout->gil.size, layout->gil.switch_cond + 8, 1024);
    }
}

static void releases_without_a_table_have_none(void **state) {
    (void)state;
    assert_null(sw_layout_for(0x03070000, false));
    assert_null(sw_layout_for(0x030b0000, true));
    assert_null(sw_layout_for(0x02070000, false));
    assert_null(sw_layout_for(0x030d0000, false)); /* has its own offsets */
    assert_null(sw_layout_for(0x03630000, false));
    assert_null(sw_layout_table(0x03100000, false));
    assert_non_null(sw_layout_for(0x030b07f0, false));
    assert_ptr_equal(sw_layout_for(0x030b07f0, false), sw_layout_for(0x030b00f0, false));
}

/* Headers and process are of the same build, so that table and debug offsets say the same of every field. The length of
 * the interpreter's state, which nothing rests on, depends on defines of CPython's own build. */
static void debug_offsets_agree_with_the_headers(void **state) {
    (void)state;
    for (size_t i = 0; i < RELEASE_COUNT; i++) {
        uint32_t minor = releases[i].minor;
        bool is_free_threaded = releases[i].is_free_threaded;
        if (minor < SW_MINOR_FIRST_DEBUG)
            continue;
        struct sample sample;
        struct sw_layout layout;
        struct sw_error err;
        sample_read(minor, is_free_threaded, &sample);
        if (sw_layout_from_debug(sample.bytes, sample.size, &layout, &err) != SW_OK)
            fail_msg("3.%u: %s", minor, err.text);
        const struct sw_layout *table = sw_layout_table(layout.version, is_free_threaded);
        assert_non_null(table);
        const uint32_t *made = (const uint32_t *)&layout, *known = (const uint32_t *)table;
        for (size_t k = 0; k < offsetof(struct sw_layout, asyncio) / sizeof *made; k++)
            if (made[k] != known[k] && &made[k] != &layout.interpreter.size)
                fail_msg("3.%u: word %zu of the layout is %u, in the table %u", minor, k, made[k], known[k]);
    }
}

static void shortened_offsets_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < RELEASE_COUNT; i++) {
        uint32_t minor = releases[i].minor;
        bool is_free_threaded = releases[i].is_free_threaded;
        if (minor < SW_MINOR_FIRST_DEBUG)
            continue;
        struct sample sample;
        size_t needed = 0;
        sample_read(minor, is_free_threaded, &sample);
        for (size_t size = 0; size <= sample.size; size++) {
            struct sw_layout layout = {.version = 77};
            struct sw_str flush = guard_place(sw_str_make((const char *)sample.bytes, size));
            enum sw_status status = sw_layout_from_debug(flush.ptr, size, &layout, NULL);
            if (status == SW_OK && needed == 0)
                needed = size;
            assert_int_equal(status, needed ? SW_OK : SW_MALFORMED);
            assert_int_equal(layout.version == 77, status != SW_OK); /* written on success only */
        }
        assert_in_range(needed, sample.size - 64, sample.size);
    }
}

static void wrong_headers_are_refused(void **state) {
    (void)state;
    static const struct {
        size_t word;
        uint64_t value;
        enum sw_status status;
    } cases[] = {
        {0, 0, SW_MALFORMED},
        {0, UINT64_MAX, SW_MALFORMED},
        {1, 0, SW_MALFORMED},
        {1, 0x02070000, SW_MALFORMED},
        {1, 0x031000f0, SW_UNSUPPORTED},
        {1, 0x030a00f0, SW_MALFORMED},
        {1, UINT64_MAX, SW_MALFORMED},
        {2, 2, SW_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sample sample;
        struct sw_layout layout;
        struct sw_error err = {0};
        sample_read(14, false, &sample);
        word_set(&sample, cases[i].word, cases[i].value);
        assert_int_equal(sw_layout_from_debug(sample.bytes, sample.size, &layout, &err), cases[i].status);
        assert_true(err.text[0]);
    }
}

/* Every single word: as large as can be, as a size of nothing, and just behind its structure. */
static void impossible_words_never_get_through(void **state) {
    (void)state;
    for (size_t i = 0; i < RELEASE_COUNT; i++) {
        uint32_t minor = releases[i].minor;
        bool is_free_threaded = releases[i].is_free_threaded;
        if (minor < SW_MINOR_FIRST_DEBUG)
            continue;
        struct sample sample;
        sample_read(minor, is_free_threaded, &sample);
        size_t refused = 0, words = sample.size / 8;
        for (size_t word = HEADER_WORDS; word < words; word++) {
            static const uint64_t values[] = {UINT64_MAX, UINT64_C(1) << 32, 0x7fffffff, 0};
            uint64_t was = word_get(&sample, word);
            for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
                struct sw_layout layout;
                word_set(&sample, word, values[k]);
                enum sw_status status = sw_layout_from_debug(sample.bytes, sample.size, &layout, NULL);
                refused += k == 0 && status == SW_MALFORMED;
                if (status != SW_OK)
                    continue;
                assert_in_range(layout.thread.size, 8, 4096);
                assert_in_range(layout.frame.size, 8, 1024);
                assert_in_range(layout.code.size, 8, 1024);
            }
            word_set(&sample, word, was);
        }
        assert_in_range(refused, words - HEADER_WORDS - 12, words); /* not the counts, nor debugger_support behind it */
    }
}

static void asyncio_offsets_are_checked(void **state) {
    (void)state;
    /* Of 3.14: task {size, name, awaited_by, is_task, awaited_by_is_set, coro, node}, interpreter, thread. */
    static const uint64_t good[] = {256, 40, 120, 112, 113, 136, 160, 226000, 224000, 700, 400, 408, 416};
    struct sw_layout layout = sw_layout_3_14;
    uint64_t words[SW_ASYNCIO_DEBUG_BYTES / 8];
    _Static_assert(sizeof good == SW_ASYNCIO_DEBUG_BYTES, "all words");
    assert_int_equal(sw_layout_add_asyncio(good, &layout), SW_OK);
    assert_true(layout.asyncio.is_known);
    assert_int_equal(layout.asyncio.task_name, 40);
    assert_int_equal(layout.asyncio.task_node, 160);
    assert_int_equal(layout.asyncio.interp_tasks_head, 224000);
    assert_int_equal(layout.asyncio.thread_tasks_head, 416);
    for (size_t i = 0; i < SW_ASYNCIO_DEBUG_BYTES / 8; i++) {
        struct sw_layout untouched = sw_layout_3_14;
        memcpy(words, good, sizeof words);
        words[i] = UINT64_MAX;
        assert_int_equal(sw_layout_add_asyncio(words, &untouched), SW_MALFORMED);
        assert_memory_equal(&untouched, &sw_layout_3_14, sizeof untouched);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_have_what_every_release_has),
        cmocka_unit_test(tables_have_what_came_when_it_came),
        cmocka_unit_test(sizes_cover_their_fields),
        cmocka_unit_test(releases_without_a_table_have_none),
        cmocka_unit_test(debug_offsets_agree_with_the_headers),
        cmocka_unit_test(shortened_offsets_are_refused),
        cmocka_unit_test(wrong_headers_are_refused),
        cmocka_unit_test(impossible_words_never_get_through),
        cmocka_unit_test(asyncio_offsets_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
