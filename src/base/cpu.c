/* cpu.c - What this processor can do, found once at run time. */
#include "base/cpu.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_CPUS 8192 /* Linux's NR_CPUS ends here */

static const char *const level_names[] = {"scalar", "neon", "sse42", "avx2", "avx512"};

static enum sw_cpu_level detect(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("popcnt")) {
        return SW_CPU_SCALAR;
    }
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2") ||
        !__builtin_cpu_supports("fma")) {
        return SW_CPU_SSE42;
    }
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
        return SW_CPU_AVX2;
    }
    return SW_CPU_AVX512;
#elif defined(__aarch64__)
    return SW_CPU_NEON;
#else
    return SW_CPU_SCALAR;
#endif
}

static enum sw_cpu_level capped(enum sw_cpu_level level) {
    const char *wish = getenv("SIDEWINDER_CPU");
    for (int i = 0; wish && i < (int)level; i++) {
        if (strcmp(wish, level_names[i]) == 0) {
            return (enum sw_cpu_level)i;
        }
    }
    return level;
}

enum sw_cpu_level sw_cpu_level(void) {
    static _Atomic int cached; /* level + 1; 0: not looked yet */
    int known = atomic_load_explicit(&cached, memory_order_relaxed);
    if (known == 0) {
        known = (int)capped(detect()) + 1;
        atomic_store_explicit(&cached, known, memory_order_relaxed);
    }
    return (enum sw_cpu_level)(known - 1);
}

const char *sw_cpu_level_name(enum sw_cpu_level level) {
    return level_names[level];
}

int sw_cpu_count(void) {
    union {
        cpu_set_t set;
        unsigned char bytes[MOST_CPUS / 8];
    } mask;
    memset(&mask, 0, sizeof(mask));
    if (sched_getaffinity(0, sizeof(mask), &mask.set) == 0) {
        int count = CPU_COUNT_S(sizeof(mask), &mask.set);
        return count > 0 ? count : 1;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}
