/* gil.h - The GIL of an interpreter, looked at from outside: who holds it, how often it changed hands, who waits.
 *
 * From 3.12 on each interpreter may have its own; up to 3.11 there is one. Free-threaded builds have none (unless it was
 * switched on).
 */
#ifndef SW_PROBE_GIL_H
#define SW_PROBE_GIL_H

#include "probe/runtime.h"
#include "probe/thread_state.h"

struct sw_gil_look {
    int64_t mono_ns;
    uint64_t holder;   /* PyThreadState; 0: free */
    uint64_t last;     /* the one that held it last, or holds it; it may have ended since */
    uint64_t switches; /* hand-overs so far */
    bool is_known;     /* false: this interpreter has no GIL, or it could not be read */
};

/* One read of the target. SW_CLOSED, SW_IO as sw_target_read; *look is filled on SW_OK. */
SW_MUST_USE enum sw_status sw_gil_look(const struct sw_runtime *runtime, const struct sw_interpreter *interpreter,
                                       struct sw_gil_look *look);
/* Whether a blocked thread waits for the GIL whose struct is at `gil`: a futex inside the GIL's condition variable or
 * mutex, and not the second condition variable, in which a thread that let go waits for the next one to take it. */
bool sw_gil_is_awaited(const struct sw_runtime *runtime, uint64_t gil, const struct sw_thread_look *look);

/* The few bytes (24) of the struct that tell of the holder, for those who read several GILs in one system call. */
#define SW_GIL_RANGE_MAX 64
struct sw_gil_range {
    uint64_t address;
    uint32_t size_bytes;
};
/* False when there is no GIL at `gil` or its layout is not known. */
bool sw_gil_range(const struct sw_runtime *runtime, uint64_t gil, struct sw_gil_range *range);
void sw_gil_range_decode(const struct sw_runtime *runtime, const void *bytes, struct sw_gil_look *look);

enum sw_gil_place {
    SW_GIL_ELSEWHERE,   /* not blocked by the GIL */
    SW_GIL_AWAITED,     /* waits to get it */
    SW_GIL_HANDED_OVER, /* let go on request, and waits until another thread has taken it */
};
enum sw_gil_place sw_gil_place_of(const struct sw_runtime *runtime, uint64_t gil, const struct sw_thread_look *look);

#endif
