/* clock.h - Time as int64 nanoseconds: monotonic, and since the Unix epoch; RFC 3339 both ways. */
#ifndef SW_BASE_CLOCK_H
#define SW_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

#define SW_NS_PER_US INT64_C(1000)
#define SW_NS_PER_MS INT64_C(1000000)
#define SW_NS_PER_S INT64_C(1000000000)

int64_t sw_clock_mono_ns(void);
int64_t sw_clock_epoch_ns(void);
int64_t sw_clock_thread_cpu_ns(void);        /* CPU time of the calling thread */
void sw_clock_sleep_ns(int64_t duration_ns); /* returns early on a signal */

/* "2013-10-07T14:30:00.123456789Z", offsets "+02:00", a space instead of T, and a missing offset (taken as UTC).
 * Years 1678..2261, the range of int64 nanoseconds. */
SW_MUST_USE enum sw_status sw_clock_parse_rfc3339(struct sw_str text, int64_t *epoch_ns);
/* Always UTC with nanoseconds cut to the last non-zero group of three; returns the length (< 40). */
size_t sw_clock_format_rfc3339(int64_t epoch_ns, char out[40]);

#endif
