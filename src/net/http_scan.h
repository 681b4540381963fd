/* http_scan.h - Classifies up to 64 bytes of an HTTP head at once: which of them end a token, a target or a value.
 *
 * AVX2 and SSE (the sse42 level) versions with a scalar twin of the same contract; the twin is the oracle of tests and
 * fuzzing. No function reads outside [ptr, ptr + len).
 */
#ifndef SW_NET_HTTP_SCAN_H
#define SW_NET_HTTP_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

#define SW_HTTP_SCAN_BYTES 64

/* Bit i is set where byte i does NOT belong to the class, and for every i >= len, so that the lowest set bit is where a
 * run ends or the bytes do. */
struct sw_http_masks {
    uint64_t non_token;  /* RFC 9110 tchar, less '_' on which the caller decides */
    uint64_t non_target; /* 0x21..0x7e without `"`, `#`, `<`, `>` */
    uint64_t non_value;  /* HTAB, 0x20..0x7e, 0x80..0xff */
};

/* `len` is 1..SW_HTTP_SCAN_BYTES. */
typedef void (*sw_http_scan)(const char *ptr, size_t len, struct sw_http_masks *masks);

/* The version for `level`, which the processor must have; the scalar twin where the build has none for it. */
sw_http_scan sw_http_scan_for(enum sw_cpu_level level);

#endif
