/* arena.c - Many small allocations freed together, carved from blocks that double in size. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define ALIGN 16
#define FIRST_BLOCK_BYTES 4096
#define LARGEST_BLOCK_BYTES (size_t)(256 * 1024)

struct sw_arena_block {
    struct sw_arena_block *next;
    size_t cap; /* of `bytes` */
    alignas(ALIGN) char bytes[];
};

static struct sw_arena_block *block_new(struct sw_arena *arena, size_t cap) {
    size_t size_bytes;
    if (__builtin_add_overflow(cap, sizeof(struct sw_arena_block), &size_bytes)) {
        return NULL;
    }
    struct sw_arena_block *block = sw_alloc_aligned(ALIGN, size_bytes);
    if (block) {
        block->next = NULL;
        block->cap = cap;
        arena->total_bytes += size_bytes;
    }
    return block;
}

static void *alloc_slow(struct sw_arena *arena, size_t size_bytes) {
    size_t cap = FIRST_BLOCK_BYTES - sizeof(struct sw_arena_block);
    if (arena->head) {
        size_t doubled = (arena->head->cap + sizeof(struct sw_arena_block)) * 2;
        doubled = doubled < LARGEST_BLOCK_BYTES ? doubled : LARGEST_BLOCK_BYTES;
        cap = doubled > cap ? doubled - sizeof(struct sw_arena_block) : cap;
    }
    /* What would fill a quarter of the next block gets its own, behind the head, whose free space stays in use. */
    if (arena->head && size_bytes > cap / 4) {
        struct sw_arena_block *own = block_new(arena, size_bytes);
        if (!own) {
            return NULL;
        }
        own->next = arena->head->next;
        arena->head->next = own;
        return own->bytes;
    }
    struct sw_arena_block *block = block_new(arena, size_bytes > cap ? size_bytes : cap);
    if (!block) {
        return NULL;
    }
    block->next = arena->head;
    arena->head = block;
    arena->used = size_bytes;
    return block->bytes;
}

static void free_chain(struct sw_arena_block *block) {
    while (block) {
        struct sw_arena_block *next = block->next;
        sw_free(block);
        block = next;
    }
}

void sw_arena_release(struct sw_arena *arena) {
    free_chain(arena->head);
    *arena = (struct sw_arena){0};
}

void sw_arena_reset(struct sw_arena *arena) {
    if (!arena->head) {
        return;
    }
    free_chain(arena->head->next);
    arena->head->next = NULL;
    arena->used = 0;
    arena->total_bytes = arena->head->cap + sizeof(struct sw_arena_block);
}

void *sw_arena_alloc(struct sw_arena *arena, size_t size_bytes) {
    if (size_bytes > SIZE_MAX / 2) {
        return NULL;
    }
    size_bytes = size_bytes ? (size_bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    if (!arena->head || size_bytes > arena->head->cap - arena->used) {
        return alloc_slow(arena, size_bytes);
    }
    char *ptr = arena->head->bytes + arena->used;
    arena->used += size_bytes;
    return ptr;
}

struct sw_str sw_arena_copy(struct sw_arena *arena, struct sw_str text) {
    char *ptr = text.len < SIZE_MAX ? sw_arena_alloc(arena, text.len + 1) : NULL;
    if (!ptr) {
        return sw_str_make(NULL, 0);
    }
    if (text.len > 0) {
        memcpy(ptr, text.ptr, text.len);
    }
    ptr[text.len] = '\0';
    return sw_str_make(ptr, text.len);
}
