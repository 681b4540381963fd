/* code.c - Code objects of a target: a cache by address, validated by fingerprint.
 *
 * Compiling the same text again (exec, eval, importlib.reload) gives new code objects with the same content: name, file
 * and lines are stored once.
 */
#include "probe/code.h"

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "probe/code_impl.h"

#define FIRST_SLOTS 256
#define READ_TRIES 2
#define TYPE_NAME_BYTES 5

struct entry {
    struct sw_code code; /* first: a code handed out is its entry */
    int64_t checked_ns;
    uint64_t epoch; /* of the cache when the header was last found unchanged */
};

struct slot {
    uint64_t address;    /* 0: free */
    struct entry *entry; /* NULL: dropped */
};

struct sw_code_cache {
    const struct sw_runtime *runtime;
    struct slot *slots; /* open addressing; addresses stay, their entries change */
    size_t slot_count, slot_cap;
    struct sw_map contents; /* 16-byte hash of name, file and lines -> entry */
    struct sw_arena arena;
    struct sw_buf text, table, lines; /* scratch */
    uint64_t type;                    /* address of PyCode_Type, once a code object was seen */
    uint64_t epoch, drops;
    uint32_t last_id;
};

/* What a code object's header says. */
struct header {
    unsigned char bytes[SW_CODE_HEADER_MAX];
    uint64_t fingerprint;
};

static uint64_t fingerprint(const struct sw_layout *layout, const unsigned char *bytes) {
    const uint32_t offsets[] = {layout->object.ob_type, layout->code.filename,    layout->code.name,
                                layout->code.linetable, layout->code.firstlineno, layout->code.qualname,
                                layout->code.version};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        bool is_int = offsets[i] == layout->code.firstlineno || offsets[i] == layout->code.version;
        if (offsets[i] != SW_ABSENT) {
            hash =
                sw_hash_u64(hash * 31 + (is_int ? sw_bytes_u32(bytes, offsets[i]) : sw_bytes_u64(bytes, offsets[i])));
        }
    }
    return hash;
}

static bool is_layout_usable(const struct sw_layout *layout) {
    const uint32_t ends[] = {layout->object.ob_type + 8, layout->code.filename + 8, layout->code.linetable + 8,
                             layout->code.firstlineno + 4, layout->code.name + 8};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends[i] > layout->code.size) {
            return false;
        }
    }
    return layout->code.size <= SW_CODE_HEADER_MAX &&
           (layout->code.qualname == SW_ABSENT || layout->code.qualname + 8 <= layout->code.size) &&
           (layout->code.version == SW_ABSENT || layout->code.version + 4 <= layout->code.size);
}

static enum sw_status read_header(struct sw_code_cache *cache, uint64_t address, struct header *header) {
    const struct sw_layout *layout = &cache->runtime->layout;
    enum sw_status status = sw_target_read(cache->runtime->target, address, header->bytes, layout->code.size);
    if (status == SW_OK) {
        header->fingerprint = fingerprint(layout, header->bytes);
    }
    return status;
}

/* The first code object tells where its type is: a type named "code". */
static enum sw_status check_type(struct sw_code_cache *cache, const struct header *header) {
    const struct sw_runtime *runtime = cache->runtime;
    uint64_t type = sw_bytes_u64(header->bytes, runtime->layout.object.ob_type);
    if (cache->type != 0 || runtime->layout.type.name == SW_ABSENT) {
        return cache->type == 0 || type == cache->type ? SW_OK : SW_IO;
    }
    uint64_t name = 0;
    char text[TYPE_NAME_BYTES];
    enum sw_status status = sw_target_read_u64(runtime->target, type + runtime->layout.type.name, &name);
    if (status == SW_OK) {
        status = sw_target_read(runtime->target, name, text, sizeof(text));
    }
    if (status == SW_OK && memcmp(text, "code", sizeof(text)) != 0) {
        return SW_IO;
    }
    cache->type = status == SW_OK ? type : 0;
    return status;
}

static enum sw_status read_table(struct sw_code_cache *cache, uint64_t address) {
    const struct sw_runtime *runtime = cache->runtime;
    uint64_t len = 0;
    enum sw_status status = sw_target_read_u64(runtime->target, address + runtime->layout.object.var_size, &len);
    if (status == SW_OK && len > SW_CODE_TABLE_MAX) {
        return SW_IO;
    }
    sw_buf_clear(&cache->table);
    if (status == SW_OK) {
        status = sw_buf_reserve(&cache->table, len);
    }
    if (status == SW_OK && len > 0) {
        status = sw_target_read(runtime->target, address + runtime->layout.value.bytes_value, cache->table.ptr, len);
    }
    cache->table.len = status == SW_OK ? len : 0;
    return status;
}

/* Name and file into `text`, the line table into `table`. *name_len is where the file begins in `text`. */
static enum sw_status read_content(struct sw_code_cache *cache, const struct header *header, size_t *name_len) {
    const struct sw_layout *layout = &cache->runtime->layout;
    uint32_t name = layout->code.qualname != SW_ABSENT ? layout->code.qualname : layout->code.name;
    sw_buf_clear(&cache->text);
    enum sw_status status =
        sw_read_unicode(cache->runtime, sw_bytes_u64(header->bytes, name), SW_CODE_TEXT_MAX, &cache->text);
    *name_len = cache->text.len;
    if (status == SW_OK) {
        status = sw_read_unicode(cache->runtime, sw_bytes_u64(header->bytes, layout->code.filename), SW_CODE_TEXT_MAX,
                                 &cache->text);
    }
    if (status == SW_OK) {
        status = read_table(cache, sw_bytes_u64(header->bytes, layout->code.linetable));
    }
    return status;
}

static enum sw_status store_content(struct sw_code_cache *cache, struct sw_code *code, size_t name_len) {
    struct sw_line_table table = {
        .kind = cache->runtime->layout.code.lines,
        .bytes = (const unsigned char *)cache->table.ptr,
        .len = cache->table.len,
        .first_line = code->first_line,
    };
    sw_buf_clear(&cache->lines);
    enum sw_status status = sw_code_lines_decode(&table, &cache->lines, &code->size_bytes);
    if (status != SW_OK) {
        return status;
    }
    struct sw_code_line *lines = sw_arena_alloc(&cache->arena, cache->lines.len);
    struct sw_str text = sw_arena_copy(&cache->arena, sw_buf_view(&cache->text));
    if (!lines || !text.ptr) {
        return SW_NOMEM;
    }
    memcpy(lines, cache->lines.ptr, cache->lines.len);
    code->name = sw_str_make(text.ptr, name_len);
    code->file = sw_str_skip(text, name_len);
    code->lines = lines;
    code->line_count = cache->lines.len / sizeof(*lines);
    return SW_OK;
}

/* Fills name, file and lines: those of an equal code object seen before, else new ones. */
static enum sw_status fill_content(struct sw_code_cache *cache, struct entry *entry, size_t name_len) {
    struct sw_code *code = &entry->code;
    uint64_t seed = (uint64_t)(uint32_t)code->first_line << 32 | name_len;
    uint64_t key[2] = {
        sw_hash_bytes(cache->text.ptr, cache->text.len, seed),
        cache->table.len > 0 ? sw_hash_bytes(cache->table.ptr, cache->table.len, seed) : 0,
    };
    struct sw_str bytes = sw_str_make((const char *)key, sizeof(key));
    uint64_t known = 0;
    if (sw_map_get(&cache->contents, bytes, &known)) {
        const struct sw_code *same = &((const struct entry *)(uintptr_t)known)->code;
        code->name = same->name;
        code->file = same->file;
        code->lines = same->lines;
        code->line_count = same->line_count;
        code->size_bytes = same->size_bytes;
        return SW_OK;
    }
    enum sw_status status = store_content(cache, code, name_len);
    return status == SW_OK ? sw_map_put(&cache->contents, bytes, (uint64_t)(uintptr_t)entry) : status;
}

/* The header is read again behind the content: what died meanwhile, and whose memory is in use again, is not taken. */
static enum sw_status read_code(struct sw_code_cache *cache, uint64_t address, struct entry **out) {
    struct header before;
    struct header after;
    size_t name_len = 0;
    enum sw_status status = read_header(cache, address, &before);
    if (status == SW_OK) {
        status = check_type(cache, &before);
    }
    if (status == SW_OK) {
        status = read_content(cache, &before, &name_len);
    }
    if (status == SW_OK) {
        status = read_header(cache, address, &after);
    }
    if (status != SW_OK || before.fingerprint != after.fingerprint) {
        return status == SW_OK ? SW_IO : status;
    }
    struct entry *entry = sw_arena_alloc(&cache->arena, sizeof(*entry));
    if (!entry) {
        return SW_NOMEM;
    }
    *entry = (struct entry){.epoch = cache->epoch};
    entry->code.address = address;
    entry->code.fingerprint = after.fingerprint;
    entry->code.first_line = sw_bytes_i32(after.bytes, cache->runtime->layout.code.firstlineno);
    status = fill_content(cache, entry, name_len);
    if (status == SW_OK) {
        entry->code.id = ++cache->last_id;
        *out = entry;
    }
    return status;
}

static struct slot *find_slot(struct slot *slots, size_t cap, uint64_t address) {
    size_t at = sw_hash_u64(address) & (cap - 1);
    while (slots[at].address != 0 && slots[at].address != address) {
        at = (at + 1) & (cap - 1);
    }
    return &slots[at];
}

static enum sw_status grow_slots(struct sw_code_cache *cache) {
    size_t cap = cache->slot_cap ? cache->slot_cap * 2 : FIRST_SLOTS;
    struct slot *slots = sw_alloc_array_zero(cap, sizeof(*slots));
    if (!slots) {
        return SW_NOMEM;
    }
    for (size_t i = 0; i < cache->slot_cap; i++) {
        if (cache->slots[i].address != 0) {
            *find_slot(slots, cap, cache->slots[i].address) = cache->slots[i];
        }
    }
    sw_free(cache->slots);
    cache->slots = slots;
    cache->slot_cap = cap;
    return SW_OK;
}

static void drop(struct sw_code_cache *cache, struct slot *slot) {
    slot->entry = NULL;
    cache->drops++;
}

/* Whether a suspected entry is the one at its address still. */
static enum sw_status recheck(struct sw_code_cache *cache, struct slot *slot) {
    struct header header;
    enum sw_status status = read_header(cache, slot->address, &header);
    if (status == SW_OK && header.fingerprint == slot->entry->code.fingerprint) {
        slot->entry->epoch = cache->epoch;
    } else {
        drop(cache, slot);
    }
    return status == SW_CLOSED ? status : SW_OK;
}

enum sw_status sw_code_cache_new(struct sw_code_cache **cache, const struct sw_runtime *runtime) {
    if (!is_layout_usable(&runtime->layout)) {
        return SW_UNSUPPORTED;
    }
    struct sw_code_cache *made = sw_alloc_zero(sizeof(*made));
    if (!made) {
        return SW_NOMEM;
    }
    made->runtime = runtime;
    enum sw_status status = grow_slots(made);
    if (status != SW_OK) {
        sw_free(made);
        return status;
    }
    *cache = made;
    return SW_OK;
}

void sw_code_cache_free(struct sw_code_cache *cache) {
    if (!cache) {
        return;
    }
    sw_free(cache->slots);
    sw_map_release(&cache->contents);
    sw_arena_release(&cache->arena);
    sw_buf_release(&cache->text);
    sw_buf_release(&cache->table);
    sw_buf_release(&cache->lines);
    sw_free(cache);
}

enum sw_status sw_code_get(struct sw_code_cache *cache, uint64_t address, const struct sw_code **code) {
    enum sw_status status = SW_OK;
    if (address == 0) {
        return SW_IO;
    }
    if (cache->slot_count * 2 >= cache->slot_cap) {
        status = grow_slots(cache);
    }
    struct slot *slot = find_slot(cache->slots, cache->slot_cap, address);
    if (status == SW_OK && slot->entry && slot->entry->epoch != cache->epoch) {
        status = recheck(cache, slot);
    }
    if (status != SW_OK) {
        return status;
    }
    struct entry *entry = slot->entry;
    for (int i = 0; !entry && i < READ_TRIES; i++) {
        status = read_code(cache, address, &entry);
    }
    if (!entry) {
        return status;
    }
    cache->slot_count += slot->address == 0;
    *slot = (struct slot){address, entry};
    *code = &entry->code;
    return SW_OK;
}

bool sw_code_check(struct sw_code_cache *cache, uint64_t address, const void *header) {
    struct slot *slot = find_slot(cache->slots, cache->slot_cap, address);
    if (!slot->entry) {
        return false;
    }
    if (fingerprint(&cache->runtime->layout, header) == slot->entry->code.fingerprint) {
        slot->entry->epoch = cache->epoch;
        return true;
    }
    drop(cache, slot);
    return false;
}

/* Nothing is forgotten yet: each entry's header is read again before it is used again. */
void sw_code_forget_all(struct sw_code_cache *cache) {
    cache->epoch++;
    cache->drops++;
}

int32_t sw_code_line(const struct sw_code *code, int32_t offset) {
    if (offset < 0) {
        return code->first_line;
    }
    if ((uint32_t)offset >= code->size_bytes) {
        return 0;
    }
    size_t low = 0; /* the first line starts at 0, so it is at or before the offset */
    for (size_t high = code->line_count; high - low > 1;) {
        size_t middle = low + (high - low) / 2;
        if (code->lines[middle].start <= (uint32_t)offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return code->lines[low].line;
}

int64_t *sw_code_checked_ns(const struct sw_code *code) {
    return &((struct entry *)(uintptr_t)code)->checked_ns;
}

uint64_t sw_code_drops(const struct sw_code_cache *cache) {
    return cache->drops;
}
