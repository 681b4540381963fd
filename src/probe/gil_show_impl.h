/* gil_show_impl.h - What the forms of a GIL report share: names, times and the order of threads. */
#ifndef SW_PROBE_GIL_SHOW_IMPL_H
#define SW_PROBE_GIL_SHOW_IMPL_H

#include "probe/gil_show.h"

/* "25.1 ms" */
struct sw_str sw_gil_show_time(int64_t ns, char out[32]);
/* "main", "worker (app.py)", "python3"; without the thread id. */
struct sw_str sw_gil_show_name(const struct sw_gil_thread *thread);
/* "f (app.py:12)", "a function not seen" */
struct sw_str sw_gil_show_where(const struct sw_gil_where *where, char out[256]);
/* "1,234,567" */
struct sw_str sw_gil_show_count(uint64_t count, char out[32]);
/* "10.00 s, 124,812 looks (12,481/s), ..." */
struct sw_str sw_gil_show_resolution(const struct sw_gil_totals *totals, char out[320]);
/* Indices of threads, those that held and waited most first; free with sw_free. NULL: out of memory. */
size_t *sw_gil_show_order(const struct sw_gil_timeline *timeline);

#endif
