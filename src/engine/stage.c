/* stage.c - Counts durations of a stage; see stage.h. */
#include "engine/stage.h"

static unsigned stage_bucket(uint64_t ns) {
    if (ns < 4)
        return (unsigned)ns;
    unsigned octave = 63u - (unsigned)__builtin_clzll(ns);
    unsigned bucket = octave * 4 + (unsigned)(ns >> (octave - 2) & 3);
    return bucket < SW_STAGE_BUCKETS ? bucket : SW_STAGE_BUCKETS - 1;
}

/* The upper edge of a bucket. */
static uint64_t stage_edge(unsigned bucket) {
    if (bucket < 8)
        return bucket;
    return (uint64_t)(4 + bucket % 4 + 1) << (bucket / 4 - 2);
}

void sw_stage_add(struct sw_stage *stage, int64_t duration_ns) {
    uint64_t ns = duration_ns > 0 ? (uint64_t)duration_ns : 0;
    _Atomic uint32_t *count = &stage->counts[stage_bucket(ns)];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_store_explicit(&stage->total_ns, atomic_load_explicit(&stage->total_ns, memory_order_relaxed) + ns,
                          memory_order_relaxed);
}

void sw_stage_since(const struct sw_stage *stage, struct sw_stage_seen *seen, uint32_t interval[SW_STAGE_BUCKETS]) {
    for (unsigned i = 0; i < SW_STAGE_BUCKETS; i++) {
        uint32_t count = atomic_load_explicit(&stage->counts[i], memory_order_relaxed);
        interval[i] += count - seen->counts[i];
        seen->counts[i] = count;
    }
}

uint64_t sw_stage_quantile(const uint32_t interval[SW_STAGE_BUCKETS], double q) {
    uint64_t total = 0;
    for (unsigned i = 0; i < SW_STAGE_BUCKETS; i++)
        total += interval[i];
    if (total == 0)
        return 0;
    uint64_t rank = (uint64_t)(q * (double)(total - 1));
    unsigned bucket = 0;
    for (uint64_t below = interval[0]; below <= rank && bucket + 1 < SW_STAGE_BUCKETS;)
        below += interval[++bucket];
    return stage_edge(bucket);
}
