/* test_code.c - Line tables of all three kinds, texts, and the cache of code objects, on objects made in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "guard_page.h"
#include "probe/code_impl.h"

#define V3_12 0x030c01f0u

/* What the tests read is this process itself. */
struct self {
    struct sw_target target;
    struct sw_runtime runtime;
};

static void self_open(struct self *self) {
    struct sw_error err;
    assert_int_equal(sw_target_open(&self->target, getpid(), &err), SW_OK);
    self->runtime = (struct sw_runtime){.target = &self->target, .version = V3_12};
    const struct sw_layout *layout = sw_layout_for(V3_12, false);
    assert_non_null(layout);
    self->runtime.layout = *layout;
}

static void put_u64(unsigned char *at, uint64_t value) {
    memcpy(at, &value, sizeof(value));
}

static void put_u32(unsigned char *at, uint32_t value) {
    memcpy(at, &value, sizeof(value));
}

static uint64_t address_of(const void *at) {
    return (uint64_t)(uintptr_t)at;
}

/* A str object of `length` characters of `kind` bytes each. */
static void make_text(const struct self *self, unsigned char *at, const void *characters, size_t length, uint32_t kind,
                      bool is_ascii) {
    const struct sw_layout *layout = &self->runtime.layout;
    put_u64(at + layout->value.unicode_length, length);
    put_u32(at + layout->value.unicode_state, (kind | 1u << 3 | (is_ascii ? 1u << 4 : 0))
                                                  << layout->value.unicode_kind_shift);
    size_t start = is_ascii ? layout->value.unicode_ascii : layout->value.unicode_compact;
    memcpy(at + start, characters, length * kind);
}

struct lines_case {
    enum sw_line_kind kind;
    int32_t first_line;
    const char *table;
    size_t len;
    struct sw_code_line expected[6];
    size_t count;
    uint32_t size_bytes;
};

#define TABLE(text) text, sizeof(text) - 1

static const struct lines_case lines_cases[] = {
    /* 3.11 on: short form; line +1; no columns, -3; long, +70; none. */
    {SW_LINES_LOCATIONS, 10, TABLE("\x80\x00"), {{0, 10}}, 1, 2},
    {SW_LINES_LOCATIONS, 10, TABLE("\x81\x00\xd8\x00\x00"), {{0, 10}, {4, 11}}, 2, 6},
    {SW_LINES_LOCATIONS, 10, TABLE("\xe8\x07\x87\x00"), {{0, 7}}, 1, 18},
    {SW_LINES_LOCATIONS, 10, TABLE("\xf0\x4c\x02\x00\x01\x01\xf9"), {{0, 80}, {2, 0}}, 2, 6},
    {SW_LINES_LOCATIONS, 10, TABLE("\xd0\x00\x00\x80\x00"), {{0, 10}}, 1, 4},
    /* Cut short, without the top bit, empty. */
    {SW_LINES_LOCATIONS, 10, TABLE("\x80\x00\xf0\x4c"), {{0, 10}}, 1, 2},
    {SW_LINES_LOCATIONS, 10, TABLE("\x80\x00\x10\x00"), {{0, 10}}, 1, 2},
    {SW_LINES_LOCATIONS, 10, TABLE("\xe8\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f"), {{0, 10}}, 1, 0},
    {SW_LINES_LOCATIONS, 10, TABLE(""), {{0, 10}}, 1, 0},
    /* 3.10: an entry without length moves the line only; -128 is no line. */
    {SW_LINES_PAIRS, 5, TABLE("\x04\x00\x06\x01\x02\x80\x04\xff"), {{0, 5}, {4, 6}, {10, 0}, {12, 5}}, 4, 16},
    {SW_LINES_PAIRS, 5, TABLE("\x00\x7f\x02\x7f"), {{0, 259}}, 1, 2},
    {SW_LINES_PAIRS, 5, TABLE("\x04\x00\x06"), {{0, 5}}, 1, 4},
    {SW_LINES_PAIRS, 5, TABLE(""), {{0, 5}}, 1, 0},
    /* Up to 3.9: the line moves behind the offset. */
    {SW_LINES_LNOTAB, 5, TABLE("\x00\x01\x08\x02\x06\xff"), {{0, 6}, {8, 8}, {14, 7}}, 3, UINT32_MAX},
    {SW_LINES_LNOTAB, 5, TABLE("\xff\x00\x0a\x01"), {{0, 5}, {265, 6}}, 2, UINT32_MAX},
    {SW_LINES_LNOTAB, 5, TABLE(""), {{0, 5}}, 1, UINT32_MAX},
};

static void tables_give_lines(void **state) {
    for (size_t i = 0; i < sizeof(lines_cases) / sizeof(lines_cases[0]); i++) {
        const struct lines_case *item = &lines_cases[i];
        struct sw_str placed = guard_place(sw_str_make(item->table, item->len));
        struct sw_line_table table = {item->kind, (const unsigned char *)placed.ptr, placed.len, item->first_line};
        struct sw_buf out = {0};
        uint32_t size_bytes = 1;
        assert_int_equal(sw_code_lines_decode(&table, &out, &size_bytes), SW_OK);
        assert_int_equal(out.len, item->count * sizeof(struct sw_code_line));
        assert_memory_equal(out.ptr, item->expected, out.len);
        assert_int_equal(size_bytes, item->size_bytes);
        sw_buf_release(&out);
    }
}

static void lines_by_offset(void **state) {
    const struct sw_code_line lines[] = {{0, 10}, {4, 12}, {10, 0}, {12, 11}};
    struct sw_code code = {.first_line = 9, .size_bytes = 20, .lines = lines, .line_count = 4};
    const int32_t expected[][2] = {{-2, 9}, {0, 10}, {3, 10},  {4, 12},  {9, 12},
                                   {10, 0}, {11, 0}, {12, 11}, {19, 11}, {20, 0}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_int_equal(sw_code_line(&code, expected[i][0]), expected[i][1]);
    }
}

static void texts_become_utf8(void **state) {
    struct self self;
    self_open(&self);
    const struct {
        const void *characters;
        size_t length;
        uint32_t kind;
        bool is_ascii;
        const char *expected;
    } cases[] = {
        {"main", 4, 1, true, "main"},
        {"\xe9t\xe9", 3, 1, false, "\xc3\xa9t\xc3\xa9"},
        {(const uint16_t[]){0x6587, 'a', 0xdcff}, 3, 2, false,
         "\xe6\x96\x87"
         "a\xef\xbf\xbd"},
        {(const uint32_t[]){0x1f600, 0x110000, 0x7ff}, 3, 4, false, "\xf0\x9f\x98\x80\xef\xbf\xbd\xdf\xbf"},
        {"\xff", 1, 1, true, "\xc3\xbf"}, /* says ASCII and is not: torn */
        {"", 0, 1, true, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned char object[256] = {0};
        struct sw_buf out = {0};
        make_text(&self, object, cases[i].characters, cases[i].length, cases[i].kind, cases[i].is_ascii);
        assert_int_equal(sw_read_unicode(&self.runtime, address_of(object), 100, &out), SW_OK);
        assert_int_equal(out.len, strlen(cases[i].expected));
        assert_true(out.len == 0 || memcmp(out.ptr, cases[i].expected, out.len) == 0);
        sw_buf_release(&out);
    }
    sw_target_close(&self.target);
}

static void long_texts_are_cut_and_garbage_refused(void **state) {
    struct self self;
    self_open(&self);
    static unsigned char object[8192];
    static char text[5000];
    memset(text, 'x', sizeof(text));
    struct sw_buf out = {0};
    make_text(&self, object, text, sizeof(text), 1, true);
    assert_int_equal(sw_read_unicode(&self.runtime, address_of(object), 4000, &out), SW_OK);
    assert_int_equal(out.len, 4000);
    put_u32(object + self.runtime.layout.value.unicode_state, 0);
    assert_int_equal(sw_read_unicode(&self.runtime, address_of(object), 4000, &out), SW_IO);
    assert_int_equal(sw_read_unicode(&self.runtime, 0, 4000, &out), SW_IO);
    assert_int_equal(sw_read_unicode(&self.runtime, 64, 4000, &out), SW_IO);
    assert_int_equal(out.len, 4000);
    sw_buf_release(&out);
    sw_target_close(&self.target);
}

/* A code object of 3.12 with all it points to. */
struct fake_code {
    unsigned char code[512], name[128], file[128], table[128], type[512];
};

static void fake_code_make(const struct self *self, struct fake_code *fake, const char *name, uint32_t first_line) {
    const struct sw_layout *layout = &self->runtime.layout;
    memset(fake, 0, sizeof(*fake));
    make_text(self, fake->name, name, strlen(name), 1, true);
    make_text(self, fake->file, "a.py", 4, 1, true);
    put_u64(fake->table + layout->object.var_size, 5);
    memcpy(fake->table + layout->value.bytes_value, "\x81\x00\xd8\x00\x00", 5);
    put_u64(fake->type + layout->type.name, address_of("code"));
    put_u64(fake->code + layout->object.ob_type, address_of(fake->type));
    put_u32(fake->code + layout->code.firstlineno, first_line);
    put_u64(fake->code + layout->code.filename, address_of(fake->file));
    put_u64(fake->code + layout->code.name, address_of(fake->name));
    put_u64(fake->code + layout->code.qualname, address_of(fake->name));
    put_u64(fake->code + layout->code.linetable, address_of(fake->table));
}

static void cache_reads_once_and_notices_reuse(void **state) {
    struct self self;
    self_open(&self);
    static struct fake_code fake;
    fake_code_make(&self, &fake, "first", 10);
    struct sw_code_cache *cache = NULL;
    const struct sw_code *first = NULL;
    const struct sw_code *again = NULL;
    assert_int_equal(sw_code_cache_new(&cache, &self.runtime), SW_OK);
    assert_int_equal(sw_code_get(cache, address_of(fake.code), &first), SW_OK);
    assert_true(sw_str_eq(first->name, SW_STR("first")));
    assert_true(sw_str_eq(first->file, SW_STR("a.py")));
    assert_int_equal(sw_code_line(first, 4), 11);
    assert_int_equal(first->size_bytes, 6);

    make_text(&self, fake.name, "other", 5, 1, true); /* not read again while the header stands */
    assert_int_equal(sw_code_get(cache, address_of(fake.code), &again), SW_OK);
    assert_ptr_equal(first, again);
    assert_true(sw_code_check(cache, address_of(fake.code), fake.code));

    put_u32(fake.code + self.runtime.layout.code.firstlineno, 20);
    assert_false(sw_code_check(cache, address_of(fake.code), fake.code));
    assert_int_equal(sw_code_get(cache, address_of(fake.code), &again), SW_OK);
    assert_true(sw_str_eq(again->name, SW_STR("other")));
    assert_int_equal(sw_code_line(again, 4), 21);
    assert_int_equal(again->id, first->id + 1);
    assert_true(sw_str_eq(first->name, SW_STR("first"))); /* what was handed out stays */

    sw_code_forget_all(cache); /* the next use looks at the header */
    put_u32(fake.code + self.runtime.layout.code.firstlineno, 30);
    assert_int_equal(sw_code_get(cache, address_of(fake.code), &again), SW_OK);
    assert_int_equal(again->first_line, 30);
    sw_code_cache_free(cache);
    sw_target_close(&self.target);
}

static void cache_refuses_what_is_no_code(void **state) {
    struct self self;
    self_open(&self);
    static struct fake_code fake;
    static unsigned char huge[64];
    struct sw_code_cache *cache = NULL;
    const struct sw_code *code = NULL;
    assert_int_equal(sw_code_cache_new(&cache, &self.runtime), SW_OK);
    assert_int_equal(sw_code_get(cache, 0, &code), SW_IO);
    assert_int_equal(sw_code_get(cache, 4096, &code), SW_IO);
    fake_code_make(&self, &fake, "f", 1);
    put_u64(fake.type + self.runtime.layout.type.name, address_of("tuple"));
    assert_int_equal(sw_code_get(cache, address_of(fake.code), &code), SW_IO);
    fake_code_make(&self, &fake, "f", 1);
    put_u64(huge + self.runtime.layout.object.var_size, UINT64_MAX / 2); /* a line table without end */
    put_u64(fake.code + self.runtime.layout.code.linetable, address_of(huge));
    assert_int_equal(sw_code_get(cache, address_of(fake.code), &code), SW_IO);
    assert_null(code);
    sw_code_cache_free(cache);
    sw_target_close(&self.target);
}

static void cache_survives_lack_of_memory(void **state) {
    struct self self;
    self_open(&self);
    static struct fake_code fake;
    fake_code_make(&self, &fake, "f", 1);
    bool is_done = false;
    for (size_t nth = 1; !is_done; nth++) {
        struct sw_code_cache *cache = NULL;
        const struct sw_code *code = NULL;
        sw_mem_fail_at(nth);
        enum sw_status status = sw_code_cache_new(&cache, &self.runtime);
        if (status == SW_OK) {
            status = sw_code_get(cache, address_of(fake.code), &code);
        }
        sw_mem_fail_at(0);
        is_done = status == SW_OK;
        assert_true(is_done || status == SW_NOMEM);
        assert_true(is_done == (code != NULL));
        sw_code_cache_free(cache);
        assert_true(nth < 100);
    }
    sw_target_close(&self.target);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_give_lines),
        cmocka_unit_test(lines_by_offset),
        cmocka_unit_test(texts_become_utf8),
        cmocka_unit_test(long_texts_are_cut_and_garbage_refused),
        cmocka_unit_test(cache_reads_once_and_notices_reuse),
        cmocka_unit_test(cache_refuses_what_is_no_code),
        cmocka_unit_test(cache_survives_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
