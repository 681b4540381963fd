/* groups.c - Dense ids for keys; see groups.h. */
#include "engine/groups.h"

#include "base/hash.h"
#include "base/mem.h"

#define SHARDS 1024u

static uint64_t key_prefix(struct sw_str key) {
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < key.len ? (unsigned char)key.ptr[i] : 0);
    return prefix;
}

/* Copies `key` into the room of the group's old key, or into new memory where that is too small. */
static enum sw_status group_name(struct sw_groups *groups, struct sw_group *group, struct sw_str key) {
    if (key.len > group->key_room || !group->key.ptr) {
        struct sw_str copy = sw_arena_copy(&groups->keys, key);
        if (!copy.ptr)
            return SW_NOMEM;
        group->key_room = (uint32_t)key.len;
        group->key = copy;
    } else {
        char *room = (char *)(uintptr_t)group->key.ptr;
        memcpy(room, key.ptr, key.len);
        group->key.len = key.len;
    }
    group->prefix = key_prefix(key);
    group->shard = (uint32_t)(sw_hash_bytes(key.ptr, key.len, 0) % SHARDS);
    return SW_OK;
}

/* Called with the lock held; `id` is the next free one. */
static enum sw_status group_add(struct sw_groups *groups, struct sw_str key, uint32_t id) {
    struct sw_groups_chunk **chunk = &groups->chunks[id / SW_GROUPS_CHUNK];
    if (!*chunk) {
        *chunk = sw_alloc_zero(sizeof **chunk);
        if (!*chunk)
            return SW_NOMEM;
    }
    struct sw_group *group = &(*chunk)->groups[id % SW_GROUPS_CHUNK];
    atomic_store_explicit(sw_groups_seen(groups, id), INT64_MIN, memory_order_relaxed);
    enum sw_status status = group_name(groups, group, key);
    if (status == SW_OK)
        status = sw_map_put(&groups->ids, key, id);
    if (status == SW_OK)
        atomic_store_explicit(&groups->count, id + 1, memory_order_release);
    return status;
}

/* An id whose key was last in a window that began before `before_ns`; UINT32_MAX without one. */
static uint32_t group_unused(struct sw_groups *groups, int64_t before_ns) {
    uint32_t count = atomic_load_explicit(&groups->count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = groups->hand++ % count;
        int64_t seen_ns = atomic_load_explicit(sw_groups_seen(groups, id), memory_order_relaxed);
        if (seen_ns != INT64_MIN && seen_ns < before_ns)
            return id;
    }
    return UINT32_MAX;
}

enum sw_status sw_groups_init(struct sw_groups *groups, uint32_t limit) {
    *groups = (struct sw_groups){.limit = limit};
    groups->chunks = sw_alloc_array_zero(limit / SW_GROUPS_CHUNK + 1, sizeof *groups->chunks);
    if (!groups->chunks)
        return SW_NOMEM;
    pthread_mutex_init(&groups->lock, NULL);
    return SW_OK;
}

void sw_groups_release(struct sw_groups *groups) {
    if (!groups->chunks)
        return;
    for (uint32_t i = 0; i <= groups->limit / SW_GROUPS_CHUNK; i++)
        sw_free(groups->chunks[i]);
    sw_free(groups->chunks);
    sw_map_release(&groups->ids);
    sw_arena_release(&groups->keys);
    pthread_mutex_destroy(&groups->lock);
    *groups = (struct sw_groups){0};
}

enum sw_status sw_groups_intern(struct sw_groups *groups, struct sw_str key, uint32_t *id) {
    enum sw_status status = SW_OK;
    uint64_t known = 0;
    pthread_mutex_lock(&groups->lock);
    if (!sw_map_get(&groups->ids, key, &known)) {
        known = atomic_load_explicit(&groups->count, memory_order_relaxed);
        status = known < groups->limit ? group_add(groups, key, (uint32_t)known) : SW_LIMIT;
    }
    pthread_mutex_unlock(&groups->lock);
    if (status == SW_OK)
        *id = (uint32_t)known;
    return status;
}

enum sw_status sw_groups_reuse(struct sw_groups *groups, struct sw_str key, int64_t before_ns, uint32_t *id) {
    enum sw_status status = SW_LIMIT;
    pthread_mutex_lock(&groups->lock);
    uint32_t unused = group_unused(groups, before_ns);
    if (unused != UINT32_MAX) {
        struct sw_group *group = &groups->chunks[unused / SW_GROUPS_CHUNK]->groups[unused % SW_GROUPS_CHUNK];
        sw_map_remove(&groups->ids, group->key);
        atomic_store_explicit(sw_groups_seen(groups, unused), INT64_MIN, memory_order_relaxed);
        group->generation++;
        status = group_name(groups, group, key);
        if (status == SW_OK)
            status = sw_map_put(&groups->ids, key, unused);
        if (status != SW_OK) /* the id means nothing now: whoever asks next may have it */
            atomic_store_explicit(sw_groups_seen(groups, unused), INT64_MIN + 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&groups->lock);
    if (status == SW_OK)
        *id = unused;
    return status;
}

enum sw_status sw_groups_find(struct sw_groups *groups, struct sw_str key, uint32_t *id) {
    uint64_t known = 0;
    pthread_mutex_lock(&groups->lock);
    bool is_known = sw_map_get(&groups->ids, key, &known);
    pthread_mutex_unlock(&groups->lock);
    if (!is_known)
        return SW_NOTFOUND;
    *id = (uint32_t)known;
    return SW_OK;
}

uint32_t sw_groups_count(const struct sw_groups *groups) {
    return atomic_load_explicit(&groups->count, memory_order_acquire);
}
