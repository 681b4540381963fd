/* pool.h - What the binding files of sidewinder._pool share: the module's state, its objects, how values are written.
 *
 * All of it is called with the interpreter attached (the GIL held). The extension does not declare that it can do without
 * the GIL: a free-threaded interpreter switches it on.
 */
#ifndef SW_BIND_POOL_H
#define SW_BIND_POOL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "pool/segment.h"

#define POOL_LARGE_BYTES (64u << 10) /* buffers from here on travel out of band */
#define POOL_VALUE_BYTES \
    (SW_LANE_RUN_BYTES / 2 - 64) /* a value in a ring at most: a function and an argument fit a run */

struct pool_state {
    PyObject *module; /* borrowed: it holds this */
    PyTypeObject *segment_type;
    PyTypeObject *slab_type;
    PyTypeObject *block_type;
    PyTypeObject *core_type;
    PyTypeObject *job_type;
    PyObject *dumps;             /* pickle.dumps */
    PyObject *loads;             /* pickle.loads */
    PyObject *dumps_names;       /* ("buffer_callback",) */
    PyObject *loads_names;       /* ("buffers",) */
    PyObject *protocol;          /* 5 */
    struct block_object *blocks; /* every mapped SharedBlock of this process */
    uint64_t handles;            /* SharedBlocks pickled so far */
};

extern struct PyModuleDef pool_module;
struct pool_state *pool_state_of(PyTypeObject *type);
/* Counts the forks this process is the child of: objects made before a fork belong to the parent. */
unsigned pool_fork_count(void);
PyObject *pool_raise(const struct sw_error *err);
/* The raised exception, with its traceback; it is no longer raised. */
PyObject *pool_take_raised(void);

struct segment_object {
    PyObject_HEAD
    struct sw_segment segment;
};

/* A mapped file of shared memory with the shape of an array: the base of sidewinder.SharedArray. */
struct block_object {
    PyObject_HEAD
    struct pool_state *state;
    PyObject
        *module; /* keeps `state`: when an interpreter ends, types forget their module before all objects are gone */
    struct block_object *prev;
    struct block_object *next_block;
    unsigned char *base; /* NULL once closed */
    uint64_t size;       /* mapped bytes */
    uint64_t data_size;  /* bytes of the array */
    uint64_t device;
    uint64_t inode;
    int fd; /* -1 where the descriptor is not kept */
    int ndim;
    Py_ssize_t exports;
    Py_ssize_t shape[16];
    Py_ssize_t strides[16];
    Py_ssize_t itemsize;
    char format[8];
    PyObject *weakrefs;
};
/* Where a SharedBlock of this process contains [data, data + size): it and the offset, else NULL. Borrowed. */
struct block_object *pool_block_containing(struct pool_state *state, const void *data, uint64_t size, uint64_t *offset);
/* How another process finds it again. */
struct block_handle {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    int32_t pid;
    int32_t fd;
};
bool pool_block_handle(const struct block_object *block, struct block_handle *handle); /* false: it has no descriptor */
/* A plain SharedBlock (bytes) over the same memory; one per process, as long as it lives. New reference. */
PyObject *pool_block_attach(struct pool_state *state, const struct block_handle *handle);

/* One direction of the traffic of one process. */
struct pool_codec {
    struct pool_state *state;
    struct segment_object *segment;
    struct sw_slab_arena *out; /* where blocks for the other side are taken */
    unsigned in;               /* the arena that incoming blocks lie in */
    bool stays_attached;       /* nothing may run other threads */
};
/* What belongs to a written value besides its bytes. */
struct pool_parcel {
    uint32_t chain;   /* blocks taken for it: number + 1 of the first, linked by their `chain` */
    uint32_t stamp;   /* that these blocks bear */
    bool has_handles; /* it names SharedBlocks, which must live until it is read */
};

/* Appends `value`, at most POOL_VALUE_BYTES. On failure an exception is set and nothing is taken. */
bool pool_encode(const struct pool_codec *codec, PyObject *value, struct sw_buf *out, struct pool_parcel *parcel);
/* As a value that is raised where it is read: `error` is what pack_error made of the exception, bytes. */
bool pool_encode_error(const struct pool_codec *codec, PyObject *error, struct sw_buf *out, struct pool_parcel *parcel);
/* Frees those of a chain's blocks that were not read. */
void pool_parcel_drop(struct sw_slab_arena *arena, uint32_t chain, uint32_t stamp);

struct pool_cursor {
    const unsigned char *at;
    const unsigned char *end;
    bool is_broken; /* the bytes make no sense; where the next value begins is not known */
};
/* Reads one value. With `*is_error` it is the bytes of an error. NULL with an exception set; the cursor is behind the
 * value all the same, unless it is broken. */
PyObject *pool_decode(const struct pool_codec *codec, struct pool_cursor *cursor, bool *is_error);

/* What precedes a value on a lane when it is not called as the one before. */
#define POOL_TAG_USE 0xf0u    /* u32 id, u8 enum pool_call */
#define POOL_TAG_DEFINE 0xf1u /* u32 id, value: bytes of the pickled function */
#define POOL_USE_BYTES 6u
#define POOL_DEFINE_BYTES 5u
#define POOL_FUNCTIONS 64u /* a worker keeps one function for each id modulo this */

enum pool_call { POOL_CALL_ONE, POOL_CALL_STAR, POOL_CALL_KEYWORDS };

static inline unsigned char *pool_put_u32(unsigned char *at, uint32_t value) {
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}
static inline uint32_t pool_get_u32(const unsigned char *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

extern PyType_Spec pool_segment_spec;
extern PyType_Spec pool_slab_spec;
extern PyType_Spec pool_block_spec;
extern PyType_Spec pool_core_spec;
extern PyType_Spec pool_job_spec;
/* A buffer over a block that was received: returns it when the last view is gone. */
PyObject *pool_slab_new(const struct pool_codec *codec, uint32_t number, uint64_t size);
extern PyMethodDef pool_worker_methods[];

#endif
