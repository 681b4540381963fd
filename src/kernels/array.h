/* array.h - An n-dimensional array in somebody else's memory, and its elements as contiguous blocks.
 *
 * Kernels are written for contiguous blocks; any strides are brought to that by sw_array_block, which gathers a block
 * into scratch memory that stays in the first-level cache. A stride of 0 broadcasts. Elements are aligned to their size.
 */
#ifndef SW_KERNELS_ARRAY_H
#define SW_KERNELS_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

#define SW_ARRAY_DIMS 8     /* most dimensions */
#define SW_ARRAY_BLOCK 2048 /* elements of a gathered block: 16 KiB of float64 */

enum sw_dtype { SW_F64, SW_F32 };

struct sw_array {
    char *data; /* borrowed; the element whose indices are all 0 */
    enum sw_dtype dtype;
    unsigned dims; /* 0: one element */
    size_t shape[SW_ARRAY_DIMS];
    ptrdiff_t strides[SW_ARRAY_DIMS]; /* bytes */
};

size_t sw_dtype_size(enum sw_dtype dtype);

/* A contiguous vector. */
struct sw_array sw_array_vector(void *data, enum sw_dtype dtype, size_t count);

size_t sw_array_count(const struct sw_array *array);       /* elements */
bool sw_array_is_contiguous(const struct sw_array *array); /* in C order; so is an array of 0 or 1 elements */
/* Whether a write to one can change the other; may err to true for interleaved strides. */
bool sw_array_overlaps(const struct sw_array *a, const struct sw_array *b);
/* The same memory, the same shape and the same strides: elementwise kernels may write in place. */
bool sw_array_is_same(const struct sw_array *a, const struct sw_array *b);

/* Names the axes of arrays of one shape anew, the same way for all: as few as possible, and so that the first array is
 * walked forwards through memory. A transposed or reversed contiguous array becomes a vector. The elements and which
 * belong together stay, their order does not. */
void sw_array_straighten(struct sw_array *const *arrays, size_t count);

/* Elements [first, first + count) in C order: a pointer into the array where they are contiguous, else `scratch` after
 * gathering there (count * element size bytes, at most SW_ARRAY_BLOCK elements). */
const void *sw_array_block(const struct sw_array *array, size_t first, size_t count, void *scratch);

#endif
