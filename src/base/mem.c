/* mem.c - Allocation with overflow checks, and injected failure for tests. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* 0: off; 1: every allocation fails; n > 1: n - 1 more succeed. */
static _Atomic size_t fail_at;

static bool count_down(size_t left) {
    while (left > 1) {
        if (atomic_compare_exchange_weak_explicit(&fail_at, &left, left - 1, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return false;
        }
    }
    return left == 1;
}

/* One predictable branch on a line that nobody writes outside tests. Beyond PTRDIFF_MAX pointers could not be
 * subtracted, and sanitizers would abort where malloc says no. */
static inline bool must_fail(size_t size_bytes) {
    size_t left = atomic_load_explicit(&fail_at, memory_order_relaxed);
    return (__builtin_expect(left != 0, 0) && count_down(left)) || size_bytes > PTRDIFF_MAX;
}

static inline size_t at_least_one(size_t size_bytes) {
    return size_bytes ? size_bytes : 1;
}

void *sw_alloc(size_t size_bytes) {
    return must_fail(size_bytes) ? NULL : malloc(at_least_one(size_bytes));
}

void *sw_alloc_zero(size_t size_bytes) {
    return must_fail(size_bytes) ? NULL : calloc(1, at_least_one(size_bytes));
}

void *sw_alloc_array(size_t count, size_t item_bytes) {
    size_t size_bytes;
    return __builtin_mul_overflow(count, item_bytes, &size_bytes) ? NULL : sw_alloc(size_bytes);
}

void *sw_alloc_array_zero(size_t count, size_t item_bytes) {
    size_t size_bytes;
    return __builtin_mul_overflow(count, item_bytes, &size_bytes) ? NULL : sw_alloc_zero(size_bytes);
}

void *sw_alloc_aligned(size_t align, size_t size_bytes) {
    void *ptr;
    if (must_fail(size_bytes) || posix_memalign(&ptr, align, at_least_one(size_bytes)) != 0) {
        return NULL;
    }
    return ptr;
}

void *sw_realloc(void *ptr, size_t size_bytes) {
    return must_fail(size_bytes) ? NULL : realloc(ptr, at_least_one(size_bytes));
}

void *sw_realloc_array(void *ptr, size_t count, size_t item_bytes) {
    size_t size_bytes;
    return __builtin_mul_overflow(count, item_bytes, &size_bytes) ? NULL : sw_realloc(ptr, size_bytes);
}

void sw_free(void *ptr) {
    free(ptr);
}

void sw_mem_fail_at(size_t nth) {
    atomic_store_explicit(&fail_at, nth, memory_order_relaxed);
}
