/* sampler_pace.h - When to look: one jittered moment in each period, on an absolute clock, without drift or bursts.
 *
 * Time is cut into periods of equal length and each has one look, at a random moment of it, so that nothing periodic in
 * the target can hide from the looks or meet them all. A look stands for one period. One that comes more than a period
 * late stands for the skipped periods too, which are counted and never made up for.
 */
#ifndef SW_PROBE_SAMPLER_PACE_H
#define SW_PROBE_SAMPLER_PACE_H

#include <stdint.h>

/* A look stands for at most 5 ms, or for 10 periods if that is longer; what lies before was not observed. More would be
 * worse than nothing: one stack that weighs as much as 100 others is noise, of 1 % in a recording of 10 s. */
#define SW_PACE_GAP_MAX_NS INT64_C(5000000)
#define SW_PACE_GAP_MAX_PERIODS 10

struct sw_pace {
    int64_t origin_ns; /* monotonic, as are all times here */
    int64_t period_ns;
    int64_t next;          /* the period whose look comes next */
    int64_t last;          /* the one looked at last; -1: none yet */
    int64_t due_ns;        /* when to look */
    uint64_t random;       /* the jitter's state */
    uint64_t looks;        /* made */
    uint64_t missed;       /* periods without a look of their own */
    int64_t unobserved_ns; /* time that no look stands for */
};

void sw_pace_init(struct sw_pace *pace, int64_t period_ns, int64_t now_ns, uint64_t seed);
/* Called when a look is made: for how long it stands. Sets the next moment. */
int64_t sw_pace_take(struct sw_pace *pace, int64_t now_ns);

#endif
