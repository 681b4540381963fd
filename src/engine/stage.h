/* stage.h - How long a stage of the engine takes a batch: a small histogram one thread writes and any thread reads.
 *
 * Four buckets an octave, so quantiles are within 19 %. Counts only grow; a reader that wants the last interval keeps the counts it
 * saw before.
 */
#ifndef SW_ENGINE_STAGE_H
#define SW_ENGINE_STAGE_H

#include <stdatomic.h>
#include <stdint.h>

#define SW_STAGE_BUCKETS 160u /* up to 2^40 ns */

struct sw_stage {
    _Atomic uint64_t total_ns;
    _Atomic uint32_t counts[SW_STAGE_BUCKETS];
};

struct sw_stage_seen {
    uint32_t counts[SW_STAGE_BUCKETS];
};

void sw_stage_add(struct sw_stage *stage, int64_t duration_ns);
/* Adds what came since the last call to `interval` and notes it in `seen`. */
void sw_stage_since(const struct sw_stage *stage, struct sw_stage_seen *seen, uint32_t interval[SW_STAGE_BUCKETS]);
/* In ns; 0 when there are no samples. */
uint64_t sw_stage_quantile(const uint32_t interval[SW_STAGE_BUCKETS], double q);

#endif
