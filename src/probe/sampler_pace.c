/* sampler_pace.c - Stratified sampling of time; see sampler_pace.h. */
#include "probe/sampler_pace.h"

#include "base/hash.h"

/* A moment of the next period, from the upper 32 bits of a SplitMix-like sequence. */
static void due_set(struct sw_pace *pace) {
    pace->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t share = sw_hash_u64(pace->random) >> 32;
    uint64_t offset_ns = (uint64_t)(((unsigned __int128)share * (uint64_t)pace->period_ns) >> 32);
    pace->due_ns = pace->origin_ns + pace->next * pace->period_ns + (int64_t)offset_ns;
}

void sw_pace_init(struct sw_pace *pace, int64_t period_ns, int64_t now_ns, uint64_t seed) {
    *pace = (struct sw_pace){.origin_ns = now_ns, .period_ns = period_ns > 0 ? period_ns : 1, .last = -1};
    pace->random = sw_hash_u64(seed);
    pace->due_ns = now_ns; /* the first look is made at once */
}

/* Being late by less than a period costs nothing: the wake-up at 10,000 looks a second often is. */
int64_t sw_pace_take(struct sw_pace *pace, int64_t now_ns) {
    int64_t current = (now_ns - pace->origin_ns) / pace->period_ns;
    int64_t taken = current > pace->next + 1 ? current : pace->next;
    int64_t stands_for_ns = (taken - pace->last) * pace->period_ns;
    int64_t most_ns = pace->period_ns * SW_PACE_GAP_MAX_PERIODS;
    most_ns = most_ns > SW_PACE_GAP_MAX_NS ? most_ns : SW_PACE_GAP_MAX_NS;
    pace->missed += (uint64_t)(taken - pace->next);
    pace->looks++;
    pace->last = taken;
    pace->next = taken + 1;
    due_set(pace);
    if (stands_for_ns > most_ns) {
        pace->unobserved_ns += stands_for_ns - most_ns;
        stands_for_ns = most_ns;
    }
    return stands_for_ns;
}
