/* pool_core.h - The owner's side of a pool in Python: jobs, and the core that hands their tasks to the lanes. */
#ifndef SW_BIND_POOL_CORE_H
#define SW_BIND_POOL_CORE_H

#include "bind/pool.h"

enum job_kind {
    JOB_LIST,      /* results by index in a list; ready when all are there, or one failed */
    JOB_ORDERED,   /* results by index, taken in their order */
    JOB_UNORDERED, /* results in the order they come */
};

/* Some tasks with one function. */
struct job_object {
    PyObject_HEAD
    enum job_kind kind;
    enum pool_call call;
    uint32_t function;       /* id */
    PyObject *pickle;        /* of the function, bytes */
    PyObject *items;         /* a list or tuple, or NULL */
    PyObject *source;        /* an iterator where there are no items */
    PyObject *results;       /* list (JOB_LIST, JOB_UNORDERED) or dict by index */
    PyObject *kept;          /* dict: arguments by index that must live, or be there for a retry */
    PyObject *tries;         /* dict: by index, how often the task was lost; NULL: none was */
    PyObject *error;         /* the first failure of a JOB_LIST */
    PyObject *waiter;        /* called when there is something to do for who waits for it; then forgotten */
    PyObject *done_callback; /* called with the job once it is complete, by the one who delivers; then forgotten */
    PyObject *failure_type;  /* wraps an error as a result; NULL: JOB_LIST fails with the first one */
    uint64_t fed;            /* tasks taken from the source */
    uint64_t done;           /* of these, with a result, or dropped */
    uint64_t taken;          /* of these, seen by the consumer */
    uint64_t limit;          /* fed - taken at most */
    uint32_t claim;          /* tasks per claim, 0 by time */
    int64_t timeout_ns;
    unsigned retries;
    bool is_exhausted;
    bool is_cancelled;
};

struct lane_object {
    struct sw_lane lane;
    uint32_t function; /* used by the last task, 0: none */
    enum pool_call call;
    uint32_t defined[POOL_FUNCTIONS];    /* ids the worker has, 0: none */
    uint32_t defined_at[POOL_FUNCTIONS]; /* the task that defined it */
    bool is_condemned;                   /* its running task ran out of time; to be killed */
    bool is_told;                        /* take_condemned() told */
    bool is_broken;                      /* its results make no sense; to be killed */
};

/* A task that has its bytes and no lane: taken back, or from a worker that died. */
struct stashed {
    struct stashed *next;
    struct job_object *job; /* owned */
    uint64_t index;
    uint32_t chain;
    uint32_t stamp;
    size_t size;
    unsigned char bytes[];
};

struct core_object {
    PyObject_HEAD
    struct pool_state *state;
    struct segment_object *segment;
    struct sw_slab_arena arena;
    struct lane_object *lanes; /* owned */
    unsigned lane_count;
    unsigned lane_at; /* the lane that takes the next tasks */
    unsigned forks;
    int wake_fd;
    int control_fd;
    uint32_t function_count;
    uint64_t in_flight;    /* tasks on lanes or stashed */
    struct stashed *stash; /* owned */
    struct stashed **stash_end;
    PyObject *queue;      /* list of jobs fed by whoever drives */
    Py_ssize_t queue_at;  /* the first that is not exhausted */
    PyObject *deliveries; /* list of callables for who drives to call */
    PyObject *unpack_error;
    int64_t asleep_ns; /* how long run() sleeps at most now; 0: it does not */
    bool is_kicked;    /* run() is to return */
};

/* Whether this is the process that made the pool; false with RuntimeError set in a child that was forked since. */
bool pool_core_check_owner(const struct core_object *core);
/* Fills lanes from the stash, the queue and `job` (may be NULL) as far as they, and the job's limit, allow. False with an
 * exception set, which is of the job's source, of memory or Ctrl-C: errors of a task are its result. */
bool pool_core_feed(struct core_object *core, struct job_object *job);
bool pool_core_has_room(const struct core_object *core);
bool pool_job_wants_feed(const struct job_object *job);
/* Whether who waits for the job can go on: its result, or for a stream its next result, is there. */
bool pool_job_is_ready(const struct job_object *job);
/* Gives a task its result; steals `value`. `is_error`: value is the exception. False with an exception set. */
bool pool_job_complete(struct core_object *core, struct job_object *job, uint64_t index, PyObject *value,
                       bool is_error);
/* As pool_job_complete, with the raised exception. What is no Exception (Ctrl-C) is then raised all the same. */
bool pool_job_fail_raised(struct core_object *core, struct job_object *job, uint64_t index);
/* Has a run() that sleeps in another thread look around. */
void pool_core_wake(struct core_object *core);
/* Before a task that was not begun leaves its lane: frees the blocks of what it told that lane's worker. */
void pool_core_strip(struct core_object *core, struct sw_lane_task *task);
/* Puts a task's bytes into the stash. */
bool pool_core_stash(struct core_object *core, const struct sw_lane_task *task, const unsigned char *bytes,
                     size_t size);
/* Up to `count` unclaimed tasks of lane `from` move to `to`; how many, -1 with an exception set. */
int pool_core_move(struct core_object *core, unsigned from, unsigned to, uint32_t count);
/* Reads every result that is there. How many; -1 with an exception set. */
Py_ssize_t pool_core_drain(struct core_object *core, unsigned lane);
struct pool_codec pool_core_codec(struct core_object *core, unsigned lane);
PyObject *pool_core_run(PyObject *core, PyObject *args); /* the method run() */

#endif
