/* guard_page.h - Places test input flush against an unreadable page, so that reading past its end faults. */
#ifndef SW_TESTS_GUARD_PAGE_H
#define SW_TESTS_GUARD_PAGE_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/str.h"

#define GUARD_BYTES ((size_t)1 << 18)
#define GUARD_PAGE ((size_t)65536) /* a multiple of every page size in use */

/* A copy of `text` (at most GUARD_BYTES) that ends where the page begins; overwritten by the next call. */
static inline struct sw_str guard_place(struct sw_str text) {
    static char *area;
    if (!area) {
        area = mmap(NULL, GUARD_BYTES + GUARD_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED || mprotect(area + GUARD_BYTES, GUARD_PAGE, PROT_NONE) != 0) {
            abort();
        }
    }
    if (text.len > GUARD_BYTES) {
        abort();
    }
    char *place = area + GUARD_BYTES - text.len;
    if (text.len > 0) {
        memmove(place, text.ptr, text.len);
    }
    return sw_str_make(place, text.len);
}

#endif
