/* flight.h - The flight recorder: watches one process all the time, for little, and keeps the last seconds.
 *
 * It samples the stacks of the threads into a ring on disk, and works the metrics out that rules compare. The caller runs
 * it, decides what a fired rule leads to, and saves the window as a profile:
 *
 *     while (is_wanted && (status = sw_flight_step(flight, until_ns, &has_values, err)) == SW_OK)
 *         if (has_values)
 *             ... sw_flight_values, sw_flight_trigger_step, sw_flight_save ...
 *
 * Nothing in the process is stopped or changed. One thread owns a recorder.
 */
#ifndef SW_PROBE_FLIGHT_H
#define SW_PROBE_FLIGHT_H

#include "probe/flight_ring.h"
#include "probe/flight_rule.h"
#include "probe/sampler.h"

#define SW_FLIGHT_RATE_HZ 100.0 /* unless said otherwise */

struct sw_flight_options {
    int32_t pid;
    double rate_hz; /* 0: SW_FLIGHT_RATE_HZ */
    enum sw_sampler_what what;
    int64_t keep_ns;
    const char *ring_path; /* NULL: in memory */
    uint64_t ring_bytes;   /* 0: SW_FLIGHT_RING_BYTES */
    bool wants_gil;        /* rules ask for gil_held or gil_wait_p99 */
    bool wants_loop;       /* rules ask for loop_lag */
};

struct sw_flight;

/* SW_LIMIT: no room for the ring; the message tells. SW_NOTFOUND, SW_PERM, SW_UNSUPPORTED as in runtime.h; SW_UNSUPPORTED
 * too when the GIL is wanted and there is none. */
SW_MUST_USE enum sw_status sw_flight_new(struct sw_flight **flight, const struct sw_flight_options *options,
                                         struct sw_error *err);
void sw_flight_free(struct sw_flight *flight); /* the ring's file stays; NULL is fine */

/* Looks until `until_mono_ns`, a signal, or the metrics of another second are known (*has_values). SW_CLOSED: the process
 * has ended; its last seconds can still be saved. SW_AGAIN: the ring could not be written; what was sampled since the last
 * write is lost, and it may go on. */
SW_MUST_USE enum sw_status sw_flight_step(struct sw_flight *flight, int64_t until_mono_ns, bool *has_values,
                                          struct sw_error *err);
const double *sw_flight_values(const struct sw_flight *flight); /* SW_FLIGHT_METRICS of them, as of the last second */
/* The last `keep_ns`, described, with `reason`. `*profile` must be zero. */
SW_MUST_USE enum sw_status sw_flight_save(struct sw_flight *flight, struct sw_str reason, struct sw_profile *profile,
                                          struct sw_error *err);

struct sw_sampler_counts sw_flight_counts(const struct sw_flight *flight);
uint64_t sw_flight_lost(const struct sw_flight *flight);       /* samples for which the ring had no room */
const char *sw_flight_version(const struct sw_flight *flight); /* of the interpreter */

#endif
