/* ddsketch.h - DDSketch: quantiles of doubles within 1 % of the value (Masson, Rim, Lee 2019).
 *
 * Zero is a valid empty sketch. A value falls into the bucket of its index; 35 buckets per power of two through a
 * cubic interpolation of the logarithm guarantee 1 % relative accuracy for every normal double of either sign. Zeros
 * and subnormals share one bucket that answers 0; each infinity has its own; NaN is ignored. The first 6 distinct
 * indices live in the struct, then there is one contiguous array of 64-bit counts per sign, of at most 2,048 buckets
 * (58 powers of two): beyond that, the buckets of the smallest magnitudes of that sign are counted into the lowest one
 * kept.
 *
 * The state depends on the multiset of values only: any order, split and order of merging gives the same answers and
 * the same encoded bytes. Not thread-safe: one writer owns it.
 */
#ifndef SW_SKETCH_DDSKETCH_H
#define SW_SKETCH_DDSKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

#define SW_DDSKETCH_FEW 6
#define SW_DDSKETCH_BUCKETS_MAX 2048 /* per sign */

#define SW_DDSKETCH_INDEX_INFINITE \
    71611                               /* of +infinity; finite magnitudes are 1..71610, their negatives are mirrored */
#define SW_DDSKETCH_INDEX_NAN INT32_MIN /* adding it does nothing */

struct sw_ddsketch_heap;

struct sw_ddsketch {
    struct sw_ddsketch_heap *heap;      /* owned; empty while is_spilled is false */
    int32_t few_index[SW_DDSKETCH_FEW]; /* ascending */
    uint16_t few_count[SW_DDSKETCH_FEW];
    uint8_t few_used;
    bool is_spilled;
};

void sw_ddsketch_release(struct sw_ddsketch *sketch); /* frees and zeroes */
void sw_ddsketch_clear(
    struct sw_ddsketch *sketch); /* empty again; keeps memory that was put to use, for the next window */

/* The bucket index of each value; greater values have greater or equal indices. Vectorised: map a column, then add. */
void sw_ddsketch_index(const double *values, size_t count, int32_t *indices);
/* What a bucket answers: within 1 % of every value of that index. */
double sw_ddsketch_bucket_value(int32_t index);

/* Adds `count` values of one index. On SW_NOMEM the sketch is as it was; SW_INVALID for an index no value has. */
SW_MUST_USE enum sw_status sw_ddsketch_add_index(struct sw_ddsketch *sketch, int32_t index, uint64_t count);
SW_MUST_USE enum sw_status sw_ddsketch_add(struct sw_ddsketch *sketch, double value);
/* On SW_NOMEM `into` is as it was. */
SW_MUST_USE enum sw_status sw_ddsketch_merge(struct sw_ddsketch *into, const struct sw_ddsketch *from);

uint64_t sw_ddsketch_count(const struct sw_ddsketch *sketch); /* values added, NaN not counted */

/* The value of rank floor(q * (n - 1)), counting from 0, within 1 %; q is cut to [0,1]; NaN when empty or q is NaN. */
double sw_ddsketch_quantile(const struct sw_ddsketch *sketch, double q);
/* The same, cut to [min, max]: exact extremes known from elsewhere make q = 0, q = 1 and constant series exact. */
double sw_ddsketch_quantile_within(const struct sw_ddsketch *sketch, double q, double min, double max);

/* Appends a versioned little-endian form; equal states give equal bytes. On SW_NOMEM `out` is as it was. */
SW_MUST_USE enum sw_status sw_ddsketch_encode(const struct sw_ddsketch *sketch, struct sw_buf *out);
/* Replaces the contents by what `bytes`, all of it, encodes. Any bytes are safe: SW_MALFORMED (not an encoded sketch),
 * SW_UNSUPPORTED (a later version) and SW_NOMEM leave the sketch as it was. */
SW_MUST_USE enum sw_status sw_ddsketch_decode(struct sw_ddsketch *sketch, struct sw_str bytes);

#endif
