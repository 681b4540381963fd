/* slab.c - Blocks of shared memory that one process fills and others hold: warm, reused, freed by whoever holds them. */
#include "pool/slab.h"

#include <sys/mman.h>

#define WARM_BYTES (UINT64_C(256) << 20)
#define PAGE_BYTES UINT64_C(4096)

static unsigned log2_floor(uint64_t value) {
    return 63u - (unsigned)__builtin_clzll(value);
}

/* Four steps to the octave: 16, 20, 24, 28, 32, 40, ... KiB. `size` becomes that of the class. */
static unsigned class_of(uint64_t *size) {
    uint64_t wanted = *size < SW_SLAB_BLOCK_BYTES ? SW_SLAB_BLOCK_BYTES : *size;
    unsigned octave = log2_floor(wanted);
    uint64_t step = UINT64_C(1) << (octave - 2);
    uint64_t steps = (wanted + step - 1) / step; /* 4 to 8 */
    *size = steps * step;
    return (octave - log2_floor(SW_SLAB_BLOCK_BYTES)) * 4 + (unsigned)(steps - 4);
}

static void push_free(struct sw_slab_arena *arena, uint32_t number) {
    struct sw_slab_block *block = &arena->shared->blocks[number];
    uint64_t size = block->size;
    unsigned class = class_of(&size);
    atomic_store_explicit(&block->next, arena->free[class], memory_order_relaxed);
    arena->free[class] = number + 1;
}

static void free_block(struct sw_slab_arena *arena, uint32_t number) {
    struct sw_slab_block *block = &arena->shared->blocks[number];
    atomic_store_explicit(&block->state, SW_SLAB_FREE, memory_order_relaxed);
    arena->out -= block->size < arena->out ? block->size : arena->out;
    if (arena->warm + block->size > arena->warm_limit)
        madvise(arena->base + block->offset, block->size, MADV_REMOVE); /* at worst the pages stay */
    else
        arena->warm += block->size;
    push_free(arena, number);
}

void sw_slab_open(struct sw_slab_arena *arena, struct sw_slab_shared *shared, unsigned char *base, uint64_t size) {
    *arena = (struct sw_slab_arena){.shared = shared, .base = base, .size = size, .warm_limit = WARM_BYTES};
    uint32_t count = atomic_load(&shared->count);
    for (uint32_t i = 0; i < count; i++) {
        if (atomic_load_explicit(&shared->blocks[i].state, memory_order_relaxed) == SW_SLAB_FREE)
            push_free(arena, i);
        else
            arena->out += shared->blocks[i].size;
    }
}

void sw_slab_collect(struct sw_slab_arena *arena) {
    struct sw_slab_shared *shared = arena->shared;
    if (atomic_load_explicit(&shared->returned, memory_order_relaxed) == 0)
        return;
    uint32_t link = atomic_exchange_explicit(&shared->returned, 0, memory_order_acquire);
    for (uint32_t turn = 0; link != 0 && link <= SW_SLAB_BLOCKS && turn < SW_SLAB_BLOCKS; turn++) {
        struct sw_slab_block *block = &shared->blocks[link - 1];
        uint32_t next = atomic_load_explicit(&block->next, memory_order_relaxed);
        if (atomic_load_explicit(&block->state, memory_order_relaxed) == SW_SLAB_RETURNED)
            free_block(arena, link - 1);
        link = next;
    }
}

/* A new block: written whole before the count makes it one, so that a death between leaves a gap and nothing else. */
static enum sw_status cut_block(struct sw_slab_arena *arena, uint64_t size, uint32_t *number) {
    struct sw_slab_shared *shared = arena->shared;
    uint32_t count = atomic_load_explicit(&shared->count, memory_order_relaxed);
    if (count == SW_SLAB_BLOCKS || size > arena->size - shared->used)
        return SW_NOMEM;
    struct sw_slab_block *block = &shared->blocks[count];
    block->offset = shared->used;
    block->size = size;
    atomic_store_explicit(&block->state, SW_SLAB_FILLED, memory_order_relaxed);
    shared->used += size;
    atomic_store_explicit(&shared->count, count + 1, memory_order_release);
    *number = count;
    return SW_OK;
}

enum sw_status sw_slab_take(struct sw_slab_arena *arena, uint64_t size, uint32_t *number) {
    if (size > UINT64_C(1) << 44)
        return SW_NOMEM;
    sw_slab_collect(arena);
    unsigned class = class_of(&size);
    uint32_t link = arena->free[class];
    if (link) {
        struct sw_slab_block *block = &arena->shared->blocks[link - 1];
        arena->free[class] = atomic_load_explicit(&block->next, memory_order_relaxed);
        arena->warm -= block->size < arena->warm ? block->size : arena->warm;
        atomic_store_explicit(&block->state, SW_SLAB_FILLED, memory_order_relaxed);
        *number = link - 1;
    } else {
        enum sw_status status = cut_block(arena, size, number);
        if (status != SW_OK)
            return status;
    }
    arena->shared->blocks[*number].chain = 0;
    arena->shared->blocks[*number].holder = 0;
    arena->shared->blocks[*number].stamp = 0;
    arena->out += size;
    return SW_OK;
}

void sw_slab_give(struct sw_slab_arena *arena, uint32_t number) {
    free_block(arena, number);
}

unsigned char *sw_slab_data(const struct sw_slab_shared *shared, unsigned char *base, uint32_t number, uint64_t size) {
    if (number >= SW_SLAB_BLOCKS || number >= atomic_load_explicit(&shared->count, memory_order_acquire) ||
        size > shared->blocks[number].size)
        return NULL;
    return base + shared->blocks[number].offset;
}

bool sw_slab_hold(struct sw_slab_shared *shared, uint32_t number) {
    uint32_t filled = SW_SLAB_FILLED;
    return atomic_compare_exchange_strong(&shared->blocks[number].state, &filled, SW_SLAB_HELD);
}

void sw_slab_return(struct sw_slab_shared *shared, uint32_t number) {
    struct sw_slab_block *block = &shared->blocks[number];
    atomic_store_explicit(&block->state, SW_SLAB_RETURNED, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&shared->returned, memory_order_relaxed);
    do {
        atomic_store_explicit(&block->next, head, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&shared->returned, &head, number + 1, memory_order_release,
                                                    memory_order_relaxed));
}

void sw_slab_reclaim(struct sw_slab_arena *arena, uint32_t holder, uint32_t stamp) {
    struct sw_slab_shared *shared = arena->shared;
    uint32_t count = atomic_load(&shared->count);
    for (uint32_t i = 0; i < count; i++) {
        const struct sw_slab_block *block = &shared->blocks[i];
        uint32_t state = atomic_load(&block->state);
        bool is_unread = state == SW_SLAB_FILLED && stamp && block->stamp == stamp;
        if (block->holder == holder && (state == SW_SLAB_HELD || state == SW_SLAB_RETURNED || is_unread))
            free_block(arena, i);
    }
}

void sw_slab_recover(struct sw_slab_shared *shared) {
    atomic_store(&shared->returned, 0);
    uint32_t count = atomic_load(&shared->count);
    for (uint32_t i = 0; i < count && i < SW_SLAB_BLOCKS; i++) {
        uint32_t state = atomic_load(&shared->blocks[i].state);
        if (state == SW_SLAB_FILLED || state == SW_SLAB_RETURNED)
            atomic_store(&shared->blocks[i].state, SW_SLAB_FREE);
    }
}
