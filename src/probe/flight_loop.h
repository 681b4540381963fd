/* flight_loop.h - How far the asyncio event loops of a process lag behind, seen from outside.
 *
 * The lag of a loop is the time since it last asked the kernel for events, less what the kernel kept it: how long the
 * callbacks and steps of tasks of the current turn have been running, and so how late the next one will be. A loop notes
 * when a turn began (`end_time` in BaseEventLoop._run_once, on the monotonic clock), so that one look tells the lag to
 * about a microsecond. Loops that are not asyncio's own (uvloop) are not seen. One thread owns it.
 */
#ifndef SW_PROBE_FLIGHT_LOOP_H
#define SW_PROBE_FLIGHT_LOOP_H

#include "probe/stack.h"

struct sw_flight_loop;

SW_MUST_USE enum sw_status sw_flight_loop_new(struct sw_flight_loop **loop, const struct sw_runtime *runtime);
void sw_flight_loop_free(struct sw_flight_loop *loop); /* NULL is fine */
/* The longest lag of all loops now; 0 while all wait for events. SW_NOTFOUND: no loop runs. SW_CLOSED, SW_NOMEM. New loops
 * are found within a second. */
SW_MUST_USE enum sw_status sw_flight_loop_look(struct sw_flight_loop *loop, int64_t *lag_ns);

#endif
