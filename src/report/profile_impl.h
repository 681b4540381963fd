/* profile_impl.h - What the files of profiles share: sums that saturate, and room made beforehand. */
#ifndef SW_REPORT_PROFILE_IMPL_H
#define SW_REPORT_PROFILE_IMPL_H

#include "report/profile.h"

/* Counts and weights may come from a file, so their sums stop at a greatest number instead of turning over. For counts
 * it is one that a file of ours can hold. */
static inline uint64_t sw_profile_sum_u64(uint64_t a, uint64_t b) {
    return a > INT64_MAX || b > INT64_MAX - a ? INT64_MAX : a + b;
}

static inline int64_t sw_profile_sum_ns(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

/* Room for so many more totals and samples. */
SW_MUST_USE enum sw_status sw_profile_reserve(struct sw_profile *profile, size_t totals, size_t samples);

#endif
