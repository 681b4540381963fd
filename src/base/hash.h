/* hash.h - 64-bit hashing of bytes and integers.
 *
 * Not cryptographic. Tables that hold keys chosen by strangers pass a random seed (sw_hash_seed()); sketches, whose
 * answers must be reproducible and mergeable, pass 0.
 */
#ifndef SW_BASE_HASH_H
#define SW_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t sw_hash_bytes(const void *bytes, size_t len, uint64_t seed);
uint64_t sw_hash_seed(void); /* drawn from the kernel once per process */

/* A bijective finaliser (multiply and xor-shift), good in every bit. */
static inline uint64_t sw_hash_u64(uint64_t value) {
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    value ^= value >> 32;
    return value;
}

#endif
