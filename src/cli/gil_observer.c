/* gil_observer.c - A thread that follows the GIL of an experiment's subject; see gil_observer.h. */
#include "cli/gil_observer.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "probe/gil_timeline.h"

#define LOOKS_HZ 5000.0 /* a tenth of the shortest switch interval people set; more would take CPU from the subject */
#define ATTACH_POLL_NS (2 * SW_NS_PER_MS)

struct sw_gil_observer {
    pid_t pid;
    struct sw_thread thread;
    atomic_bool is_stopping;
    /* Written by the thread, read after it has been joined. */
    struct sw_target target;
    struct sw_runtime runtime;
    struct sw_gil_timeline *timeline;
    bool has_runtime;
    bool has_no_gil;
    struct sw_error error; /* why nothing was seen */
};

/* The interpreter takes a moment to come up; wrappers (shims, shells) exec it. */
static enum sw_status attach(struct sw_gil_observer *observer) {
    enum sw_status status = SW_AGAIN;
    while (status && status != SW_PERM && status != SW_UNSUPPORTED && !atomic_load(&observer->is_stopping)) {
        status = sw_target_open(&observer->target, observer->pid, &observer->error);
        if (!status) {
            status = sw_runtime_open(&observer->runtime, &observer->target, &observer->error);
            observer->has_runtime = !status;
        }
        if (!status)
            return SW_OK;
        sw_target_close(&observer->target);
        sw_clock_sleep_ns(ATTACH_POLL_NS);
    }
    return status;
}

/* The first interpreter's GIL exists a moment later than its runtime. */
static enum sw_status timeline_open(struct sw_gil_observer *observer) {
    struct sw_gil_timeline_options options = {.rate_hz = LOOKS_HZ, .has_no_functions = true};
    enum sw_status status = SW_AGAIN;
    int64_t deadline = sw_clock_mono_ns() + SW_NS_PER_S;
    while (status && !atomic_load(&observer->is_stopping) && sw_clock_mono_ns() < deadline) {
        status = sw_gil_timeline_new(&observer->timeline, &observer->runtime, &options, &observer->error);
        if (status == SW_UNSUPPORTED && observer->runtime.is_free_threaded)
            observer->has_no_gil = true;
        if (status)
            sw_clock_sleep_ns(ATTACH_POLL_NS);
        if (observer->has_no_gil)
            break;
    }
    return status;
}

static void observer_main(void *context) {
    struct sw_gil_observer *observer = context;
    if (attach(observer) || timeline_open(observer))
        return;
    (void)!sw_gil_timeline_run(observer->timeline, INT64_MAX, &observer->is_stopping);
    sw_gil_timeline_end(observer->timeline);
}

enum sw_status sw_gil_observer_start(struct sw_gil_observer **observer, pid_t pid, struct sw_error *err) {
    struct sw_gil_observer *made = sw_alloc_zero(sizeof *made);
    if (!made)
        return sw_fail(err, SW_NOMEM, "out of memory");
    made->pid = pid;
    enum sw_status status = sw_thread_start(&made->thread, "gil-observer", -1, observer_main, made, err);
    if (status)
        sw_free(made);
    else
        *observer = made;
    return status;
}

enum sw_status sw_gil_observer_stop(struct sw_gil_observer *observer, struct sw_gil_subject *subject,
                                    struct sw_error *err) {
    atomic_store(&observer->is_stopping, true);
    sw_thread_join(&observer->thread);
    if (observer->has_runtime)
        snprintf(subject->version, sizeof subject->version, "%s", observer->runtime.version_text);
    subject->has_gil = !observer->has_no_gil;
    if (observer->timeline || observer->has_no_gil)
        return SW_OK;
    return sw_fail(err, SW_CLOSED, "%s", observer->error.text[0] ? observer->error.text : "it ended too soon");
}

void sw_gil_observer_take(const struct sw_gil_observer *observer, struct sw_gil_result *result) {
    size_t count = observer->timeline ? sw_gil_timeline_count(observer->timeline) : 0;
    for (size_t i = 0; i < count; i++) {
        struct sw_gil_thread thread = sw_gil_timeline_thread(observer->timeline, i);
        for (unsigned k = 0; k <= result->phase.plan->workers; k++) {
            struct sw_gil_thread_seen *seen = &result->seen[k];
            if (seen->tid != thread.tid || thread.tid == 0 || thread.last_ns < result->phase.start_mono_ns)
                continue;
            seen->is_known = true;
            seen->handoffs = thread.handoffs;
            seen->held_ns = thread.held_ns;
            seen->waited_ns = thread.has_waits ? thread.waited_ns : -1;
            seen->observed_ns = thread.last_ns - thread.first_ns;
            seen->spans = thread.spans;
            seen->span_count = thread.span_count;
        }
    }
}

void sw_gil_observer_free(struct sw_gil_observer *observer) {
    if (!observer)
        return;
    atomic_store(&observer->is_stopping, true);
    sw_thread_join(&observer->thread);
    sw_gil_timeline_free(observer->timeline);
    if (observer->has_runtime) {
        sw_runtime_close(&observer->runtime);
        sw_target_close(&observer->target);
    }
    sw_free(observer);
}
