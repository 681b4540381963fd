/* fractal_engine.h - The Python engines: `PYTHON -m sidewinder.fractal` computes the values, which C then colours. */
#ifndef SW_CLI_FRACTAL_ENGINE_H
#define SW_CLI_FRACTAL_ENGINE_H

#include "base/status.h"
#include "cli/fractal_draw.h"
#include "cli/fractal_options.h"

#define SW_ENGINE_POOL_BEST NULL /* sidewinder.Pool where the package has it */

struct sw_engine_task {
    const struct sw_fractal_request *request;
    enum sw_fractal_engine engine; /* not C */
    const char *pool;              /* "sidewinder", "multiprocessing" or SW_ENGINE_POOL_BEST */
    unsigned rounds;
};

/* Runs the program, then colours and encodes what it computed, as sw_draw_run does with what C computes. `draw` has begun,
 * with as many workers; its counters become those of the program's processes. The facts are those of the fastest round;
 * encoding includes the colouring. SW_NOTFOUND: there is no such interpreter, or it has no sidewinder package; the error
 * names the remedy. */
SW_MUST_USE enum sw_status sw_engine_draw(const struct sw_engine_task *task, struct sw_draw *draw,
                                          struct sw_draw_facts *facts, struct sw_error *err);

#endif
