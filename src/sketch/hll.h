/* hll.h - HyperLogLog: how many distinct 64-bit hashes were seen, exactly while few and within 2 % when many.
 *
 * Zero is a valid empty sketch. Up to 8 hashes live in the struct, then an exact set of 32-bit digests (14 bits of
 * register index, 17 of what follows, or the rank where those are zero: two hashes collide once in 2^31), and above
 * 3,072 digests 16,384 registers (p = 14, standard error 0.81 %). The estimator is the improved raw one of O. Ertl,
 * "New cardinality estimation algorithms for HyperLogLog sketches" (2017): no bias tables, all cardinalities.
 *
 * The state depends on the set of hashes only: any order, any split over sketches and any order of merging gives the
 * same count and the same encoded bytes. Hashes must be good in their upper 50 bits: sw_hash_bytes(..., 0) or
 * sw_hash_u64. Not thread-safe: one writer owns it. At most 16 KiB of memory behind it.
 */
#ifndef SW_SKETCH_HLL_H
#define SW_SKETCH_HLL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

struct sw_hll {
    uint32_t few[8];    /* stage 0: digests, 0 where unused */
    void *block;        /* owned: the digest table or the registers; all zero while stage is 0 */
    uint32_t count;     /* distinct digests; meaningless when dense */
    uint8_t stage;      /* 0 in the struct, 1 digest table, 2 registers */
    uint8_t block_log2; /* log2 of the block's size in digests, 0 while there is none */
};

void sw_hll_release(struct sw_hll *hll); /* frees and zeroes */
void sw_hll_clear(struct sw_hll *hll);   /* empty again; keeps memory that was put to use, for the next window */

/* On SW_NOMEM the sketch is as it was. */
SW_MUST_USE enum sw_status sw_hll_add(struct sw_hll *hll, uint64_t hash);
/* On SW_NOMEM some of the hashes are in; adding all again completes it. */
SW_MUST_USE enum sw_status sw_hll_add_many(struct sw_hll *hll, const uint64_t *hashes, size_t count);
/* On SW_NOMEM `into` may hold part of `from`; merging again completes it. */
SW_MUST_USE enum sw_status sw_hll_merge(struct sw_hll *into, const struct sw_hll *from);

uint64_t sw_hll_count(const struct sw_hll *hll); /* the estimate, rounded; exact up to 3,072 */

/* Appends a versioned little-endian form; equal sets give equal bytes. On SW_NOMEM `out` is as it was. */
SW_MUST_USE enum sw_status sw_hll_encode(const struct sw_hll *hll, struct sw_buf *out);
/* Replaces the contents by what `bytes`, all of it, encodes. Any bytes are safe: SW_MALFORMED (not an encoded sketch),
 * SW_UNSUPPORTED (a later version) and SW_NOMEM leave the sketch as it was. */
SW_MUST_USE enum sw_status sw_hll_decode(struct sw_hll *hll, struct sw_str bytes);

#endif
