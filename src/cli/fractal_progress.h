/* fractal_progress.h - How far a picture is, on a terminal: each worker's tiles, the rate and the time left. */
#ifndef SW_CLI_FRACTAL_PROGRESS_H
#define SW_CLI_FRACTAL_PROGRESS_H

#include "base/thread.h"
#include "cli/fractal_draw.h"

/* Zero is valid and stopped. */
struct sw_fractal_progress {
    struct sw_thread thread;
    struct sw_parker parker;
    atomic_bool is_over;
    const struct sw_draw *draw;
    unsigned lines; /* on the screen */
};

/* Shows `draw`, which has begun, on stderr until the stop. Without a thread there is no progress, and no failure. */
void sw_fractal_progress_start(struct sw_fractal_progress *progress, const struct sw_draw *draw);
void sw_fractal_progress_stop(struct sw_fractal_progress *progress); /* leaves an empty line */

#endif
