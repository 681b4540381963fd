/* pool_codec.c - How values are written for another process: plain ones as they are, the rest by pickle, buffers aside.
 *
 * None, bool, int, float, str, bytes and tuples of these are written in a few bytes. Everything else is pickled (protocol
 * 5): buffers of 64 KiB and more that the pickle hands out are copied once into a block of shared memory, or only named
 * where they lie in a SharedArray. What is too long for a ring goes into a block as a whole.
 */
#include "bind/pool.h"

#include <string.h>

#define DEPTH_MAX 8 /* of tuples in tuples; deeper ones are pickled */
#define TUPLE_MAX 255
#define COPY_DETACHED (1u << 20) /* a longer copy lets other threads run */

enum tag {
    TAG_NONE,
    TAG_TRUE,
    TAG_FALSE,
    TAG_INT8,
    TAG_INT64,
    TAG_FLOAT,
    TAG_STR,         /* u32 bytes, UTF-8 */
    TAG_BYTES,       /* u32 bytes */
    TAG_TUPLE,       /* u8 items */
    TAG_PICKLE,      /* u32 bytes */
    TAG_BUFFERS,     /* u32 buffers, each a tag (block or shared), then a pickle */
    TAG_BLOCK_BYTES, /* u32 block, u64 bytes: a bytes object */
    TAG_BLOCK,       /* u32 block, u64 bytes: a buffer, or as a value: the bytes of the value */
    TAG_SHARED,      /* struct block_handle, u64 offset, u64 bytes: a buffer */
    TAG_ERROR,       /* u32 bytes: what pack_error made */
};

static bool grow(struct sw_buf *out, size_t extra) {
    if (out->cap - out->len >= extra || sw_buf_reserve(out, extra) == SW_OK)
        return true;
    PyErr_NoMemory();
    return false;
}

static bool put(struct sw_buf *out, unsigned tag, const void *data, size_t size) {
    if (!grow(out, 1 + size))
        return false;
    out->ptr[out->len] = (char)tag;
    if (size)
        memcpy(out->ptr + out->len + 1, data, size);
    out->len += 1 + size;
    return true;
}

static bool put_sized(struct sw_buf *out, enum tag tag, const void *data, size_t size) {
    if (size > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a value of more than 4 GiB does not fit; pass a SharedArray");
        return false;
    }
    uint32_t length = (uint32_t)size;
    if (!grow(out, 1 + sizeof length + size) || !put(out, tag, &length, sizeof length))
        return false;
    memcpy(out->ptr + out->len, data, size);
    out->len += size;
    return true;
}

void pool_parcel_drop(struct sw_slab_arena *arena, uint32_t chain, uint32_t stamp) {
    struct sw_slab_block *blocks = arena->shared->blocks;
    for (uint32_t turn = 0; chain && turn < SW_SLAB_BLOCKS; turn++) {
        struct sw_slab_block *block = &blocks[chain - 1];
        uint32_t next = block->chain;
        if (block->stamp != stamp)
            return; /* read, returned and used again meanwhile, and so were those before it */
        if (atomic_load(&block->state) == SW_SLAB_FILLED)
            sw_slab_give(arena, chain - 1);
        chain = next;
    }
}

/* A block with a copy of `data`, chained to the parcel. */
static bool put_block(const struct pool_codec *codec, struct pool_parcel *parcel, const void *data, uint64_t size,
                      uint32_t *number) {
    if (sw_slab_take(codec->out, size, number) != SW_OK) {
        PyErr_Format(PyExc_MemoryError, "no block of %llu bytes is left in the pool's shared memory",
                     (unsigned long long)size);
        return false;
    }
    struct sw_slab_arena *arena = codec->out;
    if (!parcel->stamp)
        parcel->stamp = ++arena->stamp ? arena->stamp : ++arena->stamp;
    arena->shared->blocks[*number].stamp = parcel->stamp;
    arena->shared->blocks[*number].chain = parcel->chain;
    parcel->chain = *number + 1;
    unsigned char *to = arena->base + arena->shared->blocks[*number].offset;
    if (size < COPY_DETACHED || codec->stays_attached) {
        memcpy(to, data, size);
        return true;
    }
    Py_BEGIN_ALLOW_THREADS
    memcpy(to, data, size);
    Py_END_ALLOW_THREADS
    return true;
}

static bool put_block_ref(struct sw_buf *out, enum tag tag, uint32_t number, uint64_t size) {
    unsigned char ref[12];
    memcpy(pool_put_u32(ref, number), &size, sizeof size);
    return put(out, tag, ref, sizeof ref);
}

static bool encode_int(PyObject *value, struct sw_buf *out, bool *is_plain) {
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    *is_plain = !overflow;
    if (overflow)
        return true;
    if (number >= -128 && number < 128) {
        signed char small = (signed char)number;
        return put(out, TAG_INT8, &small, sizeof small);
    }
    return put(out, TAG_INT64, &number, sizeof number);
}

static bool encode_str(PyObject *value, struct sw_buf *out, bool *is_plain) {
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text)
        return put_sized(out, TAG_STR, text, (size_t)size);
    PyErr_Clear(); /* lone surrogates: pickle can */
    *is_plain = false;
    return true;
}

/* `*is_plain` becomes false where the value, or one in it, is not of a plain type; `out` then holds rubbish. */
static bool encode_plain(PyObject *value, struct sw_buf *out, int depth, bool *is_plain) {
    if (PyLong_CheckExact(value))
        return encode_int(value, out, is_plain);
    if (PyFloat_CheckExact(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        return put(out, TAG_FLOAT, &number, sizeof number);
    }
    if (value == Py_None || value == Py_True || value == Py_False)
        return put(out, value == Py_None ? TAG_NONE : value == Py_True ? TAG_TRUE : TAG_FALSE, NULL, 0);
    if (PyUnicode_CheckExact(value))
        return encode_str(value, out, is_plain);
    if (PyBytes_CheckExact(value))
        return put_sized(out, TAG_BYTES, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    *is_plain = PyTuple_CheckExact(value) && PyTuple_GET_SIZE(value) <= TUPLE_MAX && depth < DEPTH_MAX;
    if (!*is_plain)
        return true;
    unsigned char count = (unsigned char)PyTuple_GET_SIZE(value);
    if (!put(out, TAG_TUPLE, &count, sizeof count))
        return false;
    for (Py_ssize_t i = 0; i < count && *is_plain; i++)
        if (!encode_plain(PyTuple_GET_ITEM(value, i), out, depth + 1, is_plain))
            return false;
    return true;
}

/* The buffer_callback of a pickle: `list` gets the large buffers; a true answer keeps a small one in the pickle. */
static PyObject *collect_buffer(PyObject *list, PyObject *buffer) {
    const Py_buffer *view = PyPickleBuffer_GetBuffer(buffer);
    if (!view)
        return NULL;
    bool is_flat = PyBuffer_IsContiguous(view, 'A');
    if (!is_flat || view->len < (Py_ssize_t)POOL_LARGE_BYTES)
        Py_RETURN_TRUE;
    if (PyList_Append(list, buffer) != 0)
        return NULL;
    Py_RETURN_FALSE;
}

static PyMethodDef collect_method = {"collect", collect_buffer, METH_O, NULL};

static PyObject *dump(const struct pool_state *state, PyObject *value, PyObject *buffers) {
    PyObject *callback = PyCFunction_New(&collect_method, buffers);
    if (!callback)
        return NULL;
    PyObject *args[] = {value, state->protocol, callback};
    PyObject *pickle = PyObject_Vectorcall(state->dumps, args, 2, state->dumps_names);
    Py_DECREF(callback);
    return pickle;
}

static bool encode_buffer(const struct pool_codec *codec, PyObject *buffer, struct sw_buf *out,
                          struct pool_parcel *parcel) {
    const Py_buffer *view = PyPickleBuffer_GetBuffer(buffer);
    if (!view)
        return false;
    uint64_t size = (uint64_t)view->len;
    uint64_t offset;
    struct block_handle handle;
    struct block_object *block = pool_block_containing(codec->state, view->buf, size, &offset);
    if (block && pool_block_handle(block, &handle)) {
        unsigned char ref[sizeof handle + 16];
        memcpy(ref, &handle, sizeof handle);
        memcpy(ref + sizeof handle, &offset, sizeof offset);
        memcpy(ref + sizeof handle + 8, &size, sizeof size);
        parcel->has_handles = true;
        return put(out, TAG_SHARED, ref, sizeof ref);
    }
    uint32_t number;
    return put_block(codec, parcel, view->buf, size, &number) && put_block_ref(out, TAG_BLOCK, number, size);
}

static bool encode_pickle(const struct pool_codec *codec, PyObject *value, struct sw_buf *out,
                          struct pool_parcel *parcel) {
    PyObject *buffers = PyList_New(0);
    uint64_t handles = codec->state->handles;
    PyObject *pickle = buffers ? dump(codec->state, value, buffers) : NULL;
    bool is_ok = pickle != NULL;
    parcel->has_handles |= codec->state->handles != handles;
    uint32_t count = is_ok ? (uint32_t)PyList_GET_SIZE(buffers) : 0;
    if (count)
        is_ok = put(out, TAG_BUFFERS, &count, sizeof count);
    for (uint32_t i = 0; i < count && is_ok; i++)
        is_ok = encode_buffer(codec, PyList_GET_ITEM(buffers, i), out, parcel);
    is_ok = is_ok && put_sized(out, TAG_PICKLE, PyBytes_AS_STRING(pickle), (size_t)PyBytes_GET_SIZE(pickle));
    Py_XDECREF(pickle);
    Py_XDECREF(buffers);
    return is_ok;
}

/* What is longer than a ring takes moves to a block. */
static bool shorten(const struct pool_codec *codec, struct sw_buf *out, size_t from, struct pool_parcel *parcel) {
    size_t size = out->len - from;
    if (size <= POOL_VALUE_BYTES)
        return true;
    uint32_t number;
    if (!put_block(codec, parcel, out->ptr + from, size, &number))
        return false;
    out->len = from;
    return put_block_ref(out, TAG_BLOCK, number, size);
}

static bool encode_any(const struct pool_codec *codec, PyObject *value, struct sw_buf *out,
                       struct pool_parcel *parcel) {
    size_t from = out->len;
    if (PyBytes_CheckExact(value) && PyBytes_GET_SIZE(value) >= (Py_ssize_t)POOL_LARGE_BYTES) {
        uint32_t number;
        uint64_t size = (uint64_t)PyBytes_GET_SIZE(value);
        return put_block(codec, parcel, PyBytes_AS_STRING(value), size, &number) &&
               put_block_ref(out, TAG_BLOCK_BYTES, number, size);
    }
    if (PyMemoryView_Check(value)) {
        PyObject *buffer = PyPickleBuffer_FromObject(value);
        bool is_ok = buffer && encode_pickle(codec, buffer, out, parcel) && shorten(codec, out, from, parcel);
        Py_XDECREF(buffer);
        return is_ok;
    }
    bool is_plain = true;
    if (!encode_plain(value, out, 0, &is_plain))
        return false;
    if (!is_plain) {
        out->len = from;
        if (!encode_pickle(codec, value, out, parcel))
            return false;
    }
    return shorten(codec, out, from, parcel);
}

bool pool_encode(const struct pool_codec *codec, PyObject *value, struct sw_buf *out, struct pool_parcel *parcel) {
    size_t from = out->len;
    *parcel = (struct pool_parcel){0};
    if (encode_any(codec, value, out, parcel))
        return true;
    out->len = from;
    pool_parcel_drop(codec->out, parcel->chain, parcel->stamp);
    *parcel = (struct pool_parcel){0};
    return false;
}

bool pool_encode_error(const struct pool_codec *codec, PyObject *error, struct sw_buf *out,
                       struct pool_parcel *parcel) {
    size_t from = out->len;
    *parcel = (struct pool_parcel){0};
    if (put_sized(out, TAG_ERROR, PyBytes_AS_STRING(error), (size_t)PyBytes_GET_SIZE(error)) &&
        shorten(codec, out, from, parcel))
        return true;
    out->len = from;
    pool_parcel_drop(codec->out, parcel->chain, parcel->stamp);
    return false;
}

/* The other process wrote nonsense. */
static void *broken(struct pool_cursor *cursor) {
    cursor->is_broken = true;
    PyErr_SetString(PyExc_SystemError, "the pool's shared memory holds a value that makes no sense");
    return NULL;
}

static const unsigned char *take(struct pool_cursor *cursor, size_t size) {
    if ((size_t)(cursor->end - cursor->at) < size)
        return broken(cursor);
    const unsigned char *at = cursor->at;
    cursor->at += size;
    return at;
}

static const unsigned char *take_sized(struct pool_cursor *cursor, size_t *size) {
    const unsigned char *at = take(cursor, sizeof(uint32_t));
    if (!at)
        return NULL;
    *size = pool_get_u32(at);
    return take(cursor, *size);
}

struct block_ref {
    uint32_t number;
    uint64_t size;
    const unsigned char *data;
};

/* A block that came in is held from here on. */
static bool take_block(const struct pool_codec *codec, struct pool_cursor *cursor, struct block_ref *ref) {
    const unsigned char *at = take(cursor, 12);
    if (!at)
        return false;
    ref->number = pool_get_u32(at);
    memcpy(&ref->size, at + 4, sizeof ref->size);
    struct sw_slab_shared *shared = sw_segment_slabs(&codec->segment->segment, codec->in);
    ref->data = sw_slab_data(shared, sw_segment_arena(&codec->segment->segment, codec->in), ref->number, ref->size);
    if (!ref->data || !sw_slab_hold(shared, ref->number)) {
        PyErr_SetString(PyExc_SystemError, "the pool's shared memory names a block that makes no sense");
        return false;
    }
    return true;
}

static void return_block(const struct pool_codec *codec, uint32_t number) {
    sw_slab_return(sw_segment_slabs(&codec->segment->segment, codec->in), number);
}

static PyObject *decode_shared(const struct pool_codec *codec, struct pool_cursor *cursor) {
    struct block_handle handle;
    uint64_t offset;
    uint64_t size;
    const unsigned char *at = take(cursor, sizeof handle + 16);
    if (!at)
        return NULL;
    memcpy(&handle, at, sizeof handle);
    memcpy(&offset, at + sizeof handle, sizeof offset);
    memcpy(&size, at + sizeof handle + 8, sizeof size);
    PyObject *block = pool_block_attach(codec->state, &handle);
    if (!block)
        return NULL;
    PyObject *array = PyMemoryView_FromObject(block);
    Py_DECREF(block);
    PyObject *whole = array ? PyObject_CallMethod(array, "cast", "s", "B") : NULL;
    Py_XDECREF(array);
    if (!whole)
        return NULL;
    PyObject *part = PySequence_GetSlice(whole, (Py_ssize_t)offset, (Py_ssize_t)(offset + size));
    Py_DECREF(whole);
    return part;
}

static PyObject *decode_buffer(const struct pool_codec *codec, struct pool_cursor *cursor) {
    const unsigned char *tag = take(cursor, 1);
    struct block_ref ref;
    if (!tag)
        return NULL;
    if (*tag == TAG_SHARED)
        return decode_shared(codec, cursor);
    if (!take_block(codec, cursor, &ref))
        return NULL;
    PyObject *slab = pool_slab_new(codec, ref.number, ref.size);
    if (!slab) {
        return_block(codec, ref.number);
        return NULL;
    }
    PyObject *view = PyMemoryView_FromObject(slab);
    Py_DECREF(slab);
    return view;
}

static PyObject *load(const struct pool_state *state, const unsigned char *data, size_t size, PyObject *buffers) {
    PyObject *view = PyMemoryView_FromMemory((char *)(uintptr_t)data, (Py_ssize_t)size, PyBUF_READ);
    if (!view)
        return NULL;
    PyObject *args[] = {view, buffers};
    PyObject *value = PyObject_Vectorcall(state->loads, args, 1, buffers ? state->loads_names : NULL);
    Py_DECREF(view);
    return value;
}

/* All buffers are taken even if one cannot be, so that the cursor ends behind the value and no block is forgotten. */
static PyObject *decode_buffers(const struct pool_codec *codec, struct pool_cursor *cursor) {
    const unsigned char *at = take(cursor, sizeof(uint32_t));
    PyObject *buffers = at ? PyList_New(0) : NULL;
    if (!buffers)
        return NULL;
    uint32_t count = pool_get_u32(at);
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *trace = NULL;
    for (uint32_t i = 0; i < count && cursor->at < cursor->end; i++) {
        PyObject *buffer = decode_buffer(codec, cursor);
        if (buffer && PyList_Append(buffers, buffer) == 0) {
            Py_DECREF(buffer);
            continue;
        }
        Py_XDECREF(buffer);
        if (type)
            PyErr_Clear();
        else
            PyErr_Fetch(&type, &error, &trace);
    }
    size_t size = 0;
    const unsigned char *tag = take(cursor, 1);
    const unsigned char *pickle = tag ? take_sized(cursor, &size) : NULL;
    PyObject *value = pickle && !type ? load(codec->state, pickle, size, buffers) : NULL;
    if (type)
        PyErr_Restore(type, error, trace);
    Py_DECREF(buffers);
    return value;
}

static PyObject *decode_any(const struct pool_codec *codec, struct pool_cursor *cursor, int depth, bool *is_error);

/* Not recursion without end: a block never holds another block as a value, as shorten runs once. */
static PyObject *decode_block(const struct pool_codec *codec, struct pool_cursor *cursor, int depth, bool *is_error) {
    struct block_ref ref;
    if (!take_block(codec, cursor, &ref))
        return NULL;
    struct pool_cursor inner = {.at = ref.data, .end = ref.data + ref.size};
    PyObject *value = decode_any(codec, &inner, depth + DEPTH_MAX, is_error);
    return_block(codec, ref.number);
    return value;
}

static PyObject *decode_tuple(const struct pool_codec *codec, struct pool_cursor *cursor, int depth) {
    const unsigned char *at = take(cursor, 1);
    PyObject *tuple = at ? PyTuple_New(*at) : NULL;
    bool ignored = false;
    for (Py_ssize_t i = 0; tuple && i < *at; i++) {
        PyObject *item = decode_any(codec, cursor, depth + 1, &ignored);
        if (!item)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i, item);
    }
    return tuple;
}

static PyObject *decode_number(struct pool_cursor *cursor, unsigned tag) {
    const unsigned char *at = take(cursor, tag == TAG_INT8 ? 1 : 8);
    if (!at)
        return NULL;
    if (tag == TAG_INT8)
        return PyLong_FromLong((signed char)*at);
    long long number;
    double real;
    memcpy(&number, at, sizeof number);
    memcpy(&real, at, sizeof real);
    return tag == TAG_FLOAT ? PyFloat_FromDouble(real) : PyLong_FromLongLong(number);
}

static PyObject *decode_sized(const struct pool_codec *codec, struct pool_cursor *cursor, unsigned tag) {
    size_t size;
    const unsigned char *data = take_sized(cursor, &size);
    if (!data)
        return NULL;
    if (tag == TAG_STR)
        return PyUnicode_DecodeUTF8((const char *)data, (Py_ssize_t)size, NULL);
    if (tag == TAG_PICKLE)
        return load(codec->state, data, size, NULL);
    return PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
}

static PyObject *decode_block_bytes(const struct pool_codec *codec, struct pool_cursor *cursor) {
    struct block_ref ref;
    if (!take_block(codec, cursor, &ref))
        return NULL;
    PyObject *value = PyBytes_FromStringAndSize((const char *)ref.data, (Py_ssize_t)ref.size);
    return_block(codec, ref.number);
    return value;
}

static PyObject *decode_any(const struct pool_codec *codec, struct pool_cursor *cursor, int depth, bool *is_error) {
    const unsigned char *tag = take(cursor, 1);
    if (!tag)
        return NULL;
    switch (*tag) {
    case TAG_NONE:
        return Py_NewRef(Py_None);
    case TAG_TRUE:
        return Py_NewRef(Py_True);
    case TAG_FALSE:
        return Py_NewRef(Py_False);
    case TAG_INT8:
    case TAG_INT64:
    case TAG_FLOAT:
        return decode_number(cursor, *tag);
    case TAG_ERROR:
        *is_error = true;
        return decode_sized(codec, cursor, TAG_BYTES);
    case TAG_STR:
    case TAG_BYTES:
    case TAG_PICKLE:
        return decode_sized(codec, cursor, *tag);
    case TAG_BUFFERS:
        return decode_buffers(codec, cursor);
    case TAG_BLOCK_BYTES:
        return decode_block_bytes(codec, cursor);
    case TAG_TUPLE:
        if (depth < 2 * DEPTH_MAX)
            return decode_tuple(codec, cursor, depth);
        break;
    case TAG_BLOCK:
        if (depth == 0)
            return decode_block(codec, cursor, depth, is_error);
        break;
    default:
        break;
    }
    return broken(cursor);
}

PyObject *pool_decode(const struct pool_codec *codec, struct pool_cursor *cursor, bool *is_error) {
    *is_error = false;
    return decode_any(codec, cursor, 0, is_error);
}
