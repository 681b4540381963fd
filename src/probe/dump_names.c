/* dump_names.c - Names of a process's threads, and those in which no Python code runs. */
#include "base/mem.h"
#include "probe/dump_impl.h"
#include "probe/value.h"

#define NAME_CHARS_MAX 200

static struct sw_dump_thread *thread_of(struct sw_dump *dump, uint32_t interpreter, uint64_t pthread) {
    for (size_t i = 0; i < dump->thread_count; i++)
        if (dump->threads[i].interpreter == interpreter && dump->threads[i].stack->thread.pthread == pthread)
            return &dump->threads[i];
    return NULL;
}

/* threading._active: {ident: Thread}, whose _name is the name. */
static enum sw_status names_of_interpreter(struct sw_dump *dump, uint32_t index, struct sw_buf *text) {
    static const char *const path[] = {"threading", "_active"};
    const struct sw_thread_list *list = sw_stack_threads(dump->reader);
    struct sw_items items = {0};
    uint64_t active;
    enum sw_status status = sw_module_attribute(dump->objects, list->interpreters[index].address, path, &active);
    if (status == SW_OK)
        status = sw_object_items(dump->objects, active, SW_ITEMS_MAX, &items);
    for (size_t i = 0; i < items.count && status == SW_OK; i++) {
        int64_t ident;
        uint64_t name;
        struct sw_dump_thread *thread = NULL;
        if (sw_object_i64(dump->objects, items.items[i].key, &ident) == SW_OK)
            thread = thread_of(dump, index, (uint64_t)ident);
        sw_buf_clear(text);
        if (thread && sw_object_attribute(dump->objects, items.items[i].value, SW_STR("_name"), &name) == SW_OK &&
            sw_value_append_str(dump->objects, name, NAME_CHARS_MAX, text) == SW_OK)
            status = sw_dump_keep(dump, sw_buf_view(text), &thread->name);
    }
    sw_items_release(&items);
    return status == SW_NOMEM ? status : SW_OK; /* threading may not be imported */
}

static enum sw_status os_name_read(struct sw_dump *dump, int32_t tid, struct sw_str *kept) {
    char name[16];
    if (tid <= 0 || sw_target_thread_name(dump->runtime->target, tid, name) != SW_OK)
        return SW_OK;
    for (char *at = name; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    return sw_dump_keep(dump, sw_str_from(name), kept);
}

enum sw_status sw_dump_name_threads(struct sw_dump *dump) {
    struct sw_buf text = {0};
    enum sw_status status = SW_OK;
    const struct sw_thread_list *list = sw_stack_threads(dump->reader);
    for (uint32_t i = 0; i < list->interpreter_count && status == SW_OK; i++)
        status = names_of_interpreter(dump, i, &text);
    for (size_t i = 0; i < dump->thread_count && status == SW_OK; i++)
        status = os_name_read(dump, dump->threads[i].tid, &dump->threads[i].os_name);
    sw_buf_release(&text);
    return status;
}

static bool is_python(const struct sw_dump *dump, int32_t tid) {
    for (size_t i = 0; i < dump->thread_count; i++)
        if (dump->threads[i].tid == tid)
            return true;
    return false;
}

/* Unless the tid of some Python thread is unknown: then nothing can be said of the others. */
enum sw_status sw_dump_list_others(struct sw_dump *dump) {
    int32_t *tids = NULL;
    size_t count = 0;
    size_t cap = 0;
    if (is_python(dump, 0))
        return SW_OK;
    enum sw_status status = sw_target_threads(dump->runtime->target, &tids, &count, &cap);
    dump->others = status == SW_OK ? sw_alloc_array_zero(count, sizeof *dump->others) : NULL;
    if (status == SW_OK && !dump->others)
        status = SW_NOMEM;
    for (size_t i = 0; i < count && status == SW_OK; i++) {
        if (is_python(dump, tids[i]))
            continue;
        struct sw_dump_other *other = &dump->others[dump->other_count++];
        other->tid = tids[i];
        status = os_name_read(dump, tids[i], &other->name);
    }
    sw_free(tids);
    return status;
}
