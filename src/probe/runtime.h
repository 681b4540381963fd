/* runtime.h - The CPython inside a target: its version, its layout, its interpreters and threads. */
#ifndef SW_PROBE_RUNTIME_H
#define SW_PROBE_RUNTIME_H

#include "probe/layout.h"
#include "probe/target.h"

struct sw_runtime {
    struct sw_target *target; /* borrowed */
    uint64_t address;         /* of _PyRuntime */
    uint32_t version;         /* PY_VERSION_HEX of the target */
    char version_text[24];    /* "3.13.5", "3.14.0rc2", "3.13.5t" when free-threaded */
    bool is_free_threaded;
    struct sw_layout layout; /* its own copy, complete */
    bool has_other_pids;     /* it lives in a pid namespace below ours: ids in its memory are not those in /proc */
    struct sw_str path;      /* of the executable or libpython; in `text` */
    struct sw_arena text;
};

/* Finds the runtime: in the main executable, a mapped libpython or any other mapped file, by the exported symbol
 * _PyRuntime, the section .PyRuntime or the symbol table. SW_NOTFOUND: not a Python process (or not yet started: try
 * again). SW_UNSUPPORTED names the version, or says that the layout does not hold. SW_PERM, SW_CLOSED as in target.h. `target` must outlive the runtime. */
SW_MUST_USE enum sw_status sw_runtime_open(struct sw_runtime *runtime, struct sw_target *target, struct sw_error *err);
void sw_runtime_close(struct sw_runtime *runtime);
/* True when its file names, or the section .PyRuntime of its executable, say CPython; needs no more than to read maps.
 * False too when it may not be read; *is_denied tells. */
bool sw_target_is_python(const struct sw_target *target, bool *is_denied);

/* By its name alone, is this a CPython executable or library: python, python3.13t, libpython3.13td.so.1.0? */
bool sw_path_is_python(struct sw_str path);

struct sw_interpreter {
    uint64_t address;
    int64_t id;
    uint64_t threads_head;
    uint64_t gil; /* address of the GIL's struct; 0: none (free-threaded, or not created yet) */
};

struct sw_thread_ref {
    uint64_t address;     /* PyThreadState */
    uint32_t interpreter; /* index in the list */
    int32_t tid;          /* 0: unknown (3.8 to 3.10 when the stack could not be matched) */
    uint64_t pthread;
};

#define SW_INTERPRETERS_MAX 1024
#define SW_PYTHREADS_MAX 65536

/* The id of a thread in the target's own pid namespace, and here. */
struct sw_tid_pair {
    int32_t inner, outer;
};

struct sw_thread_list {
    struct sw_interpreter *interpreters; /* newest first */
    size_t interpreter_count, interpreter_cap;
    struct sw_thread_ref *threads; /* by interpreter, newest first */
    size_t thread_count, thread_cap;
    struct sw_tid_pair *pairs; /* by inner id; only when runtime.has_other_pids */
    size_t pair_count, pair_cap;
    char *heads; /* the bytes of the last round's threads, read at once */
    size_t heads_cap;
};

/* Walks all interpreters and their threads. The lists may change while they are read: what is inconsistent is tried
 * again a few times, then SW_AGAIN. Reuses the arrays. */
SW_MUST_USE enum sw_status sw_runtime_threads(const struct sw_runtime *runtime, struct sw_thread_list *list);
void sw_thread_list_release(struct sw_thread_list *list);

#endif
