/* pool_feed.c - From jobs to lanes: reading the source, writing tasks, moving them between lanes. */
#include "bind/pool_core.h"

#include <string.h>

#include "base/mem.h"

#define OUT_LIMIT \
    (UINT64_C(512) << 20) /* of arguments in shared memory; a lane with fewer than 2 tasks gets one all the same */
#define SPREAD 16u        /* up to so many tasks on each lane, they are dealt out one by one */
#define RUN 32u           /* then in runs */

struct pool_codec pool_core_codec(struct core_object *core, unsigned lane) {
    return (struct pool_codec){.state = core->state, .segment = core->segment, .out = &core->arena, .in = lane + 1};
}

static bool has_room(const struct core_object *core, const struct lane_object *lane) {
    return sw_lane_has_room(&lane->lane) && (core->arena.out < OUT_LIMIT || sw_lane_load(&lane->lane) < 2);
}

bool pool_core_has_room(const struct core_object *core) {
    for (unsigned i = 0; i < core->lane_count; i++)
        if (sw_lane_load(&core->lanes[i].lane) < SW_LANE_DEPTH / 2 && has_room(core, &core->lanes[i]))
            return true;
    return false;
}

/* The lane with the fewest tasks that has room; lane_count if none has. */
static unsigned pick_lane(struct core_object *core) {
    if (core->arena.out >= OUT_LIMIT)
        sw_slab_collect(&core->arena);
    unsigned best = core->lane_count;
    uint32_t best_load = UINT32_MAX;
    for (unsigned i = 0; i < core->lane_count; i++) {
        unsigned at = (core->lane_at + i) % core->lane_count;
        uint32_t load = sw_lane_load(&core->lanes[at].lane);
        if (load < best_load && has_room(core, &core->lanes[at])) {
            best = at;
            best_load = load;
        }
    }
    return best;
}

/* All of a chain's blocks go to `holder` with `stamp`; `next` follows the last one. The first block, 0 for none. */
static uint32_t join_chain(struct core_object *core, uint32_t chain, struct sw_slab_block as, uint32_t old_stamp) {
    uint32_t first = chain;
    for (uint32_t turn = 0; chain && turn < SW_SLAB_BLOCKS; turn++) {
        struct sw_slab_block *block = &core->arena.shared->blocks[chain - 1];
        if (block->stamp != old_stamp)
            break;
        block->holder = as.holder;
        block->stamp = as.stamp;
        chain = block->chain;
        if (!chain)
            block->chain = as.chain;
    }
    return first ? first : as.chain;
}

/* A task that is written, before it has a lane. */
struct written {
    struct job_object *job;
    uint64_t index;
    uint32_t chain;
    uint32_t stamp;
    const void *bytes;
    size_t size;
};

static bool write_define(struct core_object *core, unsigned lane, const struct job_object *job, struct sw_buf *prefix,
                         struct pool_parcel *parcel) {
    struct pool_codec codec = pool_core_codec(core, lane);
    codec.stays_attached = true;
    unsigned char head[POOL_DEFINE_BYTES] = {POOL_TAG_DEFINE};
    pool_put_u32(head + 1, job->function);
    if (sw_buf_append(prefix, sw_str_make((const char *)head, sizeof head)) == SW_OK)
        return pool_encode(&codec, job->pickle, prefix, parcel);
    PyErr_NoMemory();
    return false;
}

/* The lane's worker notes from now on when a task begins, and whoever sleeps in run() awakes in time to see it. */
static void start_timing(struct core_object *core, const struct lane_object *lane, int64_t timeout_ns) {
    atomic_store_explicit(&lane->lane.shared->is_timed, 1, memory_order_relaxed);
    if (core->asleep_ns <= timeout_ns)
        return;
    core->asleep_ns = 0;
    pool_core_wake(core);
}

/* 1 when the task is on the lane, not yet published; 0 when the lane is full; -1 with an exception set. */
static int push(struct core_object *core, unsigned at, const struct written *task) {
    struct lane_object *lane = &core->lanes[at];
    struct job_object *job = task->job;
    unsigned slot = job->function % POOL_FUNCTIONS;
    struct sw_buf define = {0};
    struct pool_parcel parcel = {0};
    bool is_new = lane->defined[slot] != job->function;
    if (is_new && !write_define(core, at, job, &define, &parcel)) {
        sw_buf_release(&define);
        return -1;
    }
    /* Nothing below runs other threads. */
    bool is_other = is_new || lane->function != job->function || lane->call != job->call;
    size_t prefix = define.len + (is_other ? POOL_USE_BYTES : 0);
    unsigned char *to = sw_lane_reserve(&lane->lane, prefix + task->size);
    if (!to) {
        pool_parcel_drop(&core->arena, parcel.chain, parcel.stamp);
        sw_buf_release(&define);
        return 0;
    }
    if (is_new) {
        memcpy(to, define.ptr, define.len);
        lane->defined[slot] = job->function;
        lane->defined_at[slot] = lane->lane.next;
    }
    if (is_other) {
        unsigned char *use = to + define.len;
        use[0] = POOL_TAG_USE;
        *pool_put_u32(use + 1, job->function) = (unsigned char)job->call;
        lane->function = job->function;
        lane->call = job->call;
    }
    memcpy(to + prefix, task->bytes, task->size);
    struct sw_slab_block as = {.holder = at + 1, .stamp = task->stamp ? task->stamp : parcel.stamp};
    as.chain = join_chain(core, task->chain, as, task->stamp);
    struct sw_lane_task noted = {.job = job, .index = task->index, .value_chain = as.chain, .stamp = as.stamp};
    noted.chain = join_chain(core, parcel.chain, as, parcel.stamp);
    if (job->timeout_ns > 0)
        start_timing(core, lane, job->timeout_ns);
    atomic_store_explicit(&lane->lane.shared->claim, job->claim, memory_order_relaxed);
    Py_INCREF((PyObject *)job);
    sw_lane_commit(&lane->lane, prefix, prefix + task->size, noted);
    sw_buf_release(&define);
    return 1;
}

static bool stash(struct core_object *core, const struct written *task) {
    struct stashed *item = sw_alloc(sizeof(*item) + task->size);
    if (!item) {
        PyErr_NoMemory();
        return false;
    }
    *item = (struct stashed){.job = (struct job_object *)Py_NewRef((PyObject *)task->job),
                             .index = task->index,
                             .chain = task->chain,
                             .stamp = task->stamp,
                             .size = task->size};
    memcpy(item->bytes, task->bytes, task->size);
    *core->stash_end = item;
    core->stash_end = &item->next;
    return true;
}

bool pool_core_stash(struct core_object *core, const struct sw_lane_task *task, const unsigned char *bytes,
                     size_t size) {
    return stash(core, &(struct written){.job = task->job,
                                         .index = task->index,
                                         .chain = task->chain,
                                         .stamp = task->stamp,
                                         .bytes = bytes,
                                         .size = size});
}

void pool_core_strip(struct core_object *core, struct sw_lane_task *task) {
    struct sw_slab_block *blocks = core->arena.shared->blocks;
    uint32_t link = task->chain;
    for (uint32_t turn = 0; link != task->value_chain && turn < SW_SLAB_BLOCKS; turn++) {
        uint32_t number = link - 1;
        if (number >= SW_SLAB_BLOCKS || blocks[number].stamp != task->stamp)
            break; /* a worker wrote where it must not */
        link = blocks[number].chain;
        if (atomic_load(&blocks[number].state) == SW_SLAB_FILLED)
            sw_slab_give(&core->arena, number);
    }
    task->chain = task->value_chain;
}

static bool place(struct core_object *core, const struct written *task, bool is_urgent) {
    unsigned was = core->lane_at;
    const struct sw_lane *now = &core->lanes[was].lane;
    uint32_t load = sw_lane_load(now);
    if (load < SPREAD || load % RUN == 0 || !has_room(core, &core->lanes[was]))
        core->lane_at = pick_lane(core);
    if (core->lane_at != was)
        sw_lane_publish(&core->lanes[was].lane);
    if (core->lane_at == core->lane_count) {
        core->lane_at = was;
        return stash(core, task);
    }
    int pushed = push(core, core->lane_at, task);
    if (pushed == 0)
        return stash(core, task);
    if (pushed > 0 && is_urgent)
        sw_lane_publish(&core->lanes[core->lane_at].lane);
    return pushed > 0;
}

static bool place_stash(struct core_object *core) {
    while (core->stash && pick_lane(core) < core->lane_count) {
        struct stashed *item = core->stash;
        core->stash = item->next;
        if (!core->stash)
            core->stash_end = &core->stash;
        bool is_ok = place(core,
                           &(struct written){.job = item->job,
                                             .index = item->index,
                                             .chain = item->chain,
                                             .stamp = item->stamp,
                                             .bytes = item->bytes,
                                             .size = item->size},
                           true);
        Py_DECREF((PyObject *)item->job);
        sw_free(item);
        if (!is_ok)
            return false;
    }
    return true;
}

/* What the source gives may close the stream, or let another thread do so: it must not lose what runs. */
static PyObject *next_of_source(const struct job_object *job) {
    PyObject *source = Py_XNewRef(job->source);
    PyObject *item = source ? PyIter_Next(source) : NULL;
    Py_XDECREF(source);
    return item;
}

/* The next argument; NULL without an exception at the end. */
static PyObject *next_item(struct job_object *job) {
    if (!job->items)
        return next_of_source(job);
    bool is_list = PyList_CheckExact(job->items);
    uint64_t count = (uint64_t)(is_list ? PyList_GET_SIZE(job->items) : PyTuple_GET_SIZE(job->items));
    if (job->fed >= count)
        return NULL;
    Py_ssize_t at = (Py_ssize_t)job->fed;
    return Py_NewRef(is_list ? PyList_GET_ITEM(job->items, at) : PyTuple_GET_ITEM(job->items, at));
}

/* Writes one argument and gives it to a lane. `item` is borrowed. */
static bool feed_item(struct core_object *core, struct job_object *job, uint64_t index, PyObject *item,
                      struct sw_buf *out) {
    struct pool_codec codec = pool_core_codec(core, 0);
    struct pool_parcel parcel;
    out->len = 0;
    if (!pool_encode(&codec, item, out, &parcel))
        return pool_job_fail_raised(core, job, index);
    if (job->is_cancelled) { /* meanwhile: pickling may let other threads run */
        pool_parcel_drop(&core->arena, parcel.chain, parcel.stamp);
        return pool_job_complete(core, job, index, NULL, false);
    }
    if (parcel.has_handles || job->retries > 0) {
        PyObject *key = PyLong_FromUnsignedLongLong(index);
        bool is_kept = key && PyDict_SetItem(job->kept, key, item) == 0;
        Py_XDECREF(key);
        if (!is_kept) {
            pool_parcel_drop(&core->arena, parcel.chain, parcel.stamp);
            return pool_job_fail_raised(core, job, index);
        }
    }
    struct written task = {
        .job = job, .index = index, .chain = parcel.chain, .stamp = parcel.stamp, .bytes = out->ptr, .size = out->len};
    bool is_urgent = !job->items || PyTuple_CheckExact(job->items);
    if (place(core, &task, is_urgent))
        return true;
    pool_parcel_drop(&core->arena, parcel.chain, parcel.stamp);
    return pool_job_fail_raised(core, job, index);
}

static bool grow_results(struct job_object *job) {
    return job->kind != JOB_LIST || (uint64_t)PyList_GET_SIZE(job->results) > job->fed ||
           PyList_Append(job->results, Py_None) == 0;
}

/* The job takes no more from its source. An error of it has its place in a stream, as a task's has. */
static bool end_source(struct core_object *core, struct job_object *job) {
    job->is_exhausted = true;
    Py_CLEAR(job->source);
    if (!PyErr_Occurred())
        return true;
    if (!job->failure_type || !PyErr_ExceptionMatches(PyExc_Exception))
        return false;
    core->in_flight++;
    return pool_job_fail_raised(core, job, job->fed++);
}

static bool feed_job(struct core_object *core, struct job_object *job, struct sw_buf *out) {
    while (pool_job_wants_feed(job) && !core->stash) {
        if (core->lane_at == core->lane_count || !has_room(core, &core->lanes[core->lane_at]))
            if (pick_lane(core) == core->lane_count)
                return true;
        PyObject *item = next_item(job);
        if (!item)
            return end_source(core, job);
        bool is_ok = job->is_cancelled || grow_results(job);
        if (is_ok && !job->is_cancelled) {
            core->in_flight++;
            is_ok = feed_item(core, job, job->fed++, item, out);
        }
        Py_DECREF(item);
        if (!is_ok)
            return false;
    }
    if (job->items && !job->is_exhausted) {
        Py_ssize_t count = PyList_CheckExact(job->items) ? PyList_GET_SIZE(job->items) : PyTuple_GET_SIZE(job->items);
        job->is_exhausted = job->fed >= (uint64_t)count;
    }
    return true;
}

static bool feed_queue(struct core_object *core, struct sw_buf *out) {
    while (core->queue_at < PyList_GET_SIZE(core->queue)) {
        struct job_object *job = (struct job_object *)Py_NewRef(PyList_GET_ITEM(core->queue, core->queue_at));
        bool is_ok = feed_job(core, job, out);
        bool is_fed = !pool_job_wants_feed(job);
        /* Pickling may have let other threads run, and one of them may have gone on behind this job. */
        if (is_fed && core->queue_at < PyList_GET_SIZE(core->queue) &&
            PyList_GET_ITEM(core->queue, core->queue_at) == (PyObject *)job)
            core->queue_at++;
        Py_DECREF((PyObject *)job);
        if (!is_ok || !is_fed)
            return is_ok;
    }
    if (core->queue_at == 0)
        return true;
    core->queue_at = 0;
    return PyList_SetSlice(core->queue, 0, PyList_GET_SIZE(core->queue), NULL) == 0;
}

bool pool_core_feed(struct core_object *core, struct job_object *job) {
    struct sw_buf out = {0};
    bool is_ok = place_stash(core) && feed_queue(core, &out) && (!job || feed_job(core, job, &out));
    sw_buf_release(&out);
    for (unsigned i = 0; i < core->lane_count; i++)
        sw_lane_publish(&core->lanes[i].lane);
    return is_ok;
}

/* After the last tasks from `number` on left the lane, what they told its worker is not known to it. */
static void forget_functions(struct lane_object *lane, uint32_t number) {
    lane->function = 0;
    for (unsigned i = 0; i < POOL_FUNCTIONS; i++)
        if (lane->defined[i] && (int32_t)(lane->defined_at[i] - number) >= 0)
            lane->defined[i] = 0;
}

int pool_core_move(struct core_object *core, unsigned from, unsigned to, uint32_t count) {
    struct lane_object *source = &core->lanes[from];
    sw_lane_publish(&source->lane);
    uint32_t taken = sw_lane_take_back(&source->lane, count);
    bool is_ok = true;
    for (uint32_t number = source->lane.next - taken; number != source->lane.next; number++) {
        struct sw_lane_task *task = sw_lane_task(&source->lane, number);
        size_t size;
        const unsigned char *value = sw_lane_value(&source->lane, number, &size);
        pool_core_strip(core, task);
        struct written moved = {.job = task->job,
                                .index = task->index,
                                .chain = task->chain,
                                .stamp = task->stamp,
                                .bytes = value,
                                .size = size};
        int pushed = is_ok && to < core->lane_count ? push(core, to, &moved) : 0;
        is_ok = is_ok && pushed >= 0;
        if (pushed <= 0)
            is_ok = stash(core, &moved) && is_ok;
        Py_DECREF((PyObject *)task->job);
    }
    sw_lane_drop(&source->lane, taken);
    if (taken)
        forget_functions(source, source->lane.next);
    if (to < core->lane_count)
        sw_lane_publish(&core->lanes[to].lane);
    return is_ok ? (int)taken : -1;
}
