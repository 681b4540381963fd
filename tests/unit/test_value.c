/* test_value.c - Values as text, from objects of 3.12 made in this process's own memory, sound and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "probe/value.h"

#define OBJECTS 64
#define OBJECT_BYTES 512

enum kind { NONE, INT, STR, BYTES, FLOAT, LIST, TUPLE, DICT, SET, INSTANCE, KINDS };

struct scene {
    _Alignas(16) char types[KINDS][1024];
    _Alignas(16) char objects[OBJECTS][OBJECT_BYTES];
    size_t count;
    struct sw_target target;
    struct sw_runtime runtime;
    struct sw_objects *reader;
};

static const struct {
    const char *name;
    uint64_t flags;
} kinds[KINDS] = {
    [NONE] = {"NoneType", 0},
    [INT] = {"int", SW_TYPE_LONG},
    [STR] = {"str", SW_TYPE_UNICODE},
    [BYTES] = {"bytes", SW_TYPE_BYTES},
    [FLOAT] = {"float", 0},
    [LIST] = {"list", SW_TYPE_LIST},
    [TUPLE] = {"tuple", SW_TYPE_TUPLE},
    [DICT] = {"dict", SW_TYPE_DICT},
    [SET] = {"set", 0},
    [INSTANCE] = {"Thing", SW_TYPE_HEAP},
};

static uint64_t address_of(const void *pointer) {
    return (uint64_t)(uintptr_t)pointer;
}

static void put(char *at, uint32_t offset, uint64_t value) {
    memcpy(at + offset, &value, sizeof value);
}

static struct scene *scene_new(void) {
    struct scene *scene = aligned_alloc(16, sizeof *scene);
    assert_non_null(scene);
    memset(scene, 0, sizeof *scene);
    const struct sw_layout *layout = sw_layout_for(0x030c00f0, false);
    assert_non_null(layout);
    scene->runtime.layout = *layout;
    scene->runtime.version = 0x030c00f0;
    scene->runtime.target = &scene->target;
    assert_int_equal(sw_target_open(&scene->target, getpid(), NULL), SW_OK);
    for (int i = 0; i < KINDS; i++) {
        put(scene->types[i], layout->type.name, address_of(kinds[i].name));
        put(scene->types[i], layout->type.flags, kinds[i].flags);
        put(scene->types[i], layout->type.basicsize, 32);
    }
    assert_int_equal(sw_objects_new(&scene->reader, &scene->runtime), SW_OK);
    return scene;
}

static void scene_free(struct scene *scene) {
    sw_objects_free(scene->reader);
    sw_target_close(&scene->target);
    free(scene);
}

static char *make(struct scene *scene, enum kind kind) {
    assert_true(scene->count < OBJECTS);
    char *object = scene->objects[scene->count++];
    put(object, scene->runtime.layout.object.ob_type, address_of(scene->types[kind]));
    return object;
}

static char *make_int(struct scene *scene, int sign, const uint32_t *digits, size_t count) {
    char *object = make(scene, INT);
    put(object, scene->runtime.layout.value.long_tag, count << 3 | (sign < 0 ? 2 : sign == 0 ? 1 : 0));
    memcpy(object + scene->runtime.layout.value.long_digit, digits, count * 4);
    return object;
}

static char *make_str(struct scene *scene, const char *text) {
    const struct sw_layout *layout = &scene->runtime.layout;
    char *object = make(scene, STR);
    uint32_t bits = 1u << layout->value.unicode_kind_shift | 3u << (layout->value.unicode_kind_shift + 3);
    put(object, layout->value.unicode_length, strlen(text));
    memcpy(object + layout->value.unicode_state, &bits, sizeof bits);
    memcpy(object + layout->value.unicode_ascii, text, strlen(text));
    return object;
}

static char *make_list(struct scene *scene, uint64_t *items, uint64_t count) {
    char *object = make(scene, LIST);
    put(object, scene->runtime.layout.object.var_size, count);
    put(object, scene->runtime.layout.value.list_item, address_of(items));
    return object;
}

static void assert_text(struct scene *scene, uint64_t slot, const char *expected) {
    struct sw_buf text = {0};
    assert_int_equal(sw_value_append(scene->reader, slot, &text), SW_OK);
    assert_int_equal(sw_buf_append_byte(&text, '\0'), SW_OK);
    assert_string_equal(text.ptr, expected);
    sw_buf_release(&text);
}

static void test_plain(void **state) {
    (void)state;
    struct scene *scene = scene_new();
    uint32_t digits[] = {0x3fffffff, 0x3fffffff, 7};
    assert_text(scene, address_of(make(scene, NONE)), "None");
    assert_text(scene, address_of(make_int(scene, 0, digits, 0)), "0");
    assert_text(scene, address_of(make_int(scene, 1, digits, 1)), "1073741823");
    assert_text(scene, address_of(make_int(scene, -1, digits, 2)), "-1152921504606846975");
    assert_text(scene, address_of(make_int(scene, 1, digits, 3)), "9223372036854775807");
    assert_text(scene, address_of(make_str(scene, "it's\n")), "'it\\'s\\n'");
    assert_text(scene, address_of(make(scene, TUPLE)), "()");
    assert_text(scene, address_of(make(scene, SET)), "set()");
    char *number = make(scene, FLOAT);
    double value = 0.1;
    memcpy(number + scene->runtime.layout.value.float_value, &value, sizeof value);
    assert_text(scene, address_of(number), "0.1");
    assert_text(scene, address_of(number) | 1, "0.1"); /* a tagged reference */
    assert_text(scene, 0, "<unbound>");
    scene_free(scene);
}

static void test_containers(void **state) {
    (void)state;
    struct scene *scene = scene_new();
    uint32_t one = 1;
    uint64_t items[20];
    for (size_t i = 0; i < 20; i++)
        items[i] = address_of(make_int(scene, 1, &one, 1));
    assert_text(scene, address_of(make_list(scene, items, 2)), "[1, 1]");
    assert_text(scene, address_of(make_list(scene, items, 20)), "[1, 1, 1, 1, 1, 1, 1, 1, ... (20 items)]");
    uint64_t self;
    char *endless = make_list(scene, &self, 1);
    self = address_of(endless);
    assert_text(scene, self, "[[[...]]]");
    scene_free(scene);
}

/* Addresses that are nothing, counts that cannot be, and types that are none. */
static void test_hostile(void **state) {
    (void)state;
    struct scene *scene = scene_new();
    const struct sw_layout *layout = &scene->runtime.layout;
    uint64_t item = 8;
    static const uint64_t nothings[] = {8, 4096, 0x7ffffffffff0, UINT64_MAX & ~UINT64_C(7), 0x8000000000000000u};
    for (size_t i = 0; i < sizeof nothings / sizeof nothings[0]; i++)
        assert_text(scene, nothings[i], "<unreadable>");
    assert_text(scene, address_of(make_list(scene, &item, 1)), "[<unreadable>]");
    assert_text(scene, address_of(make_list(scene, &item, UINT64_MAX)), "[<unreadable>]");
    assert_text(scene, address_of(make_list(scene, NULL, 5)), "[<unreadable>]");
    char *text = make_str(scene, "x");
    put(text, layout->value.unicode_length, UINT64_MAX);
    struct sw_buf any = {0};
    assert_int_equal(sw_value_append(scene->reader, address_of(text), &any), SW_OK); /* of what lies behind it */
    assert_true(any.len < SW_VALUE_BYTES_MAX);
    sw_buf_release(&any);
    char *number = make(scene, INT);
    put(number, layout->value.long_tag, UINT64_MAX & ~UINT64_C(7));
    assert_int_equal(sw_value_append(scene->reader, address_of(number), &any), SW_OK);
    sw_buf_release(&any);
    char *dict = make(scene, DICT);
    char *keys = make(scene, NONE);
    put(dict, layout->value.dict_used, 3);
    put(dict, layout->value.dict_keys, address_of(keys));
    keys[layout->value.keys_log2_index_bytes] = 60;
    assert_text(scene, address_of(dict), "{<unreadable>}");
    put(scene->types[INSTANCE], layout->type.basicsize, 1);
    assert_text(scene, address_of(make(scene, INSTANCE)), "<unreadable>");
    scene_free(scene);
}

/* Every word of an object set to every kind of bad value: an answer, never a fault. */
static void test_damage(void **state) {
    (void)state;
    struct scene *scene = scene_new();
    uint64_t items[2];
    uint32_t digits[] = {5, 6};
    items[0] = address_of(make_int(scene, 1, digits, 2));
    items[1] = address_of(make_str(scene, "abc"));
    char *whole[] = {
        make_list(scene, items, 2), (char *)(uintptr_t)items[0], (char *)(uintptr_t)items[1], make(scene, DICT),
        make(scene, SET),           make(scene, TUPLE),          make(scene, BYTES)};
    const uint64_t bad[] = {0, 1, 8, UINT64_MAX, 1 << 20, address_of(scene), address_of(scene) + 3};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
        for (uint32_t at = 0; at < 64; at += 8)
            for (size_t j = 0; j < sizeof bad / sizeof bad[0]; j++) {
                uint64_t was;
                struct sw_buf text = {0};
                memcpy(&was, whole[i] + at, sizeof was);
                put(whole[i], at, bad[j]);
                assert_int_equal(sw_value_append(scene->reader, address_of(whole[i]), &text), SW_OK);
                assert_true(text.len > 0 && text.len < 2 * SW_VALUE_BYTES_MAX);
                put(whole[i], at, was);
                sw_buf_release(&text);
            }
    scene_free(scene);
}

static void test_out_of_memory(void **state) {
    (void)state;
    struct scene *scene = scene_new();
    uint64_t items[2] = {address_of(make_str(scene, "abc")), address_of(make_str(scene, "def"))};
    uint64_t list = address_of(make_list(scene, items, 2));
    bool was_refused = false;
    for (size_t nth = 1; nth < 40; nth++) {
        struct sw_buf text = {0};
        sw_mem_fail_at(nth);
        enum sw_status status = sw_value_append(scene->reader, list, &text);
        sw_mem_fail_at(0);
        was_refused |= status == SW_NOMEM;
        assert_true(status == SW_OK || status == SW_NOMEM);
        sw_buf_release(&text);
    }
    assert_true(was_refused);
    assert_text(scene, list, "['abc', 'def']");
    scene_free(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),  cmocka_unit_test(test_containers),    cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_damage), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
