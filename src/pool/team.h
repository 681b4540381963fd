/* team.h - A team of threads that share a loop, with work stealing.
 *
 * Each lane begins with an equal, contiguous part of the iterations and takes from its front; a lane that has none left
 * steals the back half of another's part. Idle threads spin for some microseconds, then sleep on a futex; one that is
 * woken gets the CPUs that the caller may use (sched_setaffinity(2)), and begins on one that the caller is not on.
 */
#ifndef SW_POOL_TEAM_H
#define SW_POOL_TEAM_H

#include "base/parallel.h"
#include "base/status.h"

struct sw_team;

/* `lanes` counts the calling thread: 1 starts none. At most SW_TEAM_LANES. */
#define SW_TEAM_LANES 256
SW_MUST_USE enum sw_status sw_team_open(unsigned lanes, struct sw_team **team, struct sw_error *err);
void sw_team_close(struct sw_team *team); /* NULL is fine; joins the threads */

/* Loops on the team; valid until it is closed. One loop runs at a time: another thread's call waits for its turn. */
struct sw_parallel *sw_team_parallel(struct sw_team *team);

/* The process's own team of `lanes` (0: one a CPU), started at first use, started again in a forked child. NULL where
 * threads cannot be had: loops then run on the caller. It lives as long as the process. */
struct sw_parallel *sw_team_shared(unsigned lanes);

#endif
