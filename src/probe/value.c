/* value.c - Objects of a target as text: instances, functions, containers. */
#include "probe/value.h"

#include "probe/code.h"
#include "probe/value_impl.h"

static bool is_full(const struct sw_value_writer *writer) {
    return writer->status != SW_OK || writer->out->len - writer->start > SW_VALUE_BYTES_MAX;
}

/* <Class at 0x7f...>, with `what` and a name between when there are some. */
static void put_instance(struct sw_value_writer *writer, const char *name, uint64_t object) {
    if (writer->status == SW_OK)
        writer->status = sw_buf_append_format(writer->out, "<%s at 0x%llx>", name, (unsigned long long)object);
}

/* Appends the str at `address`, or "?" when there is none. */
static void name_put(struct sw_value_writer *writer, uint64_t address) {
    if (writer->status != SW_OK)
        return;
    enum sw_status status = sw_value_append_str(writer->objects, address, SW_VALUE_CHARS_MAX, writer->out);
    if (status == SW_NOMEM)
        writer->status = status;
    else if (status != SW_OK)
        sw_value_put_text(writer, "?");
}

/* <what NAME at 0x...>; the name is a str whose address is kept at `offset` behind the object's header. */
static void named_put(struct sw_value_writer *writer, uint64_t object, const char *what, uint32_t offset) {
    uint64_t name = 0;
    if (sw_object_word(writer->objects, object, offset, &name) != SW_OK)
        name = 0;
    sw_value_put_text(writer, "<");
    sw_value_put_text(writer, what);
    sw_value_put_text(writer, " ");
    name_put(writer, name);
    if (writer->status == SW_OK)
        writer->status = sw_buf_append_format(writer->out, " at 0x%llx>", (unsigned long long)object);
}

static void module_put(struct sw_value_writer *writer, uint64_t object) {
    uint64_t dict;
    uint64_t name = 0;
    if (sw_object_word(writer->objects, object, 0, &dict) != SW_OK ||
        sw_dict_get(writer->objects, dict, SW_STR("__name__"), &name) != SW_OK)
        name = 0;
    sw_value_put_text(writer, "<module '");
    name_put(writer, name);
    sw_value_put_text(writer, "'>");
}

/* A method of C: PyMethodDef begins with the name; m_self is the module for functions. */
static void builtin_put(struct sw_value_writer *writer, uint64_t object) {
    uint64_t method;
    uint64_t self;
    uint64_t name;
    char text[SW_TYPE_NAME_MAX];
    if (sw_object_word(writer->objects, object, 0, &method) != SW_OK ||
        sw_object_word(writer->objects, object, 8, &self) != SW_OK ||
        sw_objects_u64_at(writer->objects, method, &name) != SW_OK ||
        sw_object_c_string(writer->objects, name, text) != SW_OK) {
        sw_value_put_unreadable(writer);
        return;
    }
    const struct sw_type *type = sw_object_type(writer->objects, self);
    sw_value_put_text(writer, "<built-in ");
    sw_value_put_text(writer, text);
    if (type && !sw_type_is(type, "module")) {
        sw_value_put_text(writer, " of ");
        put_instance(writer, type->name, self);
    }
    sw_value_put_text(writer, ">");
}

static void method_put(struct sw_value_writer *writer, uint64_t object) {
    uint64_t function;
    uint64_t self;
    uint64_t name = 0;
    bool is_old = sw_objects_runtime(writer->objects)->version < 0x030a0000;
    if (sw_object_word(writer->objects, object, 0, &function) != SW_OK ||
        sw_object_word(writer->objects, object, 8, &self) != SW_OK ||
        sw_object_word(writer->objects, function, is_old ? 88 : 24, &name) != SW_OK) {
        sw_value_put_unreadable(writer);
        return;
    }
    const struct sw_type *type = sw_object_type(writer->objects, self);
    sw_value_put_text(writer, "<bound method ");
    name_put(writer, name);
    sw_value_put_text(writer, " of ");
    put_instance(writer, type ? type->name : "?", self);
    sw_value_put_text(writer, ">");
}

static void class_put(struct sw_value_writer *writer, uint64_t object) {
    char text[SW_TYPE_NAME_MAX];
    uint64_t name;
    uint64_t at = object + sw_objects_layout(writer->objects)->type.name;
    if (sw_objects_u64_at(writer->objects, at, &name) != SW_OK ||
        sw_object_c_string(writer->objects, name, text) != SW_OK) {
        sw_value_put_unreadable(writer);
        return;
    }
    sw_value_put_text(writer, "<class '");
    sw_value_put_text(writer, text);
    sw_value_put_text(writer, "'>");
}

/* Offsets behind the header: func_qualname stood last up to 3.9; generators keep names where the layout says. */
static bool named_object_put(struct sw_value_writer *writer, uint64_t object, const struct sw_type *type) {
    const struct sw_runtime *runtime = sw_objects_runtime(writer->objects);
    uint32_t generator_name = runtime->layout.generator.qualname - runtime->layout.object.size;
    if (type->flags & SW_TYPE_TYPE)
        class_put(writer, object);
    else if (sw_type_is(type, "function"))
        named_put(writer, object, "function", runtime->version < 0x030a0000 ? 88 : 24);
    else if (sw_type_is(type, "coroutine") || sw_type_is(type, "generator") || sw_type_is(type, "async_generator"))
        named_put(writer, object, type->name, generator_name);
    else if (sw_type_is(type, "module"))
        module_put(writer, object);
    else if (sw_type_is(type, "builtin_function_or_method"))
        builtin_put(writer, object);
    else if (sw_type_is(type, "method"))
        method_put(writer, object);
    else
        return false;
    return true;
}

/* Each level knows the one below: depth, and how many levels there are, bound it without recursion over the target. */
struct nesting {
    unsigned depth;
    void (*put)(struct sw_value_writer *writer, uint64_t object, unsigned depth);
};

static void items_put(struct sw_value_writer *writer, uint64_t object, const struct nesting *inner) {
    struct sw_items items = {0};
    const struct sw_type *type = sw_object_type(writer->objects, object);
    bool is_dict = type && type->flags & SW_TYPE_DICT; /* read anew: it may have changed meanwhile */
    bool is_tuple = type && type->flags & SW_TYPE_TUPLE;
    if (sw_object_items(writer->objects, object, SW_VALUE_ITEMS_MAX, &items) != SW_OK) {
        sw_value_put_unreadable(writer);
        sw_items_release(&items);
        return;
    }
    for (size_t i = 0; i < items.count && !is_full(writer); i++) {
        if (i > 0)
            sw_value_put_text(writer, ", ");
        if (is_dict) {
            inner->put(writer, items.items[i].key, inner->depth);
            sw_value_put_text(writer, ": ");
        }
        inner->put(writer, items.items[i].value, inner->depth);
    }
    if (items.total > items.count && writer->status == SW_OK)
        writer->status = sw_buf_append_format(writer->out, "%s... (%llu items)", items.count > 0 ? ", " : "",
                                              (unsigned long long)items.total);
    else if (items.total == 1 && is_tuple)
        sw_value_put_text(writer, ",");
    sw_items_release(&items);
}

/* Opening and closing of a container's text; NULL: it is none. */
static const char *const *brackets_of(const struct sw_type *type) {
    static const char *const list[] = {"[", "]"};
    static const char *const tuple[] = {"(", ")"};
    static const char *const dict[] = {"{", "}"};
    static const char *const set[] = {"{", "}"};
    static const char *const frozenset[] = {"frozenset({", "})"};
    if (type->flags & SW_TYPE_LIST)
        return list;
    if (type->flags & SW_TYPE_TUPLE)
        return tuple;
    if (type->flags & SW_TYPE_DICT)
        return dict;
    if (sw_type_is(type, "set"))
        return set;
    return sw_type_is(type, "frozenset") ? frozenset : NULL;
}

static bool is_empty_set(struct sw_value_writer *writer, uint64_t object, const struct sw_type *type) {
    uint64_t used;
    uint64_t at = object + sw_objects_layout(writer->objects)->value.set_used;
    return (sw_type_is(type, "set") || sw_type_is(type, "frozenset")) &&
           sw_objects_u64_at(writer->objects, at, &used) == SW_OK && used == 0;
}

/* Classes of a program, and those of C modules, which have a dot in their name; the builtins are neither. */
static bool is_own_class(const struct sw_type *type) {
    return (type->flags & SW_TYPE_HEAP || strchr(type->name, '.')) && !(type->flags & SW_TYPE_TYPE);
}

static void object_put(struct sw_value_writer *writer, uint64_t object, unsigned depth) {
    const struct sw_type *type = sw_object_type(writer->objects, object);
    if (!type) {
        sw_value_put_unreadable(writer);
        return;
    }
    struct nesting inner = {depth + 1, object_put};
    const char *const *brackets = brackets_of(type);
    bool is_exception = type->flags & SW_TYPE_EXCEPTION;
    bool is_wrapped =
        is_own_class(type) && (brackets || type->flags & (SW_TYPE_LONG | SW_TYPE_UNICODE | SW_TYPE_BYTES));
    if (is_wrapped) {
        sw_value_put_text(writer, type->name);
        sw_value_put_text(writer, "(");
    }
    if (brackets && is_empty_set(writer, object, type)) {
        sw_value_put_text(writer, sw_type_is(type, "set") ? "set()" : "frozenset()");
    } else if (brackets) {
        sw_value_put_text(writer, brackets[0]);
        if (depth < SW_VALUE_DEPTH_MAX)
            items_put(writer, object, &inner);
        else
            sw_value_put_text(writer, "...");
        sw_value_put_text(writer, brackets[1]);
    } else if (is_exception) {
        uint64_t args;
        sw_value_put_text(writer, type->name);
        if (depth < SW_VALUE_DEPTH_MAX && sw_object_word(writer->objects, object, 8, &args) == SW_OK)
            object_put(writer, args, depth + 1);
    } else if (!sw_value_put_plain(writer, object, type) && !named_object_put(writer, object, type)) {
        put_instance(writer, type->name, object);
    }
    if (is_wrapped)
        sw_value_put_text(writer, ")");
}

enum sw_status sw_value_append(struct sw_objects *objects, uint64_t slot, struct sw_buf *out) {
    struct sw_value_writer writer = {.objects = objects, .out = out, .start = out->len};
    int64_t number;
    if (sw_ref_is_int(objects, slot, &number))
        return sw_buf_append_format(out, "%lld", (long long)number);
    uint64_t object = sw_ref_object(slot);
    if (object == 0)
        return sw_buf_append(out, SW_STR("<unbound>"));
    object_put(&writer, object, 0);
    return writer.status;
}

enum sw_status sw_value_append_str(struct sw_objects *objects, uint64_t object, size_t max_chars, struct sw_buf *out) {
    size_t start = out->len;
    const struct sw_type *type = sw_object_type(objects, object);
    if (!type || !(type->flags & SW_TYPE_UNICODE))
        return SW_IO;
    enum sw_status status = sw_read_unicode(sw_objects_runtime(objects), object, max_chars, out);
    for (size_t i = start; i < out->len && status == SW_OK; i++)
        if ((unsigned char)out->ptr[i] < 0x20 || out->ptr[i] == 0x7f)
            out->ptr[i] = '?';
    return status;
}
