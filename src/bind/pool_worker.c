/* pool_worker.c - What a worker process of a pool runs: claim a task, call the function, publish the result. */
#include "bind/pool.h"

#include <string.h>

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"

#define WAIT_NS SW_NS_PER_S       /* a look at signals at least once a second */
#define IDLE_NS (SW_NS_PER_S / 2) /* from then on on_idle is called about once a second */

struct function {
    uint32_t id;
    PyObject *callable; /* NULL: it could not be loaded, and `error` says why */
    PyObject *error;    /* bytes */
};

struct worker {
    struct sw_lane_worker lane;
    struct sw_slab_arena arena;
    struct pool_codec codec;
    struct sw_buf out;
    PyObject *pack_error;
    PyObject *on_idle;
    struct function functions[POOL_FUNCTIONS];
    struct function *function;
    enum pool_call call;
    unsigned forks;
    PyObject *kept; /* results that name SharedBlocks, with where they end: until the owner has read them */
};

/* The raised exception as bytes; clears it. Never fails but for memory. */
static PyObject *pack_raised(const struct worker *worker) {
    PyObject *error = pool_take_raised();
    PyObject *packed = PyObject_CallOneArg(worker->pack_error, error ? error : Py_None);
    if (packed && !PyBytes_Check(packed))
        Py_CLEAR(packed);
    if (!packed) {
        PyErr_Clear();
        packed = PyBytes_FromStringAndSize("", 0);
    }
    Py_XDECREF(error);
    return packed;
}

static bool define(struct worker *worker, struct pool_cursor *cursor) {
    uint32_t id = pool_get_u32(cursor->at);
    cursor->at += sizeof id;
    bool is_error;
    PyObject *pickle = pool_decode(&worker->codec, cursor, &is_error);
    if (!pickle)
        return false;
    PyObject *callable = PyObject_CallOneArg(worker->codec.state->loads, pickle);
    Py_DECREF(pickle);
    struct function *function = &worker->functions[id % POOL_FUNCTIONS];
    struct function old = *function;
    *function = (struct function){.id = id, .callable = callable};
    if (!callable)
        function->error = pack_raised(worker);
    Py_XDECREF(old.callable);
    Py_XDECREF(old.error);
    return true;
}

/* What precedes the task's value. False with an exception set when it makes no sense: the worker then ends. */
static bool read_prefix(struct worker *worker, struct pool_cursor *cursor) {
    while (*cursor->at == POOL_TAG_DEFINE) {
        cursor->at++;
        if (!define(worker, cursor))
            return false;
    }
    if (*cursor->at == POOL_TAG_USE) {
        uint32_t id = pool_get_u32(cursor->at + 1);
        worker->function = &worker->functions[id % POOL_FUNCTIONS];
        worker->call = (enum pool_call)cursor->at[5];
        cursor->at += POOL_USE_BYTES;
        if (worker->function->id != id)
            worker->function = NULL;
    }
    if (worker->function)
        return true;
    PyErr_SetString(PyExc_SystemError, "a task names a function that this worker was not given");
    return false;
}

static PyObject *call(const struct worker *worker, PyObject *argument) {
    PyObject *callable = worker->function->callable;
    if (worker->call == POOL_CALL_ONE)
        return PyObject_CallOneArg(callable, argument);
    if (worker->call == POOL_CALL_KEYWORDS)
        return PyObject_Call(callable, PyTuple_GET_ITEM(argument, 0), PyTuple_GET_ITEM(argument, 1));
    PyObject *args = PySequence_Tuple(argument);
    PyObject *result = args ? PyObject_Call(callable, args, NULL) : NULL;
    Py_XDECREF(args);
    return result;
}

/* Results whose bytes the owner has read need not be kept any longer. */
static void drop_kept(struct worker *worker) {
    uint64_t read = atomic_load_explicit(&worker->lane.shared->result_head, memory_order_acquire);
    while (PyList_GET_SIZE(worker->kept) > 0) {
        PyObject *oldest = PyList_GET_ITEM(worker->kept, 0);
        if (PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(oldest, 0)) > read)
            return;
        if (PySequence_DelItem(worker->kept, 0) != 0)
            return;
    }
}

static void keep(struct worker *worker, PyObject *result) {
    PyObject *entry = Py_BuildValue("(KO)", (unsigned long long)worker->lane.result_tail, result);
    if (!entry || PyList_Append(worker->kept, entry) != 0)
        PyErr_Clear();
    Py_XDECREF(entry);
}

static void wait_forever(void) {
    for (;;)
        pause(); /* condemned: the kill is on its way */
}

/* Writes `result`, or if NULL or unwritable the raised exception, to `out`; which is in `*is_error`. False with an
 * exception set if even that failed. */
static bool encode_result(struct worker *worker, PyObject *result, struct pool_parcel *parcel, bool *is_error) {
    worker->out.len = 0;
    *is_error = !result || !pool_encode(&worker->codec, result, &worker->out, parcel);
    if (!*is_error)
        return true;
    PyObject *packed = pack_raised(worker);
    bool is_ok = packed && pool_encode_error(&worker->codec, packed, &worker->out, parcel);
    Py_XDECREF(packed);
    return is_ok;
}

/* Publishes what `out` holds. False with an exception set by a signal's handler. */
static bool publish(struct worker *worker) {
    size_t size = worker->out.len;
    unsigned char *to;
    while (!(to = sw_lane_result_reserve(&worker->lane, size))) {
        Py_BEGIN_ALLOW_THREADS
        sw_lane_wait_room(&worker->lane, size, WAIT_NS);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() != 0)
            return false;
    }
    memcpy(to, worker->out.ptr, size);
    if (!sw_lane_finish(&worker->lane))
        wait_forever();
    sw_lane_result_publish(&worker->lane, size);
    return true;
}

static bool run_task(struct worker *worker) {
    const unsigned char *at = sw_lane_begin(&worker->lane);
    struct pool_cursor cursor = {.at = at, .end = at + SW_LANE_RUN_BYTES};
    if (!read_prefix(worker, &cursor))
        return false;
    bool is_error;
    PyObject *argument = pool_decode(&worker->codec, &cursor, &is_error);
    sw_lane_consume(&worker->lane, (size_t)(cursor.at - at));
    struct pool_parcel parcel = {0};
    PyObject *result = NULL;
    bool is_encoded;
    bool is_failure = true;
    worker->out.len = 0;
    if (argument && !worker->function->callable) {
        is_encoded = pool_encode_error(&worker->codec, worker->function->error, &worker->out, &parcel);
    } else {
        result = argument ? call(worker, argument) : NULL;
        if (worker->forks != pool_fork_count())
            _exit(0); /* the task forked, and this is the child: it must not go on as a second worker */
        is_encoded = encode_result(worker, result, &parcel, &is_failure);
    }
    Py_XDECREF(argument);
    bool is_ok = is_encoded && publish(worker);
    if (is_ok && is_failure)
        sw_lane_tell_failure(&worker->lane);
    if (is_ok && parcel.has_handles)
        keep(worker, result);
    Py_XDECREF(result);
    if (PyList_GET_SIZE(worker->kept) > 0)
        drop_kept(worker);
    return is_ok;
}

static bool call_idle(const struct worker *worker) {
    PyObject *result = PyObject_CallNoArgs(worker->on_idle);
    Py_XDECREF(result);
    return result != NULL;
}

/* False when the lane closes, or with an exception set. */
static bool wait_task(struct worker *worker) {
    int64_t since_ns = sw_clock_mono_ns();
    for (;;) {
        bool is_closing = false;
        bool has_task;
        drop_kept(worker);
        Py_BEGIN_ALLOW_THREADS
        has_task = sw_lane_next(&worker->lane, WAIT_NS, &is_closing);
        Py_END_ALLOW_THREADS
        if (has_task)
            return true;
        if (is_closing || PyErr_CheckSignals() != 0)
            return false;
        if (sw_clock_mono_ns() - since_ns > IDLE_NS && !call_idle(worker))
            return false;
    }
}

/* Before the worker leaves at its limit: the SharedArrays it returned are found through this process, so it stays until
 * the owner has read them. If the pool ends first, the lane closes or the template kills us. */
static bool wait_kept(struct worker *worker) {
    const struct sw_lane_shared *shared = worker->lane.shared;
    while (PyList_GET_SIZE(worker->kept) > 0 && !atomic_load_explicit(&shared->is_closing, memory_order_acquire)) {
        Py_BEGIN_ALLOW_THREADS
        sw_lane_wait_read(&worker->lane, WAIT_NS);
        Py_END_ALLOW_THREADS
        drop_kept(worker);
        if (PyErr_CheckSignals() != 0)
            return false;
    }
    return true;
}

/* Runs `limit` tasks (0: no limit), fewer if the lane closes; how many. An exception may be set. */
static unsigned long long run_tasks(struct worker *worker, unsigned long long limit) {
    unsigned long long done = 0;
    bool is_ok = true;
    while (is_ok && (limit == 0 || done < limit)) {
        unsigned long long left = limit - done;
        worker->lane.claim_max = limit == 0 ? 0 : left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
        if (!sw_lane_try_next(&worker->lane) && !wait_task(worker))
            return done;
        is_ok = run_task(worker);
        done++;
    }
    if (is_ok)
        wait_kept(worker);
    return done;
}

static PyObject *work(PyObject *module, PyObject *args) {
    struct pool_state *state = PyModule_GetState(module);
    PyObject *segment;
    PyObject *pack_error;
    PyObject *on_idle;
    unsigned index;
    int wake_fd;
    unsigned long long limit;
    if (!PyArg_ParseTuple(args, "O!IiOOK:work", state->segment_type, &segment, &index, &wake_fd, &pack_error, &on_idle,
                          &limit))
        return NULL;
    const struct sw_segment *shared = &((struct segment_object *)segment)->segment;
    if (index >= shared->workers) {
        PyErr_SetString(PyExc_ValueError, "there is no such worker");
        return NULL;
    }
    struct worker worker = {.lane = {.shared = sw_segment_lane(shared, index), .wake_fd = wake_fd},
                            .pack_error = pack_error,
                            .on_idle = on_idle,
                            .forks = pool_fork_count(),
                            .kept = PyList_New(0)};
    sw_slab_open(&worker.arena, sw_segment_slabs(shared, index + 1), sw_segment_arena(shared, index + 1),
                 shared->arena_bytes);
    worker.codec =
        (struct pool_codec){.state = state, .segment = (struct segment_object *)segment, .out = &worker.arena, .in = 0};
    atomic_store(&worker.lane.shared->is_ready, 1);
    unsigned long long done = worker.kept ? run_tasks(&worker, limit) : 0;
    for (unsigned i = 0; i < POOL_FUNCTIONS; i++) {
        Py_XDECREF(worker.functions[i].callable);
        Py_XDECREF(worker.functions[i].error);
    }
    sw_buf_release(&worker.out);
    Py_XDECREF(worker.kept);
    return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(done);
}

static PyObject *die_with_parent(PyObject *module, PyObject *args) {
    int parent;
    if (!PyArg_ParseTuple(args, "i:die_with_parent", &parent))
        return NULL;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (getppid() != parent)
        _exit(1); /* it died before the kernel was asked */
    Py_RETURN_NONE;
}

/* A handler, unlike SIG_IGN, is not inherited by the programs a task starts: Ctrl-C still ends those. */
static void ignore(int number) {
}

static PyObject *reset_signals(PyObject *module, PyObject *unused) {
    static const int defaults[] = {SIGTERM, SIGCHLD, SIGALRM, SIGHUP, SIGUSR1, SIGUSR2};
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        sigaction(defaults[i], &action, NULL);
    action = (struct sigaction){.sa_handler = ignore, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    Py_RETURN_NONE;
}

PyMethodDef pool_worker_methods[] = {
    {"work", work, METH_VARARGS,
     "work(segment, index, wake_fd, pack_error, on_idle, limit, /)\n--\n\n"
     "Runs the tasks of one lane until it closes, or `limit` tasks (0: no limit); how many."},
    {"die_with_parent", die_with_parent, METH_VARARGS,
     "die_with_parent(parent, /)\n--\n\nHas this process killed when `parent`, its parent with one thread, ends."},
    {"reset_signals", reset_signals, METH_NOARGS,
     "reset_signals()\n--\n\n"
     "Forgets the handlers inherited from the owner: SIGINT does nothing here, other signals what they do by default."},
    {NULL, NULL, 0, NULL},
};
