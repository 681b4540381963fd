/* pool_job.c - sidewinder._pool.Job: some tasks with one function, and what became of them. */
#include "bind/pool_core.h"

#include <stddef.h>
#include <structmember.h>

bool pool_job_wants_feed(const struct job_object *job) {
    return !job->is_exhausted && !job->is_cancelled && job->fed - job->taken < job->limit;
}

static bool is_complete(const struct job_object *job) {
    return job->is_exhausted && job->done == job->fed;
}

static int has_next(const struct job_object *job) {
    if (job->kind == JOB_UNORDERED)
        return PyList_GET_SIZE(job->results) > 0;
    PyObject *key = PyLong_FromUnsignedLongLong(job->taken);
    int has = key ? PyDict_Contains(job->results, key) : -1;
    Py_XDECREF(key);
    return has;
}

bool pool_job_is_ready(const struct job_object *job) {
    if (is_complete(job) || job->is_cancelled)
        return true;
    return job->kind != JOB_LIST && has_next(job) != 0;
}

/* Steals `value`. */
static bool store(struct job_object *job, uint64_t index, PyObject *value) {
    if (job->kind == JOB_LIST)
        return PyList_SetItem(job->results, (Py_ssize_t)index, value) == 0;
    bool is_ok = false;
    if (job->kind == JOB_UNORDERED) {
        is_ok = PyList_Append(job->results, value) == 0;
    } else {
        PyObject *key = PyLong_FromUnsignedLongLong(index);
        is_ok = key && PyDict_SetItem(job->results, key, value) == 0;
        Py_XDECREF(key);
    }
    Py_DECREF(value);
    return is_ok;
}

/* Steals `error`; the result it becomes, NULL with an exception set or where the job fails as a whole. */
static PyObject *as_result(struct job_object *job, PyObject *error) {
    if (job->failure_type == Py_None)
        return error;
    PyObject *wrapped = PyObject_CallOneArg(job->failure_type, error);
    Py_DECREF(error);
    return wrapped;
}

static bool forget_index(PyObject *dict, uint64_t index) {
    if (!dict || PyDict_GET_SIZE(dict) == 0)
        return true;
    PyObject *key = PyLong_FromUnsignedLongLong(index);
    int has = key ? PyDict_Contains(dict, key) : -1;
    bool is_ok = has == 0 || (has > 0 && PyDict_DelItem(dict, key) == 0);
    Py_XDECREF(key);
    return is_ok;
}

static bool deliver(struct core_object *core, PyObject **callback) {
    PyObject *callable = *callback;
    if (!callable)
        return true;
    *callback = NULL;
    bool is_ok = PyList_Append(core->deliveries, callable) == 0;
    Py_DECREF(callable);
    return is_ok;
}

bool pool_job_complete(struct core_object *core, struct job_object *job, uint64_t index, PyObject *value,
                       bool is_error) {
    bool is_ok = true;
    if (job->is_cancelled) {
        Py_XDECREF(value);
    } else if (is_error && !job->failure_type) {
        job->is_cancelled = true;
        Py_XSETREF(job->error, value);
    } else {
        if (is_error)
            value = as_result(job, value);
        is_ok = value && store(job, index, value);
    }
    /* Only now: what ran above may have let other threads run, which must not take the job for complete. */
    job->done++;
    core->in_flight--;
    is_ok = forget_index(job->kept, index) && forget_index(job->tries, index) && is_ok;
    if (job->waiter && (pool_job_is_ready(job) || pool_job_wants_feed(job)))
        is_ok = deliver(core, &job->waiter) && is_ok;
    if (job->done_callback && (is_complete(job) || job->is_cancelled))
        is_ok = deliver(core, &job->done_callback) && is_ok;
    return is_ok;
}

bool pool_job_fail_raised(struct core_object *core, struct job_object *job, uint64_t index) {
    PyObject *error = pool_take_raised();
    bool is_exception = PyErr_GivenExceptionMatches(error, PyExc_Exception);
    bool is_ok = pool_job_complete(core, job, index, Py_NewRef(error), true);
    if (!is_exception)
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return is_ok && is_exception;
}

static PyObject *job_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"kind",  "call",       "function", "pickle",       "items", "limit",
                                        "claim", "timeout_ns", "retries",  "failure_type", NULL};
    int kind;
    int call;
    unsigned function;
    PyObject *pickle;
    PyObject *items;
    unsigned long long limit = UINT64_MAX;
    unsigned claim = 0;
    long long timeout_ns = 0;
    unsigned retries = 0;
    PyObject *failure_type = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iiISO|$KILIO:Job", (char **)(uintptr_t)names, &kind, &call,
                                     &function, &pickle, &items, &limit, &claim, &timeout_ns, &retries, &failure_type))
        return NULL;
    struct job_object *self = (struct job_object *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->kind = (enum job_kind)kind;
    self->call = (enum pool_call)call;
    self->function = function;
    self->pickle = Py_NewRef(pickle);
    self->limit = limit ? limit : 1;
    self->claim = claim;
    self->timeout_ns = timeout_ns;
    self->retries = retries;
    self->failure_type = Py_XNewRef(failure_type);
    self->kept = PyDict_New();
    self->results = kind == JOB_ORDERED ? PyDict_New() : PyList_New(0);
    if (PyList_CheckExact(items) || PyTuple_CheckExact(items))
        self->items = Py_NewRef(items);
    else
        self->source = PyObject_GetIter(items);
    if (self->items)
        self->is_exhausted = PyObject_Size(items) == 0;
    if (!self->kept || !self->results || (!self->items && !self->source))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int job_traverse(PyObject *object, visitproc visit, void *arg) {
    struct job_object *self = (struct job_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->pickle);
    Py_VISIT(self->items);
    Py_VISIT(self->source);
    Py_VISIT(self->results);
    Py_VISIT(self->kept);
    Py_VISIT(self->tries);
    Py_VISIT(self->error);
    Py_VISIT(self->waiter);
    Py_VISIT(self->done_callback);
    Py_VISIT(self->failure_type);
    return 0;
}

static int job_clear(PyObject *object) {
    struct job_object *self = (struct job_object *)object;
    Py_CLEAR(self->pickle);
    Py_CLEAR(self->items);
    Py_CLEAR(self->source);
    Py_CLEAR(self->results);
    Py_CLEAR(self->kept);
    Py_CLEAR(self->tries);
    Py_CLEAR(self->error);
    Py_CLEAR(self->waiter);
    Py_CLEAR(self->done_callback);
    Py_CLEAR(self->failure_type);
    return 0;
}

static void job_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    job_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

/* The next result of a stream. */
static PyObject *job_take(PyObject *object, PyObject *unused) {
    struct job_object *self = (struct job_object *)object;
    PyObject *value = NULL;
    if (self->kind == JOB_UNORDERED) {
        if (PyList_GET_SIZE(self->results) > 0) {
            value = Py_NewRef(PyList_GET_ITEM(self->results, 0));
            if (PyList_SetSlice(self->results, 0, 1, NULL) != 0)
                Py_CLEAR(value);
        }
    } else {
        PyObject *key = PyLong_FromUnsignedLongLong(self->taken);
        value = key ? PyDict_GetItemWithError(self->results, key) : NULL;
        Py_XINCREF(value);
        if (value && PyDict_DelItem(self->results, key) != 0)
            Py_CLEAR(value);
        Py_XDECREF(key);
    }
    if (value)
        self->taken++;
    else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_LookupError, "no result is there");
    return value;
}

/* Called where a worker died, so seldom. */
static PyObject *job_note_try(PyObject *object, PyObject *index) {
    struct job_object *self = (struct job_object *)object;
    if (!PyLong_Check(index))
        return PyErr_Format(PyExc_TypeError, "index must be an int, not %.100s", Py_TYPE(index)->tp_name);
    if (!self->tries && !(self->tries = PyDict_New()))
        return NULL;
    PyObject *before = PyDict_GetItemWithError(self->tries, index);
    if (!before && PyErr_Occurred())
        return NULL;
    PyObject *count = PyLong_FromLong(before ? PyLong_AsLong(before) + 1 : 1);
    if (count && PyDict_SetItem(self->tries, index, count) != 0)
        Py_CLEAR(count);
    return count;
}

static PyObject *job_is_ready_get(PyObject *object, void *unused) {
    return PyBool_FromLong(pool_job_is_ready((struct job_object *)object));
}

static PyObject *job_is_complete_get(PyObject *object, void *unused) {
    return PyBool_FromLong(is_complete((struct job_object *)object));
}

static PyObject *job_wants_feed_get(PyObject *object, void *unused) {
    return PyBool_FromLong(pool_job_wants_feed((struct job_object *)object));
}

static PyGetSetDef job_getset[] = {
    {"is_ready", job_is_ready_get, NULL, "Whether who waits for it can go on.", NULL},
    {"is_complete", job_is_complete_get, NULL, "Whether every task has its result.", NULL},
    {"wants_feed", job_wants_feed_get, NULL, "Whether more tasks may be taken from its source.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef job_members[] = {
    {"results", T_OBJECT, offsetof(struct job_object, results), READONLY, "What came back so far."},
    {"error", T_OBJECT, offsetof(struct job_object, error), READONLY, "The first failure, or None."},
    {"kept", T_OBJECT, offsetof(struct job_object, kept), READONLY, "Arguments that are kept, by index."},
    {"waiter", T_OBJECT, offsetof(struct job_object, waiter), 0, "Called once when who waits can go on."},
    {"done_callback", T_OBJECT, offsetof(struct job_object, done_callback), 0, "Called once when complete."},
    {"fed", T_ULONGLONG, offsetof(struct job_object, fed), READONLY, "Tasks taken from the source."},
    {"done", T_ULONGLONG, offsetof(struct job_object, done), READONLY, "Of these, tasks with a result."},
    {"taken", T_ULONGLONG, offsetof(struct job_object, taken), READONLY, "Of these, results taken."},
    {"is_cancelled", T_BOOL, offsetof(struct job_object, is_cancelled), READONLY, "Whether results are dropped."},
    {"is_exhausted", T_BOOL, offsetof(struct job_object, is_exhausted), READONLY, "Whether the source has ended."},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef job_methods[] = {
    {"note_try", job_note_try, METH_O,
     "note_try($self, index, /)\n--\n\n"
     "Counts a loss of the task while it ran; how often it was lost so far, this one included."},
    {"take", job_take, METH_NOARGS, "take($self, /)\n--\n\nThe next result of a stream; LookupError without one."},
    {NULL, NULL, 0, NULL},
};

static const char job_doc[] =
    "Job(kind, call, function, pickle, items, *, limit=..., claim=0, timeout_ns=0, retries=0, failure_type=...)\n--\n\n"
    "Tasks with one function: kind 0 a list of results, 1 a stream in order, 2 a stream as they come.";

static PyType_Slot job_slots[] = {
    {Py_tp_doc, (void *)job_doc},         {Py_tp_new, (void *)job_new},         {Py_tp_traverse, (void *)job_traverse},
    {Py_tp_clear, (void *)job_clear},     {Py_tp_dealloc, (void *)job_dealloc}, {Py_tp_methods, (void *)job_methods},
    {Py_tp_members, (void *)job_members}, {Py_tp_getset, (void *)job_getset},   {0, NULL},
};

PyType_Spec pool_job_spec = {
    .name = "sidewinder._pool.Job",
    .basicsize = sizeof(struct job_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = job_slots,
};
