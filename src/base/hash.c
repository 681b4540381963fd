/* hash.c - 64-bit hashing by folded 128-bit products, after the construction of wyhash. */
#include "base/hash.h"

#include <endian.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Odd, half of the bits set; the increments and multipliers of SplitMix64 and a xor-shift finaliser. */
#define K0 UINT64_C(0x9e3779b97f4a7c15)
#define K1 UINT64_C(0xbf58476d1ce4e5b9)
#define K2 UINT64_C(0x94d049bb133111eb)
#define K3 UINT64_C(0xd6e8feb86659fd93)

/* Both halves of the product, and the factors: a factor of zero, which strangers can bring about while the seed is a
 * known one, loses nothing of the other. */
static inline uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64) ^ a ^ b;
}

static inline uint64_t load8(const unsigned char *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return le64toh(value);
}

static inline uint64_t load4(const unsigned char *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return le32toh(value);
}

/* 17 bytes and more: three independent lanes of 16, so that the multiplications overlap, then 16 at a time; the last 16
 * overlap what went before and are left to the caller. */
static uint64_t fold_long(const unsigned char *ptr, size_t len, uint64_t state) {
    if (len > 48) {
        uint64_t second = state ^ K2;
        uint64_t third = state ^ K3;
        for (; len > 48; ptr += 48, len -= 48) {
            state = fold(load8(ptr) ^ K0, load8(ptr + 8) ^ state);
            second = fold(load8(ptr + 16) ^ K1, load8(ptr + 24) ^ second);
            third = fold(load8(ptr + 32) ^ K2, load8(ptr + 40) ^ third);
        }
        state = fold(state ^ K3, second) + third;
    }
    for (; len > 16; ptr += 16, len -= 16) {
        state = fold(load8(ptr) ^ K1, load8(ptr + 8) ^ state);
    }
    return state;
}

uint64_t sw_hash_bytes(const void *bytes, size_t len, uint64_t seed) {
    const unsigned char *ptr = bytes;
    uint64_t state = seed ^ fold(seed ^ K0, K1);
    uint64_t a = 0;
    uint64_t b = 0;
    if (len <= 16) {
        if (len >= 8) {
            a = load8(ptr);
            b = load8(ptr + len - 8);
        } else if (len >= 4) {
            a = load4(ptr);
            b = load4(ptr + len - 4);
        } else if (len > 0) {
            a = (uint64_t)ptr[0] << 16 | (uint64_t)ptr[len >> 1] << 8 | ptr[len - 1];
        }
    } else {
        state = fold_long(ptr, len, state);
        a = load8(ptr + len - 16);
        b = load8(ptr + len - 8);
    }
    return fold(K3 ^ len, fold(a ^ K2, b ^ state));
}

uint64_t sw_hash_seed(void) {
    static _Atomic uint64_t cached; /* 0: not drawn yet */
    uint64_t seed = atomic_load_explicit(&cached, memory_order_relaxed);
    if (seed) {
        return seed;
    }
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        seed = sw_hash_u64((uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 32 ^ (uint64_t)getpid() << 48);
    }
    seed |= 1;
    /* Whoever comes first wins: one process has one seed. */
    uint64_t expected = 0;
    return atomic_compare_exchange_strong(&cached, &expected, seed) ? seed : expected;
}
