/* test_stack.c - The stack reader on a CPython 3.12 made of arrays in this process: whole stacks, and every kind of ruin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "probe/stack_impl.h"

#define V3_12 0x030c01f0u

enum { DEPTH = 40, FRAME_BYTES = 136, CHUNK_BYTES = 16384, DEEP = 20000, INNER = DEPTH - 1 };

/* Frames in a data stack of one chunk, behind an entry from C that is not in it. */
struct fake {
    struct sw_target target;
    struct sw_runtime runtime;
    const struct sw_layout *layout;
    unsigned char globals[8192], interpreter[262144], thread[4096], gil[512], cframe[64], shim[256];
    unsigned char code[512], name[128], file[128], table[128], type[512];
    _Alignas(16) unsigned char chunk[CHUNK_BYTES];
};

static uint64_t address_of(const void *at) {
    return (uint64_t)(uintptr_t)at;
}

static void put(unsigned char *at, uint64_t value) {
    memcpy(at, &value, sizeof(value));
}

static void put_text(const struct fake *fake, unsigned char *at, const char *text) {
    put(at + fake->layout->value.unicode_length, strlen(text));
    uint32_t state = (1u | 1u << 3 | 1u << 4) << fake->layout->value.unicode_kind_shift;
    memcpy(at + fake->layout->value.unicode_state, &state, sizeof(state));
    memcpy(at + fake->layout->value.unicode_ascii, text, strlen(text));
}

static void make_code(struct fake *fake) {
    const struct sw_layout *layout = fake->layout;
    put_text(fake, fake->name, "f");
    put_text(fake, fake->file, "f.py");
    put(fake->table + layout->object.var_size, 5);
    memcpy(fake->table + layout->value.bytes_value, "\x83\x00\xd8\x00\x00", 5); /* 8 bytes line 10, 2 bytes line 11 */
    put(fake->type + layout->type.name, address_of("code"));
    put(fake->code + layout->object.ob_type, address_of(fake->type));
    uint32_t first_line = 10;
    memcpy(fake->code + layout->code.firstlineno, &first_line, sizeof(first_line));
    put(fake->code + layout->code.filename, address_of(fake->file));
    put(fake->code + layout->code.name, address_of(fake->name));
    put(fake->code + layout->code.qualname, address_of(fake->name));
    put(fake->code + layout->code.linetable, address_of(fake->table));
}

/* Frame 0 is the outermost. */
static unsigned char *frame_at(struct fake *fake, size_t index) {
    return fake->chunk + 32 + index * FRAME_BYTES;
}

static void make_frames(struct fake *fake) {
    const struct sw_layout *layout = fake->layout;
    memset(fake->chunk, 0, sizeof(fake->chunk));
    put(fake->chunk + 8, CHUNK_BYTES);
    put(fake->shim + layout->frame.previous, 0);
    fake->shim[layout->frame.owner] = (unsigned char)layout->frame.owners.cstack;
    for (size_t i = 0; i < DEPTH; i++) {
        unsigned char *frame = frame_at(fake, i);
        put(frame + layout->frame.code, address_of(fake->code));
        put(frame + layout->frame.previous, address_of(i > 0 ? frame_at(fake, i - 1) : fake->shim));
        put(frame + layout->frame.ip, address_of(fake->code) + layout->code.code + (i == INNER ? 8 : 2));
    }
    put(fake->cframe + layout->thread.cframe_current, address_of(frame_at(fake, INNER)));
    put(fake->thread + layout->thread.datastack_chunk, address_of(fake->chunk));
    put(fake->thread + layout->thread.datastack_top, address_of(frame_at(fake, DEPTH)));
    put(fake->thread + layout->thread.frame, address_of(fake->cframe));
}

static void fake_open(struct fake *fake) {
    struct sw_error err;
    memset(fake, 0, sizeof(*fake));
    assert_int_equal(sw_target_open(&fake->target, getpid(), &err), SW_OK);
    fake->layout = sw_layout_for(V3_12, false);
    assert_non_null(fake->layout);
    const struct sw_layout *layout = fake->layout;
    assert_true(layout->interpreter.size <= sizeof(fake->interpreter) || layout->interpreter.size == SW_ABSENT ||
                layout->interpreter.ceval_gil + 8 <= sizeof(fake->interpreter));
    fake->runtime = (struct sw_runtime){.target = &fake->target,
                                        .address = address_of(fake->globals),
                                        .version = V3_12,
                                        .layout = *layout};
    put(fake->globals + layout->runtime.interpreters_head, address_of(fake->interpreter));
    put(fake->interpreter + layout->interpreter.threads_head, address_of(fake->thread));
    put(fake->interpreter + layout->interpreter.ceval_gil, address_of(fake->gil));
    put(fake->thread + layout->thread.interp, address_of(fake->interpreter));
    put(fake->thread + layout->thread.native_thread_id, (uint64_t)getpid());
    put(fake->gil + layout->gil.last_holder, address_of(fake->thread));
    put(fake->gil + layout->gil.locked, 1);
    make_code(fake);
    make_frames(fake);
}

static const struct sw_stack *read_one(struct sw_stack_reader *reader) {
    const struct sw_stack *stacks = NULL;
    size_t count = 0;
    assert_int_equal(sw_stack_read(reader, NULL, 0, &stacks, &count), SW_OK);
    assert_int_equal(count, 1);
    return stacks;
}

static struct sw_stack_reader *reader_of(struct fake *fake, bool has_marks) {
    struct sw_stack_reader *reader = NULL;
    struct sw_stack_options options = {.has_marks = has_marks};
    assert_int_equal(sw_stack_reader_new(&reader, &fake->runtime, &options), SW_OK);
    return reader;
}

static struct fake fake;

static void whole_stack_is_exact(void **state) {
    fake_open(&fake);
    struct sw_stack_reader *reader = reader_of(&fake, false);
    for (int round = 0; round < 3; round++) {
        const struct sw_stack *stack = read_one(reader);
        assert_int_equal(stack->quality, SW_STACK_EXACT);
        assert_int_equal(stack->frame_count, DEPTH);
        assert_int_equal(stack->omitted, 0);
        assert_true(stack->holds_gil);
        for (size_t i = 0; i < DEPTH; i++) {
            assert_int_equal(stack->frames[i].line, i == 0 ? 11 : 10);
            assert_int_equal(stack->frames[i].offset, i == 0 ? 8 : 2);
            assert_int_equal(stack->frames[i].address, address_of(frame_at(&fake, INNER - i)));
            assert_true(sw_str_eq(stack->frames[i].code->name, SW_STR("f")));
        }
    }
    assert_int_equal(sw_stack_counts(reader).exact, 3);
    sw_stack_reader_free(reader);
    sw_target_close(&fake.target);
}

static void fingerprint_follows_lines(void **state) {
    fake_open(&fake);
    struct sw_stack_reader *reader = reader_of(&fake, false);
    uint64_t before = read_one(reader)->fingerprint;
    uint64_t start = address_of(fake.code) + fake.layout->code.code;
    put(frame_at(&fake, 3) + fake.layout->frame.ip, start + 4); /* the same line */
    assert_int_equal(read_one(reader)->fingerprint, before);
    put(frame_at(&fake, 3) + fake.layout->frame.ip, start + 8);
    assert_int_not_equal(read_one(reader)->fingerprint, before);
    put(frame_at(&fake, INNER) + fake.layout->frame.ip, start - 2); /* a frame that runs nothing yet */
    assert_int_equal(read_one(reader)->frames[0].line, 10);
    assert_int_equal(read_one(reader)->frames[0].offset, -2);
    sw_stack_reader_free(reader);
    sw_target_close(&fake.target);
}

static void marks_show_entries(void **state) {
    fake_open(&fake);
    struct sw_stack_reader *reader = reader_of(&fake, true);
    const struct sw_stack *stack = read_one(reader);
    assert_int_equal(stack->frame_count, DEPTH + 1);
    assert_null(stack->frames[DEPTH].code);
    assert_int_equal(stack->frames[DEPTH].address, address_of(fake.shim));
    sw_stack_reader_free(reader);
    sw_target_close(&fake.target);
}

/* Ruin of the frame with this index: it cannot be told what is further in. */
enum ruin { CIRCLE, WILD, ODD, NO_OWNER, NO_CODE, GENERATOR_AT_REST, FOREIGN_IP };

static void apply(enum ruin ruin, size_t index) {
    const struct sw_layout *layout = fake.layout;
    unsigned char *frame = frame_at(&fake, index);
    const uint64_t previous[] = {[CIRCLE] = address_of(frame_at(&fake, index + 2)),
                                 [WILD] = 0x7f0000000000,
                                 [ODD] = address_of(frame_at(&fake, index - 1)) + 1,
                                 [GENERATOR_AT_REST] = 0};
    if (ruin == NO_OWNER) {
        frame[layout->frame.owner] = 77;
    } else if (ruin == NO_CODE) {
        put(frame + layout->frame.code, 0);
    } else if (ruin == FOREIGN_IP) {
        put(frame + layout->frame.ip, 12345678);
    } else {
        put(frame + layout->frame.previous, previous[ruin]);
    }
}

static void ruined_stacks_give_their_outer_frames(void **state) {
    const enum ruin ruins[] = {CIRCLE, WILD, ODD, NO_OWNER, NO_CODE, GENERATOR_AT_REST, FOREIGN_IP};
    for (size_t i = 0; i < sizeof(ruins) / sizeof(ruins[0]); i++) {
        fake_open(&fake);
        struct sw_stack_reader *reader = reader_of(&fake, false);
        assert_int_equal(read_one(reader)->quality, SW_STACK_EXACT);
        apply(ruins[i], 25);
        const struct sw_stack *stack = read_one(reader);
        assert_int_equal(stack->quality, SW_STACK_PARTIAL);
        assert_int_equal(stack->frame_count, 25); /* frames 0 to 24 */
        assert_int_equal(stack->frames[0].address, address_of(frame_at(&fake, 24)));
        make_frames(&fake);
        assert_int_equal(read_one(reader)->quality, SW_STACK_EXACT);
        sw_stack_reader_free(reader);
        sw_target_close(&fake.target);
    }
}

static void ruin_at_first_sight_fails(void **state) {
    const enum ruin ruins[] = {CIRCLE, WILD, ODD, NO_OWNER, NO_CODE, GENERATOR_AT_REST};
    for (size_t i = 0; i < sizeof(ruins) / sizeof(ruins[0]); i++) {
        fake_open(&fake);
        struct sw_stack_reader *reader = reader_of(&fake, false);
        apply(ruins[i], 25);
        const struct sw_stack *stack = read_one(reader);
        assert_int_equal(stack->quality, SW_STACK_FAILED);
        assert_int_equal(stack->frame_count, 0);
        sw_stack_reader_free(reader);
        sw_target_close(&fake.target);
    }
}

static void thread_without_python_code_is_empty(void **state) {
    fake_open(&fake);
    const struct sw_layout *layout = fake.layout;
    struct sw_stack_reader *reader = reader_of(&fake, false);
    put(fake.cframe + layout->thread.cframe_current, 0); /* a _PyCFrame that is being filled: not believed */
    assert_int_equal(read_one(reader)->quality, SW_STACK_FAILED);
    unsigned char *own = fake.thread + 272; /* root_cframe */
    put(own + layout->thread.cframe_current, 0);
    put(fake.thread + layout->thread.frame, address_of(own));
    assert_int_equal(read_one(reader)->quality, SW_STACK_EMPTY);
    sw_stack_reader_free(reader);
    sw_target_close(&fake.target);
}

/* The caller and the callee of different moments: the caller runs, or stands where no generator is resumed. */
static void what_cannot_have_called_is_torn(void **state) {
    for (int round = 0; round < 2; round++) {
        fake_open(&fake);
        const struct sw_layout *layout = fake.layout;
        struct sw_stack_reader *reader = reader_of(&fake, false);
        assert_int_equal(read_one(reader)->quality, SW_STACK_EXACT);
        int32_t running = -1;
        if (round == 0)
            memcpy(frame_at(&fake, INNER - 1) + layout->frame.stacktop, &running, sizeof(running));
        else
            frame_at(&fake, INNER)[layout->frame.owner] = (unsigned char)layout->frame.owners.generator;
        const struct sw_stack *stack = read_one(reader);
        assert_int_equal(stack->quality, SW_STACK_PARTIAL);
        assert_int_equal(stack->frame_count, INNER);
        assert_int_equal(stack->frames[0].address, address_of(frame_at(&fake, INNER - 1)));
        sw_stack_reader_free(reader);
        sw_target_close(&fake.target);
    }
}

/* Frames outside of the data stack, as those of generators are, and more than are shown. */
static void deep_stack_keeps_both_ends(void **state) {
    fake_open(&fake);
    const struct sw_layout *layout = fake.layout;
    unsigned char *frames = sw_alloc_zero((size_t)DEEP * 128);
    assert_non_null(frames);
    fake.code[layout->code.code] = (unsigned char)layout->opcode.send; /* each awaits the next one */
    for (size_t i = 0; i < DEEP; i++) {
        unsigned char *frame = frames + i * 128;
        put(frame + layout->frame.code, address_of(fake.code));
        put(frame + layout->frame.ip, address_of(fake.code) + layout->code.code + 2);
        put(frame + layout->frame.previous, address_of(i > 0 ? frame - 128 : fake.shim));
        frame[layout->frame.owner] = (unsigned char)layout->frame.owners.generator;
    }
    put(fake.cframe + layout->thread.cframe_current, address_of(frames + (DEEP - 1) * (size_t)128));
    struct sw_stack_reader *reader = reader_of(&fake, false);
    const struct sw_stack *stack = read_one(reader);
    assert_int_equal(stack->quality, SW_STACK_EXACT);
    assert_true(stack->frame_count == SW_STACK_DEPTH_MAX || stack->frame_count == SW_STACK_DEPTH_MAX - 1);
    assert_int_equal(stack->frame_count + stack->omitted, DEEP);
    assert_int_equal(stack->frames[0].address, address_of(frames + (DEEP - 1) * (size_t)128));
    assert_int_equal(stack->frames[stack->frame_count - 1].address, address_of(frames));
    sw_stack_reader_free(reader);
    sw_free(frames);
    sw_target_close(&fake.target);
}

static void lack_of_memory_is_told(void **state) {
    fake_open(&fake);
    bool is_done = false;
    for (size_t nth = 1; !is_done; nth++) {
        struct sw_stack_reader *reader = NULL;
        const struct sw_stack *stacks = NULL;
        size_t count = 0;
        sw_mem_fail_at(nth);
        enum sw_status status = sw_stack_reader_new(&reader, &fake.runtime, NULL);
        if (status == SW_OK) {
            status = sw_stack_read(reader, NULL, 0, &stacks, &count);
        }
        sw_mem_fail_at(0);
        is_done = status == SW_OK;
        assert_true(is_done || status == SW_NOMEM);
        if (reader) { /* and the next read finds all in order */
            assert_int_equal(read_one(reader)->quality, SW_STACK_EXACT);
        }
        sw_stack_reader_free(reader);
        assert_true(nth < 200);
    }
    sw_target_close(&fake.target);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_stack_is_exact),
        cmocka_unit_test(fingerprint_follows_lines),
        cmocka_unit_test(marks_show_entries),
        cmocka_unit_test(ruined_stacks_give_their_outer_frames),
        cmocka_unit_test(ruin_at_first_sight_fails),
        cmocka_unit_test(thread_without_python_code_is_empty),
        cmocka_unit_test(what_cannot_have_called_is_torn),
        cmocka_unit_test(deep_stack_keeps_both_ends),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
