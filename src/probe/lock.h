/* lock.h - Locks of a target: which one a blocked thread waits for, and which ones the frames of a stack hold.
 *
 * A lock is awaited for sure when the word that the thread sleeps on in the kernel is the one inside the lock. It is held
 * for sure when a frame's evaluation stack keeps the __exit__ of a `with` over it, or (RLock) when it says so itself.
 */
#ifndef SW_PROBE_LOCK_H
#define SW_PROBE_LOCK_H

#include "probe/frame_slots.h"
#include "probe/thread_state.h"

enum sw_lock_kind {
    SW_LOCK_PLAIN,        /* threading.Lock */
    SW_LOCK_REENTRANT,    /* threading.RLock */
    SW_LOCK_SIMPLE_QUEUE, /* queue.SimpleQueue: waits for an item */
    SW_LOCK_SEMAPHORE,    /* multiprocessing's locks and semaphores */
    SW_LOCK_INTERNAL,     /* of the interpreter: no object */
};

struct sw_lock {
    enum sw_lock_kind kind;
    uint64_t address; /* of the object; of the word waited on when there is none */
    bool is_locked;   /* at the moment it was read */
    uint64_t owner;   /* RLock: the holder's pthread; 0: none, or not known */
};

/* Which lock the thread of `stack`, blocked as `look` says, waits for. SW_NOTFOUND: for none that is known. */
SW_MUST_USE enum sw_status sw_lock_awaited(struct sw_objects *objects, const struct sw_thread_look *look,
                                           const struct sw_stack *stack, struct sw_lock *lock);
/* Reads a lock object anew; SW_NOTFOUND when it is none. */
SW_MUST_USE enum sw_status sw_lock_read(struct sw_objects *objects, uint64_t object, struct sw_lock *lock);

/* A context manager that a frame has entered and not yet left. */
struct sw_hold {
    uint64_t manager;
    uint64_t lock;    /* the manager itself, or a Condition's lock; 0: it has none */
    size_t frame;     /* index in the frames */
    bool is_released; /* a frame further in waits in Condition.wait, and has let go of the lock for that */
};

struct sw_holds {
    struct sw_hold *items;
    size_t count, cap;
};

/* Adds what `frames` (innermost first) hold. */
SW_MUST_USE enum sw_status sw_holds_add(struct sw_objects *objects, const struct sw_frame *frames, size_t count,
                                        struct sw_holds *holds);
void sw_holds_release(struct sw_holds *holds);

/* True when `frame` runs a function of this name (its last part) in a file that ends with `file`. */
bool sw_frame_runs(const struct sw_frame *frame, const char *file, const char *function);
struct sw_str sw_frame_function(const struct sw_frame *frame); /* the last part of a qualified name */

#endif
