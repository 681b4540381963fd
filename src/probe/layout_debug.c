/* layout_debug.c - A layout from the target's own _Py_DebugOffsets (3.13 on), each offset checked against its size.
 *
 * The bytes are another process's and may be anything. Every structure's size comes first; an offset must lie inside of
 * it, and a size must be believable, else the whole is refused.
 */
#include <inttypes.h>
#include <string.h>

#include "probe/layout_impl.h"

#define COOKIE "xdebugpy"
#define COOKIE_BYTES 8
#define STRUCT_BYTES_MAX (64u << 20) /* _PyRuntimeState of 3.15 is 0.4 MiB, its interpreters' 0.25 MiB */
#define STRUCT_BYTES_MIN 8
#define FIELDS_MAX 128

enum field_kind {
    FIELD_SIZE,    /* of the structure whose fields follow */
    FIELD_OFFSET,  /* in that structure */
    FIELD_LENGTH,  /* of something that begins the structure or is a part of it: at most its size */
    FIELD_IGNORED, /* no offset: a count, or of a structure whose size is not said */
};

/* One word of _Py_DebugOffsets: what it is, and where in struct sw_layout it goes. */
struct field {
    const char *name;
    enum field_kind kind;
    uint16_t to; /* offset in struct sw_layout */
    uint16_t since;
};

#define NOWHERE UINT16_MAX
#define TO(member) (uint16_t) offsetof(struct sw_layout, member)
#define SIZE(name, since) \
    { name ".size", FIELD_SIZE, NOWHERE, since }
#define SIZE_TO(name, member, since) \
    { name ".size", FIELD_SIZE, TO(member), since }
#define FIELD(name, member, since) \
    { name, FIELD_OFFSET, TO(member), since }
#define UNUSED(name, since) \
    { name, FIELD_OFFSET, NOWHERE, since }

/* In the order of the structure. A row whose `since` is above the target's minor version is not there. */
static const struct field fields[] = {
    SIZE("runtime_state", 13),
    FIELD("finalizing", runtime.finalizing, 13),
    FIELD("interpreters_head", runtime.interpreters_head, 13),
    SIZE_TO("interpreter_state", interpreter.size, 13),
    FIELD("interpreter_state.id", interpreter.id, 13),
    FIELD("interpreter_state.next", interpreter.next, 13),
    FIELD("threads_head", interpreter.threads_head, 13),
    FIELD("threads_main", interpreter.threads_main, 14),
    FIELD("gc", interpreter.gc, 13),
    FIELD("imports_modules", interpreter.modules, 13),
    FIELD("sysdict", interpreter.sysdict, 13),
    FIELD("builtins", interpreter.builtins, 13),
    FIELD("ceval_gil", interpreter.ceval_gil, 13),
    UNUSED("gil_runtime_state", 13),
    UNUSED("gil_runtime_state_enabled", 13),
    UNUSED("gil_runtime_state_locked", 13),
    UNUSED("gil_runtime_state_holder", 13),
    FIELD("code_object_generation", interpreter.code_object_generation, 14),
    UNUSED("tlbc_generation", 14),
    SIZE("thread_state", 13),
    FIELD("thread_state.prev", thread.prev, 13),
    FIELD("thread_state.next", thread.next, 13),
    FIELD("interp", thread.interp, 13),
    FIELD("current_frame", thread.frame, 13),
    FIELD("base_frame", thread.base_frame, 15),
    UNUSED("last_profiled_frame", 15),
    UNUSED("last_profiled_frame_seq", 15),
    FIELD("thread_id", thread.thread_id, 13),
    FIELD("native_thread_id", thread.native_thread_id, 13),
    FIELD("datastack_chunk", thread.datastack_chunk, 13),
    FIELD("status", thread.status, 13),
    FIELD("holds_gil", thread.holds_gil, 15),
    FIELD("gil_requested", thread.gil_requested, 15),
    FIELD("current_exception", thread.current_exception, 15),
    UNUSED("exc_state", 15),
    {"exc_value", FIELD_IGNORED, NOWHERE, 15},
    SIZE("interpreter_frame", 13),
    FIELD("previous", frame.previous, 13),
    FIELD("executable", frame.code, 13),
    FIELD("instr_ptr", frame.ip, 13),
    FIELD("localsplus", frame.localsplus, 13),
    FIELD("owner", frame.owner, 13),
    FIELD("stackpointer", frame.stacktop, 14),
    FIELD("tlbc_index", frame.tlbc_index, 14),
    SIZE("code_object", 13),
    FIELD("filename", code.filename, 13),
    FIELD("code_object.name", code.name, 13),
    FIELD("qualname", code.qualname, 13),
    FIELD("linetable", code.linetable, 13),
    FIELD("firstlineno", code.firstlineno, 13),
    FIELD("argcount", code.argcount, 13),
    FIELD("localsplusnames", code.localsplusnames, 13),
    FIELD("localspluskinds", code.localspluskinds, 13),
    FIELD("co_code_adaptive", code.code, 13),
    FIELD("co_tlbc", code.tlbc, 14),
    SIZE_TO("pyobject", object.size, 13),
    FIELD("ob_type", object.ob_type, 13),
    SIZE_TO("type_object", type.size, 13),
    FIELD("tp_name", type.name, 13),
    UNUSED("tp_repr", 13),
    FIELD("tp_flags", type.flags, 13),
    FIELD("tp_basicsize", type.basicsize, 15),
    FIELD("tp_dictoffset", type.dictoffset, 15),
    SIZE("heap_type_object", 15),
    FIELD("ht_cached_keys", type.cached_keys, 15),
    SIZE("tuple_object", 13),
    FIELD("tuple_object.ob_item", value.tuple_item, 13),
    FIELD("tuple_object.ob_size", object.var_size, 13),
    SIZE("list_object", 13),
    FIELD("list_object.ob_item", value.list_item, 13),
    UNUSED("list_object.ob_size", 13),
    SIZE("set_object", 14),
    FIELD("used", value.set_used, 14),
    FIELD("table", value.set_table, 14),
    FIELD("mask", value.set_mask, 14),
    SIZE("dict_object", 13),
    FIELD("ma_keys", value.dict_keys, 13),
    FIELD("ma_values", value.dict_values, 13),
    SIZE("float_object", 13),
    FIELD("ob_fval", value.float_value, 13),
    SIZE("long_object", 13),
    FIELD("lv_tag", value.long_tag, 13),
    FIELD("ob_digit", value.long_digit, 13),
    SIZE("bytes_object", 13),
    UNUSED("bytes_object.ob_size", 13),
    FIELD("ob_sval", value.bytes_value, 13),
    SIZE("unicode_object", 13),
    FIELD("state", value.unicode_state, 13),
    FIELD("length", value.unicode_length, 13),
    {"asciiobject_size", FIELD_LENGTH, TO(value.unicode_ascii), 13},
    {"compactunicodeobject_size", FIELD_LENGTH, TO(value.unicode_compact), 15},
    SIZE("gc", 13),
    FIELD("collecting", gc.collecting, 13),
    FIELD("gc.frame", gc.frame, 15),
    {"generation_stats_size", FIELD_IGNORED, NOWHERE, 15},
    FIELD("generation_stats", gc.generation_stats, 15),
    SIZE("gen_object", 14),
    FIELD("gi_name", generator.name, 14),
    FIELD("gi_iframe", generator.frame, 14),
    FIELD("gi_frame_state", generator.frame_state, 14),
    {"llist_node.next", FIELD_IGNORED, TO(llist.next), 14},
    {"llist_node.prev", FIELD_IGNORED, TO(llist.prev), 14},
};

_Static_assert(sizeof fields / sizeof fields[0] <= FIELDS_MAX, "more fields than FIELDS_MAX");

struct reader {
    const unsigned char *bytes;
    size_t size_bytes;
    struct sw_layout *layout;
    uint64_t struct_bytes; /* of the structure whose fields are being read */
};

static uint64_t word_at(const void *bytes, size_t index) {
    uint64_t word;
    memcpy(&word, (const unsigned char *)bytes + index * sizeof word, sizeof word);
    return word;
}

static bool is_field_possible(const struct reader *reader, const struct field *field, uint64_t value) {
    switch (field->kind) {
    case FIELD_SIZE:
        return value >= STRUCT_BYTES_MIN && value <= STRUCT_BYTES_MAX;
    case FIELD_OFFSET:
        return value < reader->struct_bytes;
    case FIELD_LENGTH:
        return value <= reader->struct_bytes;
    case FIELD_IGNORED:
        return field->to == NOWHERE || value <= 4096;
    }
    return false;
}

/* An absent field (such as tlbc_index in a build with the GIL) is written as 0 by the target; our table knows it to be
 * absent. */
static void field_store(const struct reader *reader, const struct field *field, uint64_t value) {
    uint32_t offset = (uint32_t)value, known;
    if (field->to == NOWHERE)
        return;
    memcpy(&known, (const unsigned char *)reader->layout + field->to, sizeof known);
    if (known == SW_ABSENT && offset == 0)
        offset = SW_ABSENT;
    memcpy((unsigned char *)reader->layout + field->to, &offset, sizeof offset);
}

static uint32_t larger(uint32_t extent, uint32_t offset) {
    return offset != SW_ABSENT && offset + 8 > extent ? offset + 8 : extent;
}

/* Recomputes what follows from the offsets. Fails where what is read together would not fit a read of a page. */
static bool sizes_derive(struct sw_layout *layout) {
    const uint32_t thread[] = {
        layout->thread.prev,          layout->thread.next,          layout->thread.interp,
        layout->thread.frame,         layout->thread.thread_id,     layout->thread.native_thread_id,
        layout->thread.status,        layout->thread.datastack_top, layout->thread.datastack_chunk,
        layout->thread.holds_gil,     layout->thread.exc_info,      layout->thread.current_exception,
        layout->thread.gil_requested, layout->thread.base_frame,
    };
    const uint32_t frame[] = {
        layout->frame.code, layout->frame.previous, layout->frame.ip, layout->frame.stacktop, layout->frame.tlbc_index,
    };
    const uint32_t code[] = {
        layout->code.filename, layout->code.name,        layout->code.qualname,        layout->code.linetable,
        layout->code.argcount, layout->code.firstlineno, layout->code.localsplusnames, layout->code.localspluskinds,
        layout->code.version,  layout->code.flags,       layout->code.nlocalsplus,     layout->code.tlbc,
    };
    layout->thread.datastack_top = layout->thread.datastack_chunk + 8;
    uint32_t thread_bytes = larger(0, layout->thread.datastack_top), frame_bytes = 0, code_bytes = 0;
    for (size_t i = 0; i < sizeof thread / sizeof thread[0]; i++)
        thread_bytes = larger(thread_bytes, thread[i]);
    for (size_t i = 0; i < sizeof frame / sizeof frame[0]; i++)
        frame_bytes = larger(frame_bytes, frame[i]);
    for (size_t i = 0; i < sizeof code / sizeof code[0]; i++)
        code_bytes = larger(code_bytes, code[i]);
    layout->thread.size = thread_bytes;
    layout->frame.size = layout->frame.localsplus;
    layout->code.size = layout->code.code;
    /* The last fields may be shorter than a word, so a word's end may lie behind what follows them. */
    return thread_bytes <= 4096 && frame_bytes <= layout->frame.size + 7 && layout->frame.size <= 1024 &&
           layout->frame.owner < layout->frame.size && code_bytes <= layout->code.size + 7 && layout->code.size <= 1024;
}

static enum sw_status version_check(const void *bytes, size_t size_bytes, struct sw_error *err) {
    if (size_bytes < 3 * sizeof(uint64_t) || memcmp(bytes, COOKIE, COOKIE_BYTES) != 0)
        return sw_fail(err, SW_MALFORMED, "no debug offsets: the cookie is missing");
    uint64_t version = word_at(bytes, 1), free_threaded = word_at(bytes, 2);
    if (version > UINT32_MAX || version >> 24 != 3 || free_threaded > 1)
        return sw_fail(err, SW_MALFORMED, "the debug offsets name the impossible version %#" PRIx64, version);
    if ((version >> 16 & 255) > SW_MINOR_LAST)
        return sw_fail(err, SW_UNSUPPORTED,
                       "CPython 3.%u is newer than this sidewinder, which knows 3.%d to 3.%d; update sidewinder",
                       (unsigned)(version >> 16 & 255), SW_MINOR_FIRST, SW_MINOR_LAST);
    return SW_OK;
}

static enum sw_status fields_read(struct reader *reader, unsigned minor, struct sw_error *err) {
    size_t word = 3;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct field *field = &fields[i];
        if (field->since > minor)
            continue;
        if ((word + 1) * sizeof(uint64_t) > reader->size_bytes)
            return sw_fail(err, SW_MALFORMED, "the debug offsets end before %s", field->name);
        uint64_t value = word_at(reader->bytes, word++);
        if (!is_field_possible(reader, field, value))
            return sw_fail(err, SW_MALFORMED, "the debug offsets say %s = %" PRIu64 ", which is impossible",
                           field->name, value);
        if (field->kind == FIELD_SIZE)
            reader->struct_bytes = value;
        field_store(reader, field, value);
    }
    return SW_OK;
}

enum sw_status sw_layout_from_debug(const void *bytes, size_t size_bytes, struct sw_layout *layout,
                                    struct sw_error *err) {
    enum sw_status status = version_check(bytes, size_bytes, err);
    if (status != SW_OK)
        return status;
    uint32_t version = (uint32_t)word_at(bytes, 1);
    const struct sw_layout *table = sw_layout_table(version, word_at(bytes, 2) == 1);
    if (!table)
        return sw_fail(err, SW_MALFORMED, "the debug offsets name version %#x, which has none", version);
    struct sw_layout made = *table;
    struct reader reader = {.bytes = bytes, .size_bytes = size_bytes, .layout = &made};
    status = fields_read(&reader, version >> 16 & 255, err);
    if (status != SW_OK)
        return status;
    if (!sizes_derive(&made))
        return sw_fail(err, SW_MALFORMED, "the debug offsets place fields behind their structures");
    *layout = made;
    return SW_OK;
}

enum sw_status sw_layout_add_asyncio(const void *bytes, struct sw_layout *layout) {
    uint64_t words[SW_ASYNCIO_DEBUG_BYTES / 8];
    memcpy(words, bytes, sizeof words);
    uint64_t task = words[0], interpreter = words[7], thread = words[9];
    if (task < 32 || task > 4096 || interpreter > STRUCT_BYTES_MAX || thread > STRUCT_BYTES_MAX)
        return SW_MALFORMED;
    for (size_t i = 1; i < 7; i++)
        if (words[i] >= task)
            return SW_MALFORMED;
    if (words[8] >= interpreter || words[10] >= thread || words[11] >= thread || words[12] >= thread)
        return SW_MALFORMED;
    layout->asyncio.task_name = (uint32_t)words[1];
    layout->asyncio.task_awaited_by = (uint32_t)words[2];
    layout->asyncio.task_is_task = (uint32_t)words[3];
    layout->asyncio.task_awaited_by_is_set = (uint32_t)words[4];
    layout->asyncio.task_coro = (uint32_t)words[5];
    layout->asyncio.task_node = (uint32_t)words[6];
    layout->asyncio.interp_tasks_head = (uint32_t)words[8];
    layout->asyncio.thread_running_loop = (uint32_t)words[10];
    layout->asyncio.thread_running_task = (uint32_t)words[11];
    layout->asyncio.thread_tasks_head = (uint32_t)words[12];
    layout->asyncio.is_known = true;
    return SW_OK;
}
