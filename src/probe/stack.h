/* stack.h - The Python stacks of all threads of a process, read in one system call and accepted only when consistent.
 *
 * Each round reads, for every thread that may have run since: what held its frames before (the used part of its data
 * stack, frames on the C stack and in generators), outer frames first; its innermost frame's address; and the frames
 * again, inner ones first and a third time: all in one process_vm_readv (layout in stack_impl.h). A stack is exact when all
 * copies agree on every frame but the leaf's instruction, and each frame can have called the next one (from 3.11 on,
 * stack_call.c); else it is tried again, at most SW_STACK_TRIES times; then the outer frames that stand are given and the
 * stack is partial. Nothing is stopped, nothing is written. A thread that did not hold the GIL since is not read again.
 */
#ifndef SW_PROBE_STACK_H
#define SW_PROBE_STACK_H

#include "probe/code.h"
#include "probe/gil.h"

#define SW_STACK_TRIES 3
#define SW_STACK_DEPTH_MAX 8192 /* deeper ones keep their innermost and outermost halves */

enum sw_stack_quality {
    SW_STACK_EXACT,
    SW_STACK_PARTIAL, /* outer frames only; the innermost were in flux */
    SW_STACK_FAILED,  /* nothing could be said */
    SW_STACK_EMPTY,   /* the thread runs no Python code (now) */
};

struct sw_frame {
    const struct sw_code *code; /* NULL: a mark where C code called into Python (an entry into the interpreter) */
    int32_t offset;             /* of the instruction, bytes into the bytecode */
    int32_t line;               /* 0: none */
    uint64_t address;           /* of the _PyInterpreterFrame (or PyFrameObject) */
    uint64_t locals;            /* address of localsplus */
};

struct sw_stack {
    struct sw_thread_ref thread;
    int64_t mono_ns; /* of the system call that read it */
    enum sw_stack_quality quality;
    const struct sw_frame *frames; /* innermost first; valid until the next round */
    size_t frame_count;
    size_t omitted;       /* frames left out in the middle of too deep a stack */
    uint64_t fingerprint; /* equal fingerprints: the same frames at the same lines (64-bit hash) */
    bool holds_gil;       /* at the moment of the read; false when free-threaded */
};

struct sw_stack_reader;

struct sw_stack_options {
    bool has_marks; /* give entries from C as frames without code, to merge native stacks */
};

SW_MUST_USE enum sw_status sw_stack_reader_new(struct sw_stack_reader **reader, const struct sw_runtime *runtime,
                                               const struct sw_stack_options *options);
void sw_stack_reader_free(struct sw_stack_reader *reader);

/* Reads all threads, or those whose tid is in `tids` when `tid_count` > 0. Threads that came or went since the last round
 * are noticed. `*stacks` is owned by the reader. SW_CLOSED: the process is gone (or exec'ed: open it anew). */
SW_MUST_USE enum sw_status sw_stack_read(struct sw_stack_reader *reader, const int32_t *tids, size_t tid_count,
                                         const struct sw_stack **stacks, size_t *count);
/* The GIL of interpreter `index` of the last round, as seen by the same read. */
struct sw_gil_look sw_stack_gil(const struct sw_stack_reader *reader, size_t index);
/* Interpreters and threads as of the last round. */
const struct sw_thread_list *sw_stack_threads(const struct sw_stack_reader *reader);
struct sw_code_cache *sw_stack_code_cache(struct sw_stack_reader *reader);

struct sw_stack_counts {
    uint64_t exact, partial, failed, empty;
    uint64_t tries, system_calls;
};
struct sw_stack_counts sw_stack_counts(const struct sw_stack_reader *reader);

#endif
