/* parallel.c - A loop that may run on several threads: what kernels ask for and a team of threads gives. */
#include "base/parallel.h"

unsigned sw_parallel_lanes(const struct sw_parallel *parallel) {
    return parallel ? parallel->lanes : 1;
}

void sw_parallel_run(struct sw_parallel *parallel, const struct sw_parallel_loop *loop) {
    size_t grain = loop->grain > 0 ? loop->grain : 1;
    if (parallel && parallel->lanes > 1 && loop->count > grain) {
        parallel->run(parallel, loop);
        return;
    }
    for (size_t first = 0, last; first < loop->count; first = last) {
        last = loop->count - first > grain ? first + grain : loop->count;
        loop->body(loop->context, first, last, 0);
    }
}
