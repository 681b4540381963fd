/* pool_run.c - Driving a pool: reading results, giving idle workers what others have not begun, waiting. */
#include "bind/pool_core.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"

#define SPINS 100                     /* turns before the owner sleeps */
#define LOOK_NS (2 * SW_NS_PER_MS)    /* between looks at the control socket and at signals while results keep coming */
#define RELEASE_EVERY 256             /* results read before their room is given back */
#define CHECK_NS (200 * SW_NS_PER_MS) /* the longest sleep with tasks that have a time-out, or may fail a list */

/* What run() returned for. */
enum run_end { RUN_READY, RUN_FEED, RUN_ATTEND, RUN_DELIVER, RUN_TICK, RUN_IDLE };

/* Reads one result; false with an exception set. One whose reading Ctrl-C ended counts as read, as its blocks may be
 * taken already: its task fails with KeyboardInterrupt, which is raised here too. An Exception that a signal's handler
 * raises meanwhile cannot be told from the value's own: it becomes the task's. */
static bool read_result(struct core_object *core, unsigned at, const unsigned char *bytes, size_t size) {
    struct lane_object *lane = &core->lanes[at];
    struct pool_codec codec = pool_core_codec(core, at);
    struct pool_cursor cursor = {.at = bytes, .end = bytes + size};
    bool is_error;
    PyObject *value = pool_decode(&codec, &cursor, &is_error);
    if (value && is_error) {
        PyObject *error = PyObject_CallOneArg(core->unpack_error, value);
        Py_SETREF(value, error);
    }
    if (cursor.is_broken) {
        lane->is_condemned = lane->is_broken = true;
        if (!value && !PyErr_ExceptionMatches(PyExc_Exception))
            return false;
        PyErr_Clear();
        Py_XDECREF(value);
        return true;
    }
    struct sw_lane_task task = *sw_lane_task(&lane->lane, lane->lane.first);
    sw_lane_result_done(&lane->lane, (size_t)(cursor.at - bytes));
    if (task.chain)
        pool_parcel_drop(&core->arena, task.chain, task.stamp);
    bool is_ok = value ? pool_job_complete(core, task.job, task.index, value, is_error)
                       : pool_job_fail_raised(core, task.job, task.index);
    Py_DECREF((PyObject *)task.job);
    return is_ok;
}

Py_ssize_t pool_core_drain(struct core_object *core, unsigned at) {
    struct lane_object *lane = &core->lanes[at];
    Py_ssize_t count = 0;
    const unsigned char *bytes;
    size_t size;
    while (!lane->is_broken && (bytes = sw_lane_result(&lane->lane, &size))) {
        if (!read_result(core, at, bytes, size))
            return -1;
        if (++count % RELEASE_EVERY == 0)
            sw_lane_result_release(&lane->lane);
    }
    sw_lane_result_release(&lane->lane);
    return count;
}

static Py_ssize_t drain_all(struct core_object *core) {
    Py_ssize_t count = 0;
    for (unsigned i = 0; i < core->lane_count; i++) {
        Py_ssize_t some = pool_core_drain(core, i);
        if (some < 0)
            return -1;
        count += some;
    }
    return count;
}

static bool has_results(const struct core_object *core) {
    for (unsigned i = 0; i < core->lane_count; i++)
        if (!core->lanes[i].is_broken && sw_lane_has_result(&core->lanes[i].lane))
            return true;
    return false;
}

/* The lane that has most tasks behind one it runs, or for a worker that is still starting; lane_count if none has. */
static unsigned find_donor(const struct core_object *core, uint32_t *count) {
    unsigned donor = core->lane_count;
    *count = 0;
    for (unsigned i = 0; i < core->lane_count; i++) {
        const struct sw_lane *lane = &core->lanes[i].lane;
        uint32_t unclaimed = sw_lane_unclaimed(lane);
        bool is_busy =
            sw_lane_claimed(lane) > 0 || !atomic_load_explicit(&lane->shared->is_ready, memory_order_relaxed);
        if (unclaimed > *count && is_busy) {
            donor = i;
            *count = unclaimed;
        }
    }
    return donor;
}

static bool balance(struct core_object *core) {
    for (unsigned i = 0; i < core->lane_count; i++) {
        const struct sw_lane *lane = &core->lanes[i].lane;
        if (sw_lane_load(lane) > 0 || !atomic_load_explicit(&lane->shared->is_ready, memory_order_relaxed))
            continue;
        uint32_t count;
        unsigned donor = find_donor(core, &count);
        if (donor == core->lane_count)
            return true;
        if (pool_core_move(core, donor, i, (count + 1) / 2) < 0)
            return false;
    }
    return true;
}

/* Condemns tasks that ran out of time; the nanoseconds until the next may, -1 for never. */
static int64_t check_timeouts(struct core_object *core) {
    int64_t wait_ns = -1;
    int64_t now_ns = sw_clock_mono_ns();
    for (unsigned i = 0; i < core->lane_count; i++) {
        struct lane_object *lane = &core->lanes[i];
        if (!atomic_load_explicit(&lane->lane.shared->is_timed, memory_order_relaxed) ||
            sw_lane_load(&lane->lane) == 0 || lane->is_condemned)
            continue;
        uint32_t first = lane->lane.first;
        int64_t timeout_ns = ((struct job_object *)sw_lane_task(&lane->lane, first)->job)->timeout_ns;
        int64_t left_ns = CHECK_NS;
        if (timeout_ns > 0) {
            int64_t began_ns = 0;
            bool is_running = sw_lane_is_running(&lane->lane, first, &began_ns);
            left_ns = is_running ? began_ns + timeout_ns - now_ns : timeout_ns;
            if (is_running && left_ns <= 0)
                lane->is_condemned = sw_lane_condemn(&lane->lane, first);
        }
        left_ns = left_ns < 0 ? 0 : left_ns > CHECK_NS ? CHECK_NS : left_ns;
        wait_ns = wait_ns < 0 || left_ns < wait_ns ? left_ns : wait_ns;
    }
    return wait_ns;
}

static bool is_someone_condemned(const struct core_object *core) {
    for (unsigned i = 0; i < core->lane_count; i++)
        if (core->lanes[i].is_condemned && !core->lanes[i].is_told)
            return true;
    return false;
}

/* Whether only a list's tasks are under way, so that results can wait until there are many. */
static bool is_list_alone(const struct core_object *core, const struct job_object *job) {
    return job && job->kind == JOB_LIST && core->in_flight == job->fed - job->done;
}

/* When each worker is to wake us: for a list, half way through its tasks, once it has none, or when one fails the list. */
static void arm(struct core_object *core, const struct job_object *job) {
    bool is_list = is_list_alone(core, job);
    for (unsigned i = 0; i < core->lane_count; i++) {
        struct sw_lane *lane = &core->lanes[i].lane;
        uint32_t load = sw_lane_load(lane);
        uint32_t ahead = is_list && load ? (pool_job_wants_feed(job) ? load / 2 : load - 1) : 0;
        sw_lane_arm(lane, lane->first + ahead, is_list && !job->failure_type);
    }
}

static void disarm(struct core_object *core) {
    for (unsigned i = 0; i < core->lane_count; i++)
        sw_lane_disarm(&core->lanes[i].lane);
    uint64_t count;
    ssize_t ignored = read(core->wake_fd, &count, sizeof count); /* it does not block */
    (void)ignored;
}

static bool poll_control(const struct core_object *core) {
    struct pollfd fd = {.fd = core->control_fd, .events = POLLIN};
    return core->control_fd >= 0 && poll(&fd, 1, 0) > 0;
}

static bool spin(const struct core_object *core) {
    bool has = false;
    for (int i = 0; i < SPINS && !has; i++) {
        sw_bell_pause();
        has = has_results(core);
    }
    return has;
}

static struct timespec as_timespec(int64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / SW_NS_PER_S), .tv_nsec = (long)(ns % SW_NS_PER_S)};
}

/* Sleeps until a result, a message, a kick, a signal or `wait_ns` (-1: no limit). */
static void sleep_until(struct core_object *core, const struct job_object *job, int64_t wait_ns) {
    arm(core, job);
    if (!has_results(core)) {
        struct pollfd fds[] = {{.fd = core->wake_fd, .events = POLLIN}, {.fd = core->control_fd, .events = POLLIN}};
        struct timespec limit = as_timespec(wait_ns < 0 ? 0 : wait_ns);
        core->asleep_ns = wait_ns < 0 ? INT64_MAX : wait_ns;
        Py_BEGIN_ALLOW_THREADS
        ppoll(fds, core->control_fd >= 0 ? 2 : 1, wait_ns < 0 ? NULL : &limit, NULL);
        Py_END_ALLOW_THREADS
        core->asleep_ns = 0;
    }
    disarm(core);
}

static bool can_feed(const struct core_object *core, const struct job_object *job) {
    return job && pool_job_wants_feed(job) && pool_core_has_room(core);
}

/* What ends a run at once; -1 for nothing. */
static int find_end(struct core_object *core, const struct job_object *job) {
    if (PyList_GET_SIZE(core->deliveries) > 0)
        return RUN_DELIVER;
    if (job && pool_job_is_ready(job))
        return RUN_READY;
    if (is_someone_condemned(core))
        return RUN_ATTEND;
    if (can_feed(core, job))
        return RUN_FEED;
    if (!job && core->in_flight == 0 && PyList_GET_SIZE(core->queue) == 0)
        return RUN_IDLE;
    if (!core->is_kicked)
        return -1;
    core->is_kicked = false;
    return RUN_TICK;
}

static bool has_more(const struct core_object *core) {
    return (core->stash || PyList_GET_SIZE(core->queue) > 0) && pool_core_has_room(core);
}

/* One turn: what there is to read and to give. 1 if results were read, 0, or -1 with an exception set. */
static int turn(struct core_object *core) {
    Py_ssize_t count = drain_all(core);
    if (count < 0 || (has_more(core) && !pool_core_feed(core, NULL)))
        return -1;
    if (!core->stash && !balance(core))
        return -1;
    return count > 0;
}

/* Looks that are made now and then: RUN_ATTEND, RUN_TICK, -1 for nothing, -2 with an exception set. */
static int look(struct core_object *core, int64_t now_ns, int64_t tick_ns) {
    if (PyErr_CheckSignals() != 0)
        return -2;
    check_timeouts(core);
    if (poll_control(core) || is_someone_condemned(core))
        return RUN_ATTEND;
    return tick_ns > 0 && now_ns >= tick_ns ? RUN_TICK : -1;
}

/* Nothing was there: spins, then sleeps; whether it did. */
static bool wait_for_results(struct core_object *core, const struct job_object *job, int64_t tick_ns) {
    bool has;
    Py_BEGIN_ALLOW_THREADS
    has = spin(core);
    Py_END_ALLOW_THREADS
    if (has)
        return false;
    int64_t wait_ns = check_timeouts(core);
    if (tick_ns > 0) {
        int64_t left_ns = tick_ns - sw_clock_mono_ns();
        left_ns = left_ns > 0 ? left_ns : 0;
        wait_ns = wait_ns < 0 || left_ns < wait_ns ? left_ns : wait_ns;
    }
    /* A result that only here turns out to be none fails the list, and its worker does not know. */
    if (is_list_alone(core, job) && !job->failure_type && (wait_ns < 0 || wait_ns > CHECK_NS))
        wait_ns = CHECK_NS;
    if (is_someone_condemned(core))
        wait_ns = 0;
    sleep_until(core, job, wait_ns);
    return true;
}

PyObject *pool_core_run(PyObject *object, PyObject *args) {
    struct core_object *core = (struct core_object *)object;
    PyObject *job_or_none;
    long long tick_ns = 0;
    if (!PyArg_ParseTuple(args, "O|L:run", &job_or_none, &tick_ns))
        return NULL;
    if (!pool_core_check_owner(core))
        return NULL;
    struct job_object *job = job_or_none == Py_None ? NULL : (struct job_object *)job_or_none;
    if (job && !Py_IS_TYPE(job_or_none, core->state->job_type))
        return PyErr_Format(PyExc_TypeError, "run() takes a Job or None, not %.100s", Py_TYPE(job_or_none)->tp_name);
    int64_t looked_ns = 0;
    for (;;) {
        int did = turn(core);
        int end = did < 0 ? -2 : find_end(core, job);
        int64_t now_ns = sw_clock_mono_ns();
        if (end == -1 && now_ns - looked_ns > LOOK_NS) {
            looked_ns = now_ns;
            end = look(core, now_ns, tick_ns);
        }
        if (end != -1)
            return end < 0 ? NULL : PyLong_FromLong(end);
        if (!did && wait_for_results(core, job, tick_ns))
            looked_ns = 0; /* look first thing after a sleep */
    }
}
