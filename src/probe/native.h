/* native.h - The C stack of a thread of a target, copied and then unwound offline, and merged with its Python stack.
 *
 * A thread asleep in a system call needs no stop: the kernel tells its stack pointer and program counter, its stack is
 * copied in one read, and the copy counts only if the thread has not run since. A running thread is stopped alone for some
 * tens of microseconds, for its registers, its C stack and its Python stack; never are all threads. Unwinding works on
 * the copy, when the thread has long gone on. Call frame information comes from .eh_frame through elfutils, read for the
 * modules that are met only, and kept by program counter.
 *
 * Files and stacks may hold anything: every table and every search has a named bound. One thread owns an unwinder: the
 * kernel lets no other go on with a thread that it stopped. x86-64 and aarch64.
 */
#ifndef SW_PROBE_NATIVE_H
#define SW_PROBE_NATIVE_H

#include "probe/stack.h"
#include "probe/thread_state.h"

#define SW_NATIVE_FRAMES_MAX 1024
#define SW_NATIVE_STACK_BYTES_MAX (256 << 10) /* copied of a stack */

struct sw_native_frame {
    uint64_t pc;          /* in callers: of the call, not behind it */
    uint64_t offset;      /* of pc in the module's own addresses; 0 without a module */
    struct sw_str name;   /* the symbol; empty when the module has none there */
    struct sw_str module; /* base name of the file; "[vdso]"; empty when the code belongs to no file */
    bool is_eval;         /* an activation of CPython's evaluation loop: stands for Python frames */
    bool is_internal;     /* CPython's own way from one Python frame to the next; left out of merged stacks */
    bool is_start;        /* of a program or a thread, as each has it: "_start", "start_thread" */
    bool is_guessed;      /* found by scanning the stack, as call frame information or a register was missing */
};

struct sw_native_stack {
    struct sw_native_frame frames[SW_NATIVE_FRAMES_MAX]; /* innermost first; texts live as long as the unwinder */
    size_t count;
    bool is_complete; /* reached the thread's first function */
};

struct sw_native;

SW_MUST_USE enum sw_status sw_native_new(struct sw_native **native, const struct sw_target *target,
                                         struct sw_error *err);
void sw_native_free(struct sw_native *native);

/* Copies the stack of a thread that sleeps in a system call, as `look` has just told. It is for the caller to find out
 * afterwards whether the thread slept on. SW_AGAIN: it does not sleep. */
SW_MUST_USE enum sw_status sw_native_copy_blocked(struct sw_native *native, const struct sw_thread_look *look);

/* Stops thread `tid` alone (ptrace), so that its C and Python stacks can be read at one moment. SW_PERM: already traced or
 * not allowed; SW_AGAIN: it did not stop in time and goes on, see settle; SW_CLOSED: it has ended. If this process dies
 * meanwhile the kernel lets it go. Until resume, signals that would suspend this process are held back. */
SW_MUST_USE enum sw_status sw_native_stop(struct sw_native *native, int32_t tid);
SW_MUST_USE enum sw_status sw_native_copy_stopped(struct sw_native *native);
void sw_native_resume(struct sw_native *native); /* no-op when nothing is stopped */
/* A thread that did not stop in time stops later all the same: this lets it go on. Call it every millisecond or so while it
 * returns false. */
bool sw_native_settle(struct sw_native *native);

/* Unwinds the last copy. */
SW_MUST_USE enum sw_status sw_native_unwind(struct sw_native *native, struct sw_native_stack *stack);

/* A merged frame is one of the Python stack or one of the native stack. */
struct sw_merged_frame {
    const struct sw_frame *python; /* or */
    const struct sw_native_frame *native;
};

struct sw_merged_stack {
    struct sw_merged_frame frames[SW_NATIVE_FRAMES_MAX + SW_STACK_DEPTH_MAX]; /* innermost first */
    size_t count;
    bool is_matched; /* every evaluation loop had its run of Python frames */
};

/* Puts each run of Python frames (up to the mark of its entry; `python` was read with marks) in the place of its
 * evaluation loop. C frames outside of the outermost Python frame are left out if they are but the start of a program or
 * thread. Where the numbers differ, what can be matched from the end that is known is; the rest of the Python
 * frames follow, so that none is lost. */
void sw_native_merge(const struct sw_native_stack *native, const struct sw_stack *python,
                     struct sw_merged_stack *merged);

/* What both stacks of a thread are read with. */
struct sw_native_source {
    struct sw_native *native;
    struct sw_stack_reader *reader; /* with marks */
    struct sw_thread_watch *watch;
};

/* Both stacks of a thread, of one moment. About 240 KB. */
struct sw_native_look {
    bool was_running;              /* it was stopped; else it was asleep, and undisturbed */
    const struct sw_stack *python; /* valid until the reader's next round */
    struct sw_native_stack native;
    struct sw_merged_stack merged; /* points into the two */
};

/* SW_AGAIN: it moved on meanwhile, or its Python stack was in flux; SW_PERM: it runs and cannot be stopped; SW_CLOSED:
 * the thread is gone; SW_IO: its stack cannot be read. */
SW_MUST_USE enum sw_status sw_native_look(const struct sw_native_source *source, int32_t tid,
                                          struct sw_native_look *look);

#endif
