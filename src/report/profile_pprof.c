/* profile_pprof.c - A profile as gzipped profile.proto of github.com/google/pprof, the wire format written by hand.
 *
 * Location n is frame n - 1. Threads are labels of samples ("pid", "tid", "process", "thread").
 */
#include <zlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "report/profile_format_impl.h"

#define NS_PER_S 1e9
#define GZIP_WINDOW (15 + 16) /* zlib: the greatest window, and a gzip header around it */
#define VARINT_MAX 10u

/* Field numbers of profile.proto. */
enum { PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE = 2, PROFILE_LOCATION = 4, PROFILE_FUNCTION = 5, PROFILE_STRING = 6 };
enum { PROFILE_TIME_NS = 9, PROFILE_DURATION_NS = 10, PROFILE_PERIOD_TYPE = 11, PROFILE_PERIOD = 12 };
enum { PROFILE_COMMENT = 13, PROFILE_DEFAULT_TYPE = 14 };
enum { TYPE_TYPE = 1, TYPE_UNIT = 2 };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3 };
enum { LABEL_KEY = 1, LABEL_STR = 2, LABEL_NUM = 3 };
enum { LOCATION_ID = 1, LOCATION_LINE = 4, LINE_FUNCTION = 1, LINE_LINE = 2 };
enum { FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_FILE = 4 };

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

struct proto {
    const struct sw_profile *profile;
    struct sw_buf whole;
    struct sw_buf message; /* being built, without its length */
    struct sw_buf inner;   /* within it */
    struct sw_buf strings; /* the table, as fields of the whole */
    struct sw_map string_index;
    struct sw_map function_index; /* name and file */
    uint32_t *stack;
    enum sw_status status; /* the first failure sticks */
};

static void keep(struct proto *proto, enum sw_status status) {
    if (proto->status == SW_OK)
        proto->status = status;
}

static void varint(struct proto *proto, struct sw_buf *buf, uint64_t value) {
    char bytes[VARINT_MAX];
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (char)(value | 0x80);
    bytes[len++] = (char)value;
    keep(proto, sw_buf_append(buf, sw_str_make(bytes, len)));
}

static void number(struct proto *proto, struct sw_buf *buf, unsigned field, uint64_t value) {
    varint(proto, buf, field << 3 | WIRE_VARINT);
    varint(proto, buf, value);
}

static void bytes(struct proto *proto, struct sw_buf *buf, unsigned field, struct sw_str text) {
    varint(proto, buf, field << 3 | WIRE_BYTES);
    varint(proto, buf, text.len);
    keep(proto, sw_buf_append(buf, text));
}

/* Closes the message of `from` as a field of `into`. */
static void message_close(struct proto *proto, struct sw_buf *into, unsigned field, struct sw_buf *from) {
    bytes(proto, into, field, sw_buf_view(from));
    sw_buf_clear(from);
}

/* The number of `text` in the string table; "" is 0. */
static uint64_t string(struct proto *proto, struct sw_str text) {
    uint64_t index = proto->string_index.count;
    if (!sw_map_get(&proto->string_index, text, &index)) {
        keep(proto, sw_map_put(&proto->string_index, text, index));
        bytes(proto, &proto->strings, PROFILE_STRING, text);
    }
    return index;
}

static void value_type(struct proto *proto, unsigned field, struct sw_str type, struct sw_str unit) {
    number(proto, &proto->message, TYPE_TYPE, string(proto, type));
    number(proto, &proto->message, TYPE_UNIT, string(proto, unit));
    message_close(proto, &proto->whole, field, &proto->message);
}

/* The number of the function of `frame`, written when it is met first. */
static uint64_t function(struct proto *proto, const struct sw_profile_frame *frame) {
    uint64_t name = string(proto, frame->name);
    uint64_t file = string(proto, frame->file);
    uint64_t pair[2] = {name, file};
    struct sw_str key = sw_str_make((const char *)pair, sizeof pair);
    uint64_t id = proto->function_index.count + 1;
    if (sw_map_get(&proto->function_index, key, &id))
        return id;
    keep(proto, sw_map_put(&proto->function_index, key, id));
    number(proto, &proto->message, FUNCTION_ID, id);
    /* No system name: pprof takes one equal to the name for a mangled one, and makes <lambda> unknown. */
    number(proto, &proto->message, FUNCTION_NAME, name);
    number(proto, &proto->message, FUNCTION_FILE, file);
    message_close(proto, &proto->whole, PROFILE_FUNCTION, &proto->message);
    return id;
}

static void location(struct proto *proto, uint64_t id, const struct sw_profile_frame *frame) {
    uint64_t function_id = function(proto, frame);
    number(proto, &proto->message, LOCATION_ID, id);
    number(proto, &proto->inner, LINE_FUNCTION, function_id);
    if (frame->line > 0)
        number(proto, &proto->inner, LINE_LINE, (uint64_t)frame->line);
    message_close(proto, &proto->message, LOCATION_LINE, &proto->inner);
    message_close(proto, &proto->whole, PROFILE_LOCATION, &proto->message);
}

static void label_text(struct proto *proto, struct sw_str key, struct sw_str text) {
    if (text.len == 0)
        return;
    number(proto, &proto->inner, LABEL_KEY, string(proto, key));
    number(proto, &proto->inner, LABEL_STR, string(proto, text));
    message_close(proto, &proto->message, SAMPLE_LABEL, &proto->inner);
}

static void label_number(struct proto *proto, struct sw_str key, int32_t value) {
    if (value == 0)
        return;
    number(proto, &proto->inner, LABEL_KEY, string(proto, key));
    number(proto, &proto->inner, LABEL_NUM, (uint64_t)(int64_t)value);
    message_close(proto, &proto->message, SAMPLE_LABEL, &proto->inner);
}

static void sample(struct proto *proto, const struct sw_profile_total *total, bool has_time) {
    const struct sw_profile_track *track = &proto->profile->tracks[total->track];
    uint32_t depth = proto->profile->nodes[total->node].depth;
    sw_profile_stack(proto->profile, total->node, proto->stack);
    for (uint32_t i = depth; i-- > 0;) /* the innermost first */
        varint(proto, &proto->inner, (uint64_t)proto->stack[i] + 1);
    message_close(proto, &proto->message, SAMPLE_LOCATION, &proto->inner);
    varint(proto, &proto->inner, total->count);
    if (has_time)
        varint(proto, &proto->inner, (uint64_t)total->weight_ns);
    message_close(proto, &proto->message, SAMPLE_VALUE, &proto->inner);
    label_number(proto, SW_STR("pid"), track->pid);
    label_number(proto, SW_STR("tid"), track->tid);
    label_text(proto, SW_STR("process"), track->process);
    label_text(proto, SW_STR("thread"), track->thread);
    message_close(proto, &proto->whole, PROFILE_SAMPLE, &proto->message);
}

static void about(struct proto *proto, struct sw_str type, bool has_time) {
    const struct sw_profile_about *about = &proto->profile->about;
    if (about->start_epoch_ns)
        number(proto, &proto->whole, PROFILE_TIME_NS, (uint64_t)about->start_epoch_ns);
    if (about->duration_ns)
        number(proto, &proto->whole, PROFILE_DURATION_NS, (uint64_t)about->duration_ns);
    if (about->rate_hz > 0) {
        value_type(proto, PROFILE_PERIOD_TYPE, type, SW_STR("nanoseconds"));
        number(proto, &proto->whole, PROFILE_PERIOD, (uint64_t)(NS_PER_S / about->rate_hz));
    }
    if (about->command.len)
        number(proto, &proto->whole, PROFILE_COMMENT, string(proto, about->command));
    if (about->reason.len)
        number(proto, &proto->whole, PROFILE_COMMENT, string(proto, about->reason));
    number(proto, &proto->whole, PROFILE_DEFAULT_TYPE, string(proto, has_time ? type : SW_STR("samples")));
}

static void build(struct proto *proto) {
    const struct sw_profile *profile = proto->profile;
    bool has_time = sw_profile_has_time(profile);
    struct sw_str type = profile->about.what.len ? profile->about.what : SW_STR("cpu");
    string(proto, SW_STR(""));
    value_type(proto, PROFILE_SAMPLE_TYPE, SW_STR("samples"), SW_STR("count"));
    if (has_time)
        value_type(proto, PROFILE_SAMPLE_TYPE, type, SW_STR("nanoseconds"));
    for (size_t i = 0; i < profile->frame_count; i++)
        location(proto, i + 1, &profile->frames[i]);
    for (size_t i = 0; i < profile->total_count; i++)
        sample(proto, &profile->totals[i], has_time);
    about(proto, type, has_time);
    keep(proto, sw_buf_append(&proto->whole, sw_buf_view(&proto->strings)));
}

static void *zlib_alloc(void *context, unsigned count, unsigned size) {
    return sw_alloc_array(count, size);
}

static void zlib_free(void *context, void *ptr) {
    sw_free(ptr);
}

/* The header carries no time, so equal profiles give equal files. */
static enum sw_status gzip(struct sw_str bytes_in, struct sw_buf *out) {
    z_stream stream = {.zalloc = zlib_alloc, .zfree = zlib_free};
    if (bytes_in.len > UINT32_MAX)
        return SW_LIMIT;
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return SW_NOMEM;
    uLong bound = deflateBound(&stream, (uLong)bytes_in.len);
    enum sw_status status = bound > UINT32_MAX ? SW_LIMIT : sw_buf_reserve(out, bound);
    if (status == SW_OK) {
        stream.next_in = (Bytef *)(uintptr_t)bytes_in.ptr;
        stream.avail_in = (uInt)bytes_in.len;
        stream.next_out = (Bytef *)out->ptr + out->len;
        stream.avail_out = (uInt)bound;
        status = deflate(&stream, Z_FINISH) == Z_STREAM_END ? SW_OK : SW_NOMEM;
    }
    if (status == SW_OK)
        out->len += stream.total_out;
    deflateEnd(&stream);
    return status;
}

enum sw_status sw_profile_write_pprof(const struct sw_profile *profile, struct sw_buf *out) {
    struct proto proto = {.profile = profile};
    proto.stack = sw_alloc_array((size_t)sw_profile_height(profile) + 1, sizeof *proto.stack);
    if (proto.stack)
        build(&proto);
    enum sw_status status = proto.stack ? proto.status : SW_NOMEM;
    if (status == SW_OK)
        status = gzip(sw_buf_view(&proto.whole), out);
    sw_buf_release(&proto.whole);
    sw_buf_release(&proto.message);
    sw_buf_release(&proto.inner);
    sw_buf_release(&proto.strings);
    sw_map_release(&proto.string_index);
    sw_map_release(&proto.function_index);
    sw_free(proto.stack);
    return status;
}
