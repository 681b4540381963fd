/* parallel.h - A loop that may run on several threads: what kernels ask for and a team of threads gives.
 *
 * A kernel takes a `struct sw_parallel *` and runs its loop through it; NULL is the caller's thread alone. pool/team.h
 * has the real one. A body must not call sw_parallel_run with the same `parallel` again.
 */
#ifndef SW_BASE_PARALLEL_H
#define SW_BASE_PARALLEL_H

#include <stddef.h>

/* Does the iterations [first, last). `lane` < sw_parallel_lanes: no two bodies of one lane run at the same time, so it
 * numbers scratch memory. */
typedef void (*sw_parallel_body)(void *context, size_t first, size_t last, unsigned lane);

struct sw_parallel_loop {
    size_t count; /* iterations */
    size_t grain; /* a body gets at most so many at once; 0 counts as 1 */
    sw_parallel_body body;
    void *context;
};

struct sw_parallel {
    unsigned lanes; /* at least 1 */
    void (*run)(struct sw_parallel *self, const struct sw_parallel_loop *loop);
};

unsigned sw_parallel_lanes(const struct sw_parallel *parallel); /* 1 for NULL */

/* Returns when every iteration is done; what the bodies wrote is then visible. Which lane does what is not defined, so
 * a result that is to be the same on any number of threads is combined in the order of the iterations. */
void sw_parallel_run(struct sw_parallel *parallel, const struct sw_parallel_loop *loop);

#endif
