/* pool_core.c - sidewinder._pool.Core: the lanes of a pool, and what happens when one of their workers dies. */
#include "bind/pool_core.h"

#include <unistd.h>

#include "base/mem.h"

static PyObject *core_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"segment", "wake_fd", "control_fd", "unpack_error", NULL};
    struct pool_state *state = pool_state_of(type);
    PyObject *segment;
    int wake_fd;
    int control_fd;
    PyObject *unpack_error;
    if (!state || !PyArg_ParseTupleAndKeywords(args, kwargs, "O!iiO:Core", (char **)(uintptr_t)names,
                                               state->segment_type, &segment, &wake_fd, &control_fd, &unpack_error))
        return NULL;
    struct core_object *self = (struct core_object *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    const struct sw_segment *shared = &((struct segment_object *)segment)->segment;
    self->state = state;
    self->segment = (struct segment_object *)Py_NewRef(segment);
    self->stash_end = &self->stash;
    self->forks = pool_fork_count();
    self->wake_fd = wake_fd;
    self->control_fd = control_fd;
    self->unpack_error = Py_NewRef(unpack_error);
    self->queue = PyList_New(0);
    self->deliveries = PyList_New(0);
    self->lanes = sw_alloc_array_zero(shared->workers, sizeof(*self->lanes));
    bool is_ok = self->queue && self->deliveries && self->lanes;
    for (unsigned i = 0; i < shared->workers && is_ok; i++) {
        is_ok = sw_lane_init(&self->lanes[i].lane, sw_segment_lane(shared, i)) == SW_OK;
        self->lane_count += is_ok;
    }
    sw_slab_open(&self->arena, sw_segment_slabs(shared, 0), sw_segment_arena(shared, 0), shared->arena_bytes);
    if (is_ok)
        return (PyObject *)self;
    Py_DECREF((PyObject *)self);
    return PyErr_Occurred() ? NULL : PyErr_NoMemory();
}

static int core_traverse(PyObject *object, visitproc visit, void *arg) {
    struct core_object *self = (struct core_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->queue);
    Py_VISIT(self->deliveries);
    Py_VISIT(self->unpack_error);
    for (unsigned i = 0; i < self->lane_count; i++) {
        const struct sw_lane *lane = &self->lanes[i].lane;
        for (uint32_t number = lane->first; number != lane->next; number++)
            Py_VISIT(sw_lane_task(lane, number)->job);
    }
    for (struct stashed *item = self->stash; item; item = item->next)
        Py_VISIT(item->job);
    return 0;
}

/* Forgets all tasks: each becomes `error`'s, or with NULL nobody's. False with an exception set. */
static bool abandon_lane(struct core_object *self, struct lane_object *lane, PyObject *error) {
    bool is_ok = true;
    while (lane->lane.first != lane->lane.next) {
        struct sw_lane_task task = *sw_lane_task(&lane->lane, lane->lane.first);
        lane->lane.first++;
        if (error)
            is_ok = pool_job_complete(self, task.job, task.index, Py_NewRef(error), true) && is_ok;
        Py_DECREF((PyObject *)task.job);
    }
    return is_ok;
}

static bool abandon_stash(struct core_object *self, PyObject *error) {
    bool is_ok = true;
    while (self->stash) {
        struct stashed *item = self->stash;
        self->stash = item->next;
        if (error)
            is_ok = pool_job_complete(self, item->job, item->index, Py_NewRef(error), true) && is_ok;
        Py_DECREF((PyObject *)item->job);
        sw_free(item);
    }
    self->stash_end = &self->stash;
    return is_ok;
}

static int core_clear(PyObject *object) {
    struct core_object *self = (struct core_object *)object;
    for (unsigned i = 0; i < self->lane_count; i++)
        abandon_lane(self, &self->lanes[i], NULL);
    abandon_stash(self, NULL);
    Py_CLEAR(self->queue);
    Py_CLEAR(self->deliveries);
    Py_CLEAR(self->unpack_error);
    return 0;
}

static void core_dealloc(PyObject *object) {
    struct core_object *self = (struct core_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    core_clear(object);
    for (unsigned i = 0; i < self->lane_count; i++)
        sw_lane_release(&self->lanes[i].lane);
    sw_free(self->lanes);
    Py_XDECREF((PyObject *)self->segment);
    type->tp_free(object);
    Py_DECREF(type);
}

void pool_core_wake(struct core_object *core) {
    uint64_t one = 1;
    ssize_t ignored = write(core->wake_fd, &one, sizeof one); /* at worst the counter is full, and wakes as it is */
    (void)ignored;
}

bool pool_core_check_owner(const struct core_object *self) {
    if (self->forks == pool_fork_count())
        return true;
    PyErr_SetString(PyExc_RuntimeError, "this pool belongs to the process that made it; make one in this process");
    return false;
}

static struct job_object *check_job(const struct core_object *self, PyObject *job) {
    if (Py_IS_TYPE(job, self->state->job_type))
        return (struct job_object *)job;
    PyErr_Format(PyExc_TypeError, "a Job is needed, not %.100s", Py_TYPE(job)->tp_name);
    return NULL;
}

static PyObject *none_or_null(bool is_ok) {
    return is_ok ? Py_NewRef(Py_None) : NULL;
}

static PyObject *core_feed(PyObject *object, PyObject *arg) {
    struct core_object *self = (struct core_object *)object;
    struct job_object *job = pool_core_check_owner(self) ? check_job(self, arg) : NULL;
    return job ? none_or_null(pool_core_feed(self, job)) : NULL;
}

static PyObject *core_kick(PyObject *object, PyObject *unused) {
    struct core_object *self = (struct core_object *)object;
    self->is_kicked = true;
    pool_core_wake(self);
    Py_RETURN_NONE;
}

static PyObject *core_enqueue(PyObject *object, PyObject *arg) {
    struct core_object *self = (struct core_object *)object;
    struct job_object *job = pool_core_check_owner(self) ? check_job(self, arg) : NULL;
    if (!job || PyList_Append(self->queue, arg) != 0)
        return NULL;
    return none_or_null(pool_core_feed(self, NULL));
}

static PyObject *core_new_function(PyObject *object, PyObject *unused) {
    struct core_object *self = (struct core_object *)object;
    if (!pool_core_check_owner(self))
        return NULL;
    if (++self->function_count == 0)
        self->function_count = POOL_FUNCTIONS; /* 0 means none */
    return PyLong_FromUnsignedLong(self->function_count);
}

static PyObject *core_take_deliveries(PyObject *object, PyObject *unused) {
    struct core_object *self = (struct core_object *)object;
    PyObject *fresh = PyList_New(0);
    PyObject *taken = self->deliveries;
    if (!fresh)
        return NULL;
    self->deliveries = fresh;
    return taken;
}

static PyObject *core_take_condemned(PyObject *object, PyObject *unused) {
    struct core_object *self = (struct core_object *)object;
    PyObject *lanes = PyList_New(0);
    for (unsigned i = 0; lanes && i < self->lane_count; i++) {
        if (!self->lanes[i].is_condemned || self->lanes[i].is_told)
            continue;
        PyObject *number = PyLong_FromUnsignedLong(i);
        if (!number || PyList_Append(lanes, number) != 0)
            Py_CLEAR(lanes);
        else
            self->lanes[i].is_told = true;
        Py_XDECREF(number);
    }
    return lanes;
}

static struct lane_object *check_lane(struct core_object *self, unsigned index) {
    if (index < self->lane_count)
        return &self->lanes[index];
    PyErr_SetString(PyExc_ValueError, "there is no such lane");
    return NULL;
}

/* The dead worker's running task leaves the lane for the caller; the others for the stash. */
static PyObject *bury(struct core_object *self, unsigned index) {
    struct lane_object *lane = &self->lanes[index];
    PyObject *running = Py_NewRef(Py_None);
    uint32_t stamp = 0;
    bool is_ok = true;
    bool was_running = sw_lane_claimed(&lane->lane) > 0 && sw_lane_load(&lane->lane) > 0;
    for (uint32_t number = lane->lane.first; number != lane->lane.next; number++) {
        struct sw_lane_task *task = sw_lane_task(&lane->lane, number);
        if (was_running && number == lane->lane.first) {
            stamp = task->stamp;
            Py_SETREF(running, Py_BuildValue("(OKO)", (PyObject *)task->job, (unsigned long long)task->index,
                                             lane->is_condemned && !lane->is_broken ? Py_True : Py_False));
        } else {
            size_t size;
            const unsigned char *value = sw_lane_value(&lane->lane, number, &size);
            pool_core_strip(self, task);
            is_ok = pool_core_stash(self, task, value, size) && is_ok;
        }
        Py_DECREF((PyObject *)task->job);
    }
    sw_slab_collect(&self->arena);
    sw_slab_reclaim(&self->arena, index + 1, stamp);
    sw_slab_recover(sw_segment_slabs(&self->segment->segment, index + 1));
    sw_lane_reset(&lane->lane);
    *lane = (struct lane_object){.lane = lane->lane};
    if (!is_ok)
        Py_CLEAR(running);
    return running;
}

static PyObject *core_died(PyObject *object, PyObject *args) {
    struct core_object *self = (struct core_object *)object;
    unsigned index;
    if (!PyArg_ParseTuple(args, "I:died", &index) || !pool_core_check_owner(self) || !check_lane(self, index))
        return NULL;
    if (pool_core_drain(self, index) < 0)
        return NULL;
    return bury(self, index);
}

static PyObject *core_is_ready(PyObject *object, PyObject *args) {
    struct core_object *self = (struct core_object *)object;
    unsigned index;
    const struct lane_object *lane = PyArg_ParseTuple(args, "I:is_ready", &index) ? check_lane(self, index) : NULL;
    return lane ? PyBool_FromLong((long)atomic_load(&lane->lane.shared->is_ready)) : NULL;
}

static PyObject *core_fail(PyObject *object, PyObject *args) {
    struct core_object *self = (struct core_object *)object;
    PyObject *job;
    unsigned long long index;
    PyObject *error;
    if (!PyArg_ParseTuple(args, "O!KO:fail", self->state->job_type, &job, &index, &error) ||
        !pool_core_check_owner(self))
        return NULL;
    return none_or_null(pool_job_complete(self, (struct job_object *)job, index, Py_NewRef(error), true));
}

static PyObject *core_retry(PyObject *object, PyObject *args) {
    struct core_object *self = (struct core_object *)object;
    PyObject *job_object;
    unsigned long long index;
    PyObject *item;
    if (!PyArg_ParseTuple(args, "O!KO:retry", self->state->job_type, &job_object, &index, &item) ||
        !pool_core_check_owner(self))
        return NULL;
    if (((struct job_object *)job_object)->is_cancelled)
        return none_or_null(pool_job_complete(self, (struct job_object *)job_object, index, NULL, false));
    struct sw_buf out = {0};
    struct pool_parcel parcel;
    struct pool_codec codec = pool_core_codec(self, 0);
    bool is_ok = pool_encode(&codec, item, &out, &parcel);
    if (is_ok) {
        struct sw_lane_task task = {.job = job_object, .index = index, .chain = parcel.chain, .stamp = parcel.stamp};
        is_ok = pool_core_stash(self, &task, (const unsigned char *)out.ptr, out.len);
        if (!is_ok)
            pool_parcel_drop(&self->arena, parcel.chain, parcel.stamp);
    }
    sw_buf_release(&out);
    return none_or_null(is_ok);
}

/* Takes back what of the job is at the ends of the lanes and not begun. */
static bool cancel_on_lane(struct core_object *self, unsigned index, struct job_object *job) {
    struct sw_lane *lane = &self->lanes[index].lane;
    uint32_t count = 0;
    while (count < sw_lane_load(lane) && sw_lane_task(lane, lane->next - 1 - count)->job == job)
        count++;
    return pool_core_move(self, index, self->lane_count, count) >= 0;
}

static bool cancel_in_stash(struct core_object *self, const struct job_object *job) {
    bool is_ok = true;
    struct stashed **at = &self->stash;
    while (*at) {
        struct stashed *item = *at;
        if (item->job != job) {
            at = &item->next;
            continue;
        }
        *at = item->next;
        pool_parcel_drop(&self->arena, item->chain, item->stamp);
        is_ok = pool_job_complete(self, item->job, item->index, NULL, false) && is_ok;
        Py_DECREF((PyObject *)item->job);
        sw_free(item);
    }
    self->stash_end = at;
    return is_ok;
}

static PyObject *core_cancel(PyObject *object, PyObject *arg) {
    struct core_object *self = (struct core_object *)object;
    struct job_object *job = pool_core_check_owner(self) ? check_job(self, arg) : NULL;
    if (!job)
        return NULL;
    job->is_cancelled = true;
    job->is_exhausted = true;
    Py_CLEAR(job->source);
    bool is_ok = true;
    for (unsigned i = 0; i < self->lane_count && is_ok; i++)
        is_ok = cancel_on_lane(self, i, job);
    return none_or_null(cancel_in_stash(self, job) && is_ok);
}

static PyObject *core_close(PyObject *object, PyObject *unused) {
    struct core_object *self = (struct core_object *)object;
    if (!pool_core_check_owner(self))
        return NULL;
    for (unsigned i = 0; i < self->lane_count; i++)
        sw_lane_close(&self->lanes[i].lane);
    Py_RETURN_NONE;
}

static PyObject *core_abandon(PyObject *object, PyObject *error) {
    struct core_object *self = (struct core_object *)object;
    if (!pool_core_check_owner(self))
        return NULL;
    bool is_ok = abandon_stash(self, error);
    for (unsigned i = 0; i < self->lane_count; i++)
        is_ok = abandon_lane(self, &self->lanes[i], error) && is_ok;
    self->control_fd = -1;
    return none_or_null(is_ok);
}

static PyObject *core_waiting(PyObject *object, PyObject *unused) {
    struct core_object *self = (struct core_object *)object;
    PyObject *queue = PyList_GetSlice(self->queue, self->queue_at, PyList_GET_SIZE(self->queue));
    self->queue_at = 0;
    if (queue && PyList_SetSlice(self->queue, 0, PyList_GET_SIZE(self->queue), NULL) != 0)
        Py_CLEAR(queue);
    return queue;
}

static PyMethodDef core_methods[] = {
    {"feed", core_feed, METH_O, "feed($self, job, /)\n--\n\nTakes tasks from the job's source while lanes have room."},
    {"enqueue", core_enqueue, METH_O,
     "enqueue($self, job, /)\n--\n\nHas the job, whose items are a list or tuple, fed by whoever runs the pool."},
    {"take_queue", core_waiting, METH_NOARGS, "take_queue($self, /)\n--\n\nThe jobs that wait; they are forgotten."},
    {"kick", core_kick, METH_NOARGS, "kick($self, /)\n--\n\nHas run() return, now or as soon as it is called."},
    {"new_function", core_new_function, METH_NOARGS, "new_function($self, /)\n--\n\nAn id for a function."},
    {"take_deliveries", core_take_deliveries, METH_NOARGS,
     "take_deliveries($self, /)\n--\n\nThe callables whose time has come; whoever runs the pool calls them."},
    {"take_condemned", core_take_condemned, METH_NOARGS,
     "take_condemned($self, /)\n--\n\nThe lanes whose workers are to be killed: their tasks ran out of time."},
    {"died", core_died, METH_VARARGS,
     "died($self, lane, /)\n--\n\n"
     "After the lane's worker died: its other tasks go elsewhere, the lane is new. (job, index, out of time) of the\n"
     "task it was running, or None."},
    {"is_ready", core_is_ready, METH_VARARGS,
     "is_ready($self, lane, /)\n--\n\nWhether the lane's worker, alive or dead, has come to look for tasks."},
    {"fail", core_fail, METH_VARARGS, "fail($self, job, index, error, /)\n--\n\nMakes an error the result of a task."},
    {"retry", core_retry, METH_VARARGS,
     "retry($self, job, index, item, /)\n--\n\nWrites a task again, to be run again unless the job is cancelled."},
    {"cancel", core_cancel, METH_O,
     "cancel($self, job, /)\n--\n\nTakes back tasks that have not begun; results of the others are dropped."},
    {"close", core_close, METH_NOARGS, "close($self, /)\n--\n\nHas the workers leave when they have no more tasks."},
    {"abandon", core_abandon, METH_O,
     "abandon($self, error, /)\n--\n\nAfter all workers died for good: every task fails with `error`."},
    {"run", pool_core_run, METH_VARARGS,
     "run($self, job, tick_ns=0, /)\n--\n\n"
     "Reads results and keeps workers busy until: 0 `job` is ready, 1 it wants to be fed, 2 there is a message or a task\n"
     "to be killed, 3 there is something to deliver, 4 the monotonic clock has passed `tick_ns`, or kick() was called, 5 (job None) nothing is\n"
     "left to do. One thread at a time."},
    {NULL, NULL, 0, NULL},
};

static PyObject *core_has_room_get(PyObject *object, void *unused) {
    return PyBool_FromLong(pool_core_has_room((struct core_object *)object));
}

static PyGetSetDef core_getset[] = {
    {"has_room", core_has_room_get, NULL, "Whether a task could be handed over.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const char core_doc[] = "Core(segment, wake_fd, control_fd, unpack_error)\n--\n\n"
                               "The owner's side of a pool: lanes, and the tasks on them.";

static PyType_Slot core_slots[] = {
    {Py_tp_doc, (void *)core_doc},           {Py_tp_new, (void *)core_new},
    {Py_tp_traverse, (void *)core_traverse}, {Py_tp_clear, (void *)core_clear},
    {Py_tp_dealloc, (void *)core_dealloc},   {Py_tp_methods, (void *)core_methods},
    {Py_tp_getset, (void *)core_getset},     {0, NULL},
};

PyType_Spec pool_core_spec = {
    .name = "sidewinder._pool.Core",
    .basicsize = sizeof(struct core_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = core_slots,
};
