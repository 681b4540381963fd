/* mem.h - Allocation with overflow checks, and injected failure for tests.
 *
 * NULL means out of memory; a size of 0 yields a unique pointer that must be freed. Thread-safe.
 */
#ifndef SW_BASE_MEM_H
#define SW_BASE_MEM_H

#include <stddef.h>

void *sw_alloc(size_t size_bytes);
void *sw_alloc_zero(size_t size_bytes);
void *sw_alloc_array(size_t count, size_t item_bytes);      /* NULL on overflow */
void *sw_alloc_array_zero(size_t count, size_t item_bytes); /* NULL on overflow */
/* `align` is a power of two and a multiple of sizeof(void *); contents undefined; free with sw_free. */
void *sw_alloc_aligned(size_t align, size_t size_bytes);
void *sw_realloc(void *ptr, size_t size_bytes);
void *sw_realloc_array(void *ptr, size_t count, size_t item_bytes); /* NULL on overflow, `ptr` untouched */
void sw_free(void *ptr);

/* Tests only: the n-th allocation from now (1 is the next) and all after it fail; 0 switches injection off.
 * Process-wide. */
void sw_mem_fail_at(size_t nth);

#endif
