/* groups.h - The distinct keys of a stream and their dense ids, shared by all threads.
 *
 * A key of several columns is joined with the byte 0x1f (unit separator). Adding locks; reading a key by an id that came with a
 * batch does not: entries never move. Ids are given to other keys only through sw_groups_reuse, by a stream whose keys come and go (such as
 * processes), when the old key has not been in a window for longer than windows are kept.
 */
#ifndef SW_ENGINE_GROUPS_H
#define SW_ENGINE_GROUPS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/status.h"
#include "base/str.h"

#define SW_KEY_SEPARATOR '\x1f'
#define SW_GROUPS_CHUNK 1024u

struct sw_group {
    struct sw_str key;
    uint64_t prefix;     /* the first 8 bytes, big-endian, so that most comparisons are one of integers */
    uint32_t shard;      /* 0..1023, from the key's hash */
    uint32_t key_room;   /* bytes allocated behind key.ptr */
    uint32_t generation; /* how often the id was given to another key */
};

/* What workers write at every window is apart from what other threads read at every row. */
struct sw_groups_chunk {
    struct sw_group groups[SW_GROUPS_CHUNK];
    char apart[64];                           /* a cache line */
    _Atomic int64_t seen_ns[SW_GROUPS_CHUNK]; /* start of the last closed window a key was in; INT64_MIN before */
};

struct sw_groups {
    pthread_mutex_t lock;
    struct sw_map ids;
    struct sw_arena keys;
    struct sw_groups_chunk **chunks; /* owned; allocated at init for `limit` */
    uint32_t limit;
    uint32_t hand; /* where the next search for an id to use again begins */
    _Atomic uint32_t count;
};

SW_MUST_USE enum sw_status sw_groups_init(struct sw_groups *groups, uint32_t limit);
void sw_groups_release(struct sw_groups *groups);
/* The id of `key`, new or known. SW_LIMIT when it is new and the limit is reached. */
SW_MUST_USE enum sw_status sw_groups_intern(struct sw_groups *groups, struct sw_str key, uint32_t *id);
/* Gives `key` the id of a key last seen before `before_ns`; SW_LIMIT where there is none. All intakes' knowledge of the old key must be
 * dropped by the caller, so only the sole intake of a stream may ask. */
SW_MUST_USE enum sw_status sw_groups_reuse(struct sw_groups *groups, struct sw_str key, int64_t before_ns,
                                           uint32_t *id);
/* The id of a known key; SW_NOTFOUND otherwise. Any thread. */
SW_MUST_USE enum sw_status sw_groups_find(struct sw_groups *groups, struct sw_str key, uint32_t *id);
uint32_t sw_groups_count(const struct sw_groups *groups);

static inline const struct sw_group *sw_groups_get(const struct sw_groups *groups, uint32_t id) {
    return &groups->chunks[id / SW_GROUPS_CHUNK]->groups[id % SW_GROUPS_CHUNK];
}

static inline _Atomic int64_t *sw_groups_seen(const struct sw_groups *groups, uint32_t id) {
    return &groups->chunks[id / SW_GROUPS_CHUNK]->seen_ns[id % SW_GROUPS_CHUNK];
}

/* The key was in the closed window that began at `start_ns`. */
static inline void sw_groups_saw(const struct sw_groups *groups, uint32_t id, int64_t start_ns) {
    atomic_store_explicit(sw_groups_seen(groups, id), start_ns, memory_order_relaxed);
}

/* Order of output rows: by the bytes of the key. */
static inline bool sw_group_before(const struct sw_group *a, const struct sw_group *b) {
    return a->prefix != b->prefix ? a->prefix < b->prefix : sw_str_compare(a->key, b->key) < 0;
}

#endif
