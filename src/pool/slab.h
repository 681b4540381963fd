/* slab.h - Blocks of shared memory that one process fills and others hold: warm, reused, freed by whoever holds them.
 *
 * An arena has one owner, who allocates. A block travels as its number; whoever received it returns it by one atomic push,
 * from any process, and the owner finds it there when it next allocates. Blocks are cut once, in sizes of four steps to
 * the octave, and never split or merged: a process that dies at any instruction leaves every block whole. Reserved
 * address space costs nothing until it is touched; free blocks keep their pages, up to a limit.
 */
#ifndef SW_POOL_SLAB_H
#define SW_POOL_SLAB_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SW_SLAB_BLOCKS (1u << 17)
#define SW_SLAB_BLOCK_BYTES (16u << 10) /* the smallest */
#define SW_SLAB_CLASSES 128             /* up to 2^45 bytes */

enum sw_slab_state {
    SW_SLAB_UNCUT,
    SW_SLAB_FREE,
    SW_SLAB_FILLED,   /* the owner's, or on its way */
    SW_SLAB_HELD,     /* a receiver has it */
    SW_SLAB_RETURNED, /* on the stack of returned blocks, or about to be */
};

struct sw_slab_block {
    uint64_t offset; /* in the arena; written once */
    uint64_t size;
    _Atomic uint32_t state;
    _Atomic uint32_t next; /* number + 1 of the next one in a list */
    uint32_t chain;        /* number + 1 of the next one that travels with the same task; the owner's */
    uint32_t holder;       /* the caller's: who it was sent to */
    uint32_t stamp;        /* the caller's: which task it travels with; a block that was reused has another */
};

/* Zero is an empty arena. */
struct sw_slab_shared {
    alignas(64) _Atomic uint32_t returned; /* number + 1 of the last one returned */
    alignas(64) _Atomic uint32_t count;    /* blocks cut */
    uint64_t used;                         /* bytes cut */
    alignas(64) struct sw_slab_block blocks[SW_SLAB_BLOCKS];
};

/* The owner's side; private to its process. */
struct sw_slab_arena {
    struct sw_slab_shared *shared;
    unsigned char *base;
    uint64_t size;
    uint64_t warm_limit;            /* free blocks beyond it give their pages back; 0: 256 MiB */
    uint64_t warm;                  /* bytes of free blocks with pages */
    uint64_t out;                   /* bytes of blocks that are not free */
    uint32_t stamp;                 /* the caller's: the last one given */
    uint32_t free[SW_SLAB_CLASSES]; /* number + 1 of the first free one */
};

/* Takes over an arena, new or left by an owner that died: FREE blocks are found again. */
void sw_slab_open(struct sw_slab_arena *arena, struct sw_slab_shared *shared, unsigned char *base, uint64_t size);
/* The number of a FILLED block of at least `size` bytes; SW_NOMEM when the arena is full. */
SW_MUST_USE enum sw_status sw_slab_take(struct sw_slab_arena *arena, uint64_t size, uint32_t *number);
void sw_slab_give(struct sw_slab_arena *arena, uint32_t number); /* the owner's own: frees it at once */
void sw_slab_collect(struct sw_slab_arena *arena);               /* takes in what was returned */
/* NULL for what is not a block of at least `size` bytes within the arena: the number came from another process. */
unsigned char *sw_slab_data(const struct sw_slab_shared *shared, unsigned char *base, uint32_t number, uint64_t size);

/* The receiver: takes a FILLED block; false if it is not one. */
bool sw_slab_hold(struct sw_slab_shared *shared, uint32_t number);
void sw_slab_return(struct sw_slab_shared *shared, uint32_t number); /* a HELD one; any process, any thread */

/* After `holder` died: frees what it held or was returning, and what was on its way to it with `stamp` (0: nothing). The
 * owner calls it, after sw_slab_collect. */
void sw_slab_reclaim(struct sw_slab_arena *arena, uint32_t holder, uint32_t stamp);
/* After the owner died, by the one process that receives from it: what nobody holds becomes FREE. */
void sw_slab_recover(struct sw_slab_shared *shared);

#endif
