/* cpu.h - What this processor can do, found once at run time.
 *
 * SIDEWINDER_CPU=scalar|sse42|avx2|avx512 (aarch64: scalar) caps the level, for tests and comparisons.
 */
#ifndef SW_BASE_CPU_H
#define SW_BASE_CPU_H

enum sw_cpu_level {
    SW_CPU_SCALAR,
    SW_CPU_NEON, /* every aarch64 */
    SW_CPU_SSE42,
    SW_CPU_AVX2,   /* with BMI1, BMI2, FMA, POPCNT */
    SW_CPU_AVX512, /* F, BW, DQ, VL */
};

enum sw_cpu_level sw_cpu_level(void); /* thread-safe, cached */
const char *sw_cpu_level_name(enum sw_cpu_level level);
int sw_cpu_count(void); /* CPUs this process may run on (affinity mask), at least 1 */

#endif
