/* gil_observer.h - Watches the GIL of an experiment's subject from outside, on a thread of its own. */
#ifndef SW_CLI_GIL_OBSERVER_H
#define SW_CLI_GIL_OBSERVER_H

#include "cli/gil_experiment.h"

struct sw_gil_observer;

/* Returns at once; the interpreter is looked for until it is there. */
SW_MUST_USE enum sw_status sw_gil_observer_start(struct sw_gil_observer **observer, pid_t pid, struct sw_error *err);
/* Ends the watching and fills the subject's version and has_gil. Fails with the reason when nothing was seen. */
SW_MUST_USE enum sw_status sw_gil_observer_stop(struct sw_gil_observer *observer, struct sw_gil_subject *subject,
                                                struct sw_error *err);
/* After stop: fills result->seen by thread id; the spans belong to the observer. */
void sw_gil_observer_take(const struct sw_gil_observer *observer, struct sw_gil_result *result);
void sw_gil_observer_free(struct sw_gil_observer *observer); /* NULL is fine */

#endif
