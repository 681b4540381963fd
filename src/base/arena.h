/* arena.h - Many small allocations freed together. Zero is a valid empty arena. One thread owns it. */
#ifndef SW_BASE_ARENA_H
#define SW_BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct sw_arena_block;

struct sw_arena {
    struct sw_arena_block *head; /* the block being filled */
    size_t used;                 /* bytes used in it */
    size_t total_bytes;          /* of all blocks, for memory accounting */
};

void sw_arena_release(struct sw_arena *arena);
void sw_arena_reset(struct sw_arena *arena); /* frees all but one block; what was allocated is gone */
/* 16-byte aligned, not zeroed; NULL when out of memory. Addresses stay valid until reset or release. */
void *sw_arena_alloc(struct sw_arena *arena, size_t size_bytes);
/* A NUL-terminated copy; ptr is NULL when out of memory. */
struct sw_str sw_arena_copy(struct sw_arena *arena, struct sw_str text);

#endif
