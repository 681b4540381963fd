/* flight_read.c - Reads the ring of a flight recorder, of this process or one that was killed, into a profile. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe/flight_read_impl.h"
#include "probe/flight_ring.h"
#include "probe/flight_ring_impl.h"

#define SEGMENTS_MAX 64               /* of a file: this version writes SW_FLIGHT_SEGMENTS */
#define ITEMS_MAX (UINT32_C(1) << 26) /* definitions of one kind in a segment: each takes bytes of it */
#define VARINT_SHIFT_MAX 63

/* From a number in the segment to an index of the profile. */
struct ids {
    uint32_t *items;
    size_t count, cap;
};

struct reader {
    struct sw_profile *profile;
    int64_t since_ns;
    struct ids frames, nodes, tracks;
    int64_t first_ns, last_ns, last_weight_ns; /* of the samples taken */
    int64_t before_ns;                         /* of the last sample of the batch */
    bool has_sample;                           /* the batch has given one */
    struct sw_profile_about about;
};

static bool varint_take(struct sw_str *bytes, uint64_t *value) {
    uint64_t taken = 0;
    for (unsigned shift = 0; shift <= VARINT_SHIFT_MAX && bytes->len; shift += 7) {
        uint64_t byte = (unsigned char)*bytes->ptr;
        *bytes = sw_str_skip(*bytes, 1);
        taken |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = taken;
            return true;
        }
    }
    return false;
}

static bool numbers_take(struct sw_str *bytes, uint64_t *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!varint_take(bytes, &values[i]))
            return false;
    return true;
}

static bool text_take(struct sw_str *bytes, struct sw_str *text) {
    uint64_t len;
    if (!varint_take(bytes, &len) || len > bytes->len)
        return false;
    *text = sw_str_make(bytes->ptr, (size_t)len);
    *bytes = sw_str_skip(*bytes, (size_t)len);
    return true;
}

static int64_t unzigzag(uint64_t value) {
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static enum sw_status id_add(struct ids *ids, uint32_t index) {
    if (ids->count == ids->cap) {
        size_t cap = ids->cap ? ids->cap * 2 : 64;
        uint32_t *grown = ids->count >= ITEMS_MAX ? NULL : sw_realloc_array(ids->items, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        ids->items = grown;
        ids->cap = cap;
    }
    ids->items[ids->count++] = index;
    return SW_OK;
}

static enum sw_status frame_take(struct reader *reader, struct sw_str *bytes) {
    struct sw_profile_frame frame = {0};
    uint64_t values[2];
    uint32_t index;
    if (!numbers_take(bytes, values, 2) || !text_take(bytes, &frame.name) || !text_take(bytes, &frame.file) ||
        values[0] > SW_PROFILE_MARK)
        return SW_MALFORMED;
    frame.kind = (enum sw_profile_frame_kind)values[0];
    frame.line = (int32_t)unzigzag(values[1]);
    enum sw_status status = sw_profile_add_frame(reader->profile, &frame, &index);
    return status == SW_OK ? id_add(&reader->frames, index) : status;
}

static enum sw_status node_take(struct reader *reader, struct sw_str *bytes) {
    uint64_t values[2];
    uint32_t index;
    if (!numbers_take(bytes, values, 2) || values[0] > reader->nodes.count || values[1] >= reader->frames.count)
        return SW_MALFORMED;
    uint32_t parent = values[0] ? reader->nodes.items[values[0] - 1] : SW_PROFILE_ROOT;
    enum sw_status status = sw_profile_add_node(reader->profile, parent, reader->frames.items[values[1]], &index);
    return status == SW_OK ? id_add(&reader->nodes, index) : status;
}

static enum sw_status track_take(struct reader *reader, struct sw_str *bytes) {
    struct sw_profile_track track = {0};
    uint64_t values[2];
    uint32_t index;
    if (!numbers_take(bytes, values, 2) || !text_take(bytes, &track.process) || !text_take(bytes, &track.thread))
        return SW_MALFORMED;
    track.pid = (int32_t)unzigzag(values[0]);
    track.tid = (int32_t)unzigzag(values[1]);
    enum sw_status status = sw_profile_add_track(reader->profile, &track, &index);
    return status == SW_OK ? id_add(&reader->tracks, index) : status;
}

static enum sw_status sample_take(struct reader *reader, struct sw_str *bytes) {
    uint64_t values[4];
    if (!numbers_take(bytes, values, 4) || values[1] > INT64_MAX || values[2] >= reader->tracks.count ||
        values[3] > reader->nodes.count)
        return SW_MALFORMED;
    struct sw_profile_sample sample = {
        .epoch_ns = (int64_t)((uint64_t)reader->before_ns + (uint64_t)unzigzag(values[0])),
        .weight_ns = (int64_t)values[1],
        .track = reader->tracks.items[values[2]],
        .node = values[3] ? reader->nodes.items[values[3] - 1] : SW_PROFILE_ROOT,
    };
    reader->before_ns = sample.epoch_ns;
    if (sample.epoch_ns < reader->since_ns || sample.node == SW_PROFILE_ROOT)
        return SW_OK;
    if (!reader->first_ns || sample.epoch_ns < reader->first_ns)
        reader->first_ns = sample.epoch_ns;
    if (sample.epoch_ns > reader->last_ns)
        reader->last_ns = sample.epoch_ns;
    reader->has_sample = true;
    return sw_profile_add_sample(reader->profile, &sample);
}

/* A batch stands or falls as one: the counts of one that gave no sample are of a time that is not wanted. */
static enum sw_status quality_take(struct reader *reader, struct sw_str *bytes) {
    uint64_t values[3];
    if (!numbers_take(bytes, values, 3))
        return SW_MALFORMED;
    if (reader->has_sample) {
        reader->about.exact += values[0];
        reader->about.partial += values[1];
        reader->about.failed += values[2];
    }
    return SW_OK;
}

static enum sw_status batch_take(struct reader *reader, struct sw_str bytes) {
    enum sw_status status = SW_OK;
    reader->before_ns = 0;
    reader->has_sample = false;
    while (bytes.len && status == SW_OK) {
        char kind = *bytes.ptr;
        bytes = sw_str_skip(bytes, 1);
        status = kind == SW_FLIGHT_FRAME     ? frame_take(reader, &bytes)
                 : kind == SW_FLIGHT_NODE    ? node_take(reader, &bytes)
                 : kind == SW_FLIGHT_TRACK   ? track_take(reader, &bytes)
                 : kind == SW_FLIGHT_SAMPLE  ? sample_take(reader, &bytes)
                 : kind == SW_FLIGHT_QUALITY ? quality_take(reader, &bytes)
                                             : SW_MALFORMED;
    }
    return status;
}

/* Batches up to the first that is not whole. Only SW_NOMEM fails. */
static enum sw_status segment_take(struct reader *reader, uint64_t sequence, struct sw_str bytes) {
    enum sw_status status = SW_OK;
    struct sw_flight_batch head;
    reader->frames.count = reader->nodes.count = reader->tracks.count = 0;
    while (bytes.len >= sizeof head && status == SW_OK) {
        memcpy(&head, bytes.ptr, sizeof head);
        bytes = sw_str_skip(bytes, sizeof head);
        if (head.len == 0 || head.len > bytes.len || sw_flight_batch_check(sequence, bytes.ptr, head.len) != head.check)
            break;
        status = batch_take(reader, sw_str_make(bytes.ptr, head.len));
        bytes = sw_str_skip(bytes, head.len);
    }
    return status == SW_MALFORMED ? SW_OK : status;
}

static enum sw_status bytes_read(int fd, uint64_t at, void *into, size_t len) {
    char *to = into;
    while (len) {
        ssize_t got = pread(fd, to, len, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? SW_IO : SW_MALFORMED;
        to += got;
        len -= (size_t)got;
        at += (uint64_t)got;
    }
    return SW_OK;
}

struct place {
    uint64_t sequence, at;
};

static int by_sequence(const void *a, const void *b) {
    const struct place *left = a, *right = b;
    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

/* The segments that were ever used, oldest first. */
static enum sw_status places_find(int fd, const struct sw_flight_header *header, struct place places[SEGMENTS_MAX],
                                  size_t *count) {
    *count = 0;
    for (uint32_t i = 0; i < header->segment_count; i++) {
        struct sw_flight_segment segment;
        uint64_t at = SW_FLIGHT_HEADER_BYTES + i * header->segment_bytes;
        enum sw_status status = bytes_read(fd, at, &segment, sizeof segment);
        if (status != SW_OK)
            return status;
        if (segment.sequence && segment.check == sw_flight_segment_check(segment.sequence))
            places[(*count)++] = (struct place){segment.sequence, at};
    }
    qsort(places, *count, sizeof *places, by_sequence);
    return SW_OK;
}

static bool header_is_sane(const struct sw_flight_header *header) {
    return memcmp(header->magic, SW_FLIGHT_MAGIC, sizeof header->magic) == 0 && header->version == SW_FLIGHT_VERSION &&
           header->segment_count > 0 && header->segment_count <= SEGMENTS_MAX &&
           header->segment_bytes >= sizeof(struct sw_flight_segment) &&
           header->segment_bytes <= SW_FLIGHT_RING_BYTES_MAX && header->command_len <= sizeof header->command &&
           memchr(header->what, '\0', sizeof header->what);
}

static enum sw_status segments_take(int fd, struct reader *reader, const struct sw_flight_header *header) {
    struct place places[SEGMENTS_MAX];
    size_t count, len = (size_t)header->segment_bytes;
    enum sw_status status = places_find(fd, header, places, &count);
    char *bytes = status == SW_OK ? sw_alloc(len) : NULL;
    if (status == SW_OK && !bytes)
        return SW_NOMEM;
    for (size_t i = 0; i < count && status == SW_OK; i++) {
        status = bytes_read(fd, places[i].at, bytes, len);
        if (status == SW_OK)
            status = segment_take(reader, places[i].sequence,
                                  sw_str_skip(sw_str_make(bytes, len), sizeof(struct sw_flight_segment)));
    }
    sw_free(bytes);
    return status;
}

static enum sw_status about_write(struct reader *reader, const struct sw_flight_header *header) {
    struct sw_profile_about *about = &reader->about;
    about->start_epoch_ns = reader->first_ns;
    about->duration_ns = reader->last_ns - reader->first_ns;
    about->rate_hz = header->rate_hz > 0 ? header->rate_hz : 0;
    about->what = sw_str_from(header->what);
    about->command = sw_str_make(header->command, header->command_len);
    return sw_profile_describe(reader->profile, about);
}

enum sw_status sw_flight_read(int fd, int64_t since_epoch_ns, struct sw_profile *profile, struct sw_error *err) {
    struct sw_flight_header header;
    struct sw_profile made = {.keeps_samples = true};
    struct reader reader = {.profile = &made, .since_ns = since_epoch_ns};
    struct stat stat_of;
    enum sw_status status = bytes_read(fd, 0, &header, sizeof header);
    if (status == SW_OK && !header_is_sane(&header))
        status = SW_MALFORMED;
    if (status == SW_OK &&
        (fstat(fd, &stat_of) ||
         (uint64_t)stat_of.st_size != SW_FLIGHT_HEADER_BYTES + header.segment_count * header.segment_bytes))
        status = SW_MALFORMED; /* before memory is asked for by what the file says */
    if (status == SW_OK)
        status = segments_take(fd, &reader, &header);
    if (status == SW_OK)
        status = about_write(&reader, &header);
    if (status == SW_OK)
        *profile = made;
    else
        sw_profile_release(&made);
    sw_free(reader.frames.items);
    sw_free(reader.nodes.items);
    sw_free(reader.tracks.items);
    if (status == SW_IO)
        return sw_fail_errno(err, errno, "cannot read the ring");
    if (status == SW_MALFORMED)
        return sw_fail(err, status, "it is no whole ring of `sidewinder watch`");
    return status == SW_OK ? SW_OK : sw_fail(err, status, "cannot read the ring: %s", sw_status_text(status));
}

enum sw_status sw_flight_file_read(const char *path, int64_t since_epoch_ns, struct sw_profile *profile,
                                   struct sw_error *err) {
    struct sw_error reason = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sw_fail_errno(err, errno, "cannot read %s", path);
    enum sw_status status = sw_flight_read(fd, since_epoch_ns, profile, &reason);
    close(fd);
    return status == SW_OK ? SW_OK : sw_fail(err, status, "cannot recover %s: %s", path, reason.text);
}
