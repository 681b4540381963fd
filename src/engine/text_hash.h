/* text_hash.h - The one hash of a text value, for distinct() and for keys; never 0, since 0 marks a missing value.
 *
 * Every decoder and source must use it, or the same text from two formats would count as two. Texts of up to 8 bytes
 * are one masked load and two multiplications; longer ones go through sw_hash_bytes with seed 0. The result is the same
 * for the same bytes whichever of the functions computed it. Little-endian, as all targets are.
 */
#ifndef SW_ENGINE_TEXT_HASH_H
#define SW_ENGINE_TEXT_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"

static inline uint64_t sw_text_hash_word(uint64_t word, size_t len) {
    uint64_t hash = sw_hash_u64(word ^ (uint64_t)len * 0x9e3779b97f4a7c15u);
    return hash + (hash == 0);
}

static inline uint64_t sw_text_hash_long(const char *ptr, size_t len) {
    uint64_t hash = sw_hash_bytes(ptr, len, 0);
    return hash + (hash == 0);
}

/* The first `len` (1..8) bytes of the 8 at `ptr`, the others as zero; all 8 must be readable. */
static inline uint64_t sw_text_word_padded(const char *ptr, size_t len) {
    uint64_t word;
    memcpy(&word, ptr, sizeof word);
    return word & ~UINT64_C(0) >> (64 - len * 8);
}

/* The same word without reading past `len` bytes. */
static inline uint64_t sw_text_word(const char *ptr, size_t len) {
    const unsigned char *bytes = (const unsigned char *)ptr;
    if (len >= 4) { /* two loads that may overlap */
        uint32_t low, high;
        memcpy(&low, ptr, sizeof low);
        memcpy(&high, ptr + len - 4, sizeof high);
        return low | (uint64_t)high << ((len - 4) * 8);
    }
    if (len == 0)
        return 0;
    return bytes[0] | (uint64_t)bytes[len / 2] << (len / 2 * 8) | (uint64_t)bytes[len - 1] << ((len - 1) * 8);
}

static inline uint64_t sw_text_hash(const char *ptr, size_t len) {
    return len <= 8 ? sw_text_hash_word(sw_text_word(ptr, len), len) : sw_text_hash_long(ptr, len);
}

/* As sw_text_hash for texts that are not empty, where 8 bytes are readable at `ptr`: no branch on the length of short
 * ones. */
static inline uint64_t sw_text_hash_padded(const char *ptr, size_t len) {
    return len <= 8 ? sw_text_hash_word(sw_text_word_padded(ptr, len), len) : sw_text_hash_long(ptr, len);
}

#endif
