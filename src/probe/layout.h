/* layout.h - Where things are in a CPython process: one table for each release, as data.
 *
 * Up to 3.12 the tables come from the headers of the releases; from 3.13 on the target's own _Py_DebugOffsets fill most
 * of it (layout_debug.c), checked field by field, and the table of the release fills what these lack. Offsets are bytes;
 * SW_ABSENT where a release has no such field. x86-64 and aarch64 Linux share them (LP64).
 */
#ifndef SW_PROBE_LAYOUT_H
#define SW_PROBE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SW_ABSENT UINT32_MAX

/* How a frame names the place it executes. */
enum sw_ip_kind {
    SW_IP_LASTI_BYTES, /* 3.8, 3.9: int f_lasti, bytes */
    SW_IP_LASTI_UNITS, /* 3.10: int f_lasti, code units */
    SW_IP_PREV_INSTR,  /* 3.11, 3.12: pointer to the unit ahead of the next instruction */
    SW_IP_INSTR,       /* 3.13 on: pointer to the instruction being executed */
};

enum sw_line_kind {
    SW_LINES_LNOTAB,    /* 3.8, 3.9 */
    SW_LINES_PAIRS,     /* 3.10: PEP 626 co_linetable */
    SW_LINES_LOCATIONS, /* 3.11 on */
};

/* Values of a frame's owner; SW_ABSENT where the release has no such owner. */
struct sw_owners {
    uint32_t thread, generator, frame_object, cstack, interpreter;
};

struct sw_layout {
    uint32_t version; /* PY_VERSION_HEX of the release that the table is made from; runtime.h has the target's own */
    bool is_free_threaded;

    struct {
        uint32_t interpreters_head; /* in _PyRuntime */
        uint32_t finalizing;
        uint32_t gilstate_current; /* <= 3.11: the tstate that holds the GIL, in _PyRuntime */
        uint32_t gil;              /* <= 3.11: struct _gil_runtime_state inline in _PyRuntime */
        uint32_t gc;               /* <= 3.8: GC state in _PyRuntime */
    } runtime;
    struct {
        uint32_t next, id, threads_head, threads_main, gc, modules /* PyInterpreterState.imports.modules or .modules */,
            sysdict, builtins;
        uint32_t ceval_gil;              /* >= 3.12: pointer to the GIL */
        uint32_t code_object_generation; /* >= 3.14 */
        uint32_t size;
    } interpreter;
    struct {
        uint32_t prev, next, interp;
        uint32_t frame;            /* <= 3.10: PyFrameObject *; 3.11, 3.12: _PyCFrame *; later: _PyInterpreterFrame * */
        uint32_t cframe_current;   /* 3.11, 3.12: current_frame in the _PyCFrame; else SW_ABSENT */
        uint32_t thread_id;        /* pthread_t */
        uint32_t native_thread_id; /* SW_ABSENT up to 3.10 */
        uint32_t datastack_chunk, datastack_top;
        uint32_t status;
        uint32_t current_exception, exc_info;
        uint32_t holds_gil /* int, 3.14 on */, gil_requested, base_frame; /* 3.15 */
        uint32_t size; /* bytes to read to have all of the above; the structure is longer */
    } thread;
    struct {
        uint32_t last_holder, locked, switch_number, interval, cond, mutex, switch_cond;
        uint32_t enabled; /* free-threaded: 0 in an interpreter that runs without a GIL */
        uint32_t size;
    } gil;
    struct {
        uint32_t code; /* f_code, or f_executable, whose low bits 0..1 are tags from 3.14 on */
        uint32_t previous, ip, owner, localsplus;
        uint32_t stacktop; /* 3.11 to 3.13: int, values in localsplus; later a pointer behind the last of them */
        uint32_t is_entry; /* 3.11 */
        uint32_t tlbc_index;
        uint32_t size; /* bytes to read to have all of the above: the fixed part, without localsplus */
        enum sw_ip_kind ip_kind;
        struct sw_owners owners;
    } frame;
    struct {
        uint32_t firstlineno, filename, name, qualname, linetable, localsplusnames, localspluskinds, argcount;
        uint32_t version; /* co_version: SW_ABSENT up to 3.10 */
        uint32_t code;    /* co_code_adaptive, inline; up to 3.10 a bytes object's pointer is not needed */
        uint32_t flags;
        uint32_t tlbc;                  /* free-threaded: co_tlbc */
        uint32_t varnames, nlocalsplus; /* <= 3.10 varnames tuple; nlocals/nlocalsplus count */
        uint32_t size; /* bytes to read to have all of the above; from 3.11 on the bytecode begins there */
        enum sw_line_kind lines;
    } code;
    struct {
        uint32_t ob_refcnt, ob_type, size;
        uint32_t var_size; /* ob_size */
    } object;
    struct {
        uint32_t name, flags, basicsize, itemsize, dictoffset, mro, bases, dict, cached_keys /* ht_cached_keys */, size;
    } type;
    struct {
        uint32_t tuple_item, list_item;
        uint32_t bytes_value;
        uint32_t float_value;
        uint32_t long_tag /* 3.12 on: lv_tag; before: ob_size */, long_digit;
        uint32_t unicode_length, unicode_state, unicode_ascii /* start of compact ASCII */, unicode_compact,
            unicode_kind_shift;
        uint32_t set_used, set_table, set_mask;
        uint32_t dict_used, dict_keys, dict_values;
        uint32_t keys_log2_size, keys_kind, keys_log2_index_bytes /* 3.11 on */, keys_size /* <= 3.10: dk_size */,
            keys_nentries, keys_indices;
    } value;
    struct {
        uint32_t generations, generation_stats, collecting, frame;
    } gc;
    struct {
        uint32_t name, qualname, frame /* iframe or gi_frame */, frame_state, origin;
    } generator;
    /* Instructions that resume a generator in the caller's loop, or not, as they find; and those that hide another. */
    struct {
        uint32_t for_iter, for_iter_gen, instrumented_for_iter, send, send_gen, send_async_gen;
        uint32_t instrumented_line, instrumented_instruction, enter_executor, trace_record;
    } opcode;
    struct {
        uint32_t next, prev;
    } llist;
    /* 3.14 on: from section .AsyncioDebug, filled by the runtime when that module is mapped. */
    struct {
        bool is_known;
        uint32_t task_name, task_awaited_by, task_is_task, task_awaited_by_is_set, task_coro, task_node;
        uint32_t interp_tasks_head; /* asyncio_tasks_head in the interpreter */
        uint32_t thread_running_loop, thread_running_task, thread_tasks_head;
    } asyncio;
};

#define SW_DEBUG_OFFSETS_MAX 1024 /* bytes of _Py_DebugOffsets to read at most: 584 in 3.13, 760 in 3.14, 888 in 3.15 */

/* The table for `version` (PY_VERSION_HEX); NULL when that minor version is not known, or needs the target's own
 * offsets (3.13 on: use sw_layout_from_debug). */
const struct sw_layout *sw_layout_for(uint32_t version, bool is_free_threaded);
/* From the bytes of _Py_DebugOffsets (`size_bytes` of them were readable). Starts from the release's table for what they
 * lack. SW_MALFORMED when the cookie or an offset is impossible, SW_UNSUPPORTED for a minor version above those known. */
SW_MUST_USE enum sw_status sw_layout_from_debug(const void *bytes, size_t size_bytes, struct sw_layout *layout,
                                                struct sw_error *err);

#endif
