/* flight_ring.c - Writes samples into the ring's segments; see flight_ring_impl.h for the form. */
#include "probe/flight_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "probe/flight_read_impl.h"
#include "probe/flight_ring_impl.h"

#define BATCH_BYTES 65536   /* a batch is closed when it is longer */
#define VARINT_BYTES_MAX 10 /* of 64 bits */
#define SEGMENTS_OF_KEEP 6  /* one is being filled and one was just given up, the others hold what is to be kept */

/* From an index of the profile to the number in the segment, plus 1; 0: not defined there yet. */
struct known {
    uint32_t *numbers;
    size_t cap;
    uint32_t count;
};

struct sw_flight_ring {
    int fd;
    uint64_t segment_bytes;
    int64_t segment_ns; /* a segment is left when it is this long */
    uint64_t sequence;
    uint64_t used; /* bytes of the segment */
    int64_t segment_since_ns;
    struct known frames, nodes, tracks;
    size_t put; /* samples of the profile that were put already */
    struct sw_flight_quality quality;
    uint64_t lost;
    bool is_broken; /* a put failed half way: what the segment defines is not known */
    struct sw_buf batch;
    uint32_t *path; /* nodes from a leaf up */
    size_t path_cap;
};

static enum sw_status varint_put(struct sw_buf *out, uint64_t value) {
    char bytes[VARINT_BYTES_MAX];
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (char)(value | 0x80);
    bytes[len++] = (char)value;
    return sw_buf_append(out, sw_str_make(bytes, len));
}

static uint64_t zigzag(int64_t value) {
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static enum sw_status text_put(struct sw_buf *out, struct sw_str text) {
    if (text.len > SW_FLIGHT_TEXT_MAX)
        text.len = SW_FLIGHT_TEXT_MAX;
    enum sw_status status = varint_put(out, text.len);
    return status == SW_OK ? sw_buf_append(out, text) : status;
}

static enum sw_status numbers_put(struct sw_buf *out, enum sw_flight_record kind, const uint64_t *values,
                                  size_t count) {
    enum sw_status status = sw_buf_append_byte(out, (char)kind);
    for (size_t i = 0; i < count && status == SW_OK; i++)
        status = varint_put(out, values[i]);
    return status;
}

static enum sw_status known_reserve(struct known *known, size_t count) {
    if (count <= known->cap)
        return SW_OK;
    size_t cap = count + count / 2 + 64;
    uint32_t *grown = sw_realloc_array(known->numbers, cap, sizeof *grown);
    if (!grown)
        return SW_NOMEM;
    memset(grown + known->cap, 0, (cap - known->cap) * sizeof *grown);
    known->numbers = grown;
    known->cap = cap;
    return SW_OK;
}

/* What is defined again gets the next number: the reader counts too. */
static void known_forget(struct known *known) {
    if (known->cap)
        memset(known->numbers, 0, known->cap * sizeof *known->numbers);
}

static void all_forget(struct sw_flight_ring *ring) {
    known_forget(&ring->frames);
    known_forget(&ring->nodes);
    known_forget(&ring->tracks);
}

static enum sw_status frame_define(struct sw_flight_ring *ring, const struct sw_profile *profile, uint32_t index) {
    const struct sw_profile_frame *frame = &profile->frames[index];
    if (ring->frames.numbers[index])
        return SW_OK;
    uint64_t values[] = {(uint64_t)frame->kind, zigzag(frame->line)};
    enum sw_status status = numbers_put(&ring->batch, SW_FLIGHT_FRAME, values, 2);
    if (status == SW_OK)
        status = text_put(&ring->batch, frame->name);
    if (status == SW_OK)
        status = text_put(&ring->batch, frame->file);
    if (status == SW_OK)
        ring->frames.numbers[index] = ++ring->frames.count;
    return status;
}

static enum sw_status path_push(struct sw_flight_ring *ring, size_t at, uint32_t node) {
    if (at == ring->path_cap) {
        size_t cap = at ? at * 2 : 64;
        uint32_t *grown = sw_realloc_array(ring->path, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        ring->path = grown;
        ring->path_cap = cap;
    }
    ring->path[at] = node;
    return SW_OK;
}

/* Defines the stack from the root on, as far as the segment does not know it. */
static enum sw_status node_define(struct sw_flight_ring *ring, const struct sw_profile *profile, uint32_t leaf) {
    enum sw_status status = SW_OK;
    size_t count = 0;
    for (uint32_t node = leaf; node != SW_PROFILE_ROOT && !ring->nodes.numbers[node] && status == SW_OK;
         node = profile->nodes[node].parent)
        status = path_push(ring, count++, node);
    while (count-- > 0 && status == SW_OK) {
        const struct sw_profile_node *node = &profile->nodes[ring->path[count]];
        status = frame_define(ring, profile, node->frame);
        uint64_t values[] = {node->parent == SW_PROFILE_ROOT ? 0 : ring->nodes.numbers[node->parent],
                             ring->frames.numbers[node->frame] - 1};
        if (status == SW_OK)
            status = numbers_put(&ring->batch, SW_FLIGHT_NODE, values, 2);
        if (status == SW_OK)
            ring->nodes.numbers[ring->path[count]] = ++ring->nodes.count;
    }
    return status;
}

static enum sw_status track_define(struct sw_flight_ring *ring, const struct sw_profile *profile, uint32_t index) {
    const struct sw_profile_track *track = &profile->tracks[index];
    if (ring->tracks.numbers[index])
        return SW_OK;
    uint64_t values[] = {zigzag(track->pid), zigzag(track->tid)};
    enum sw_status status = numbers_put(&ring->batch, SW_FLIGHT_TRACK, values, 2);
    if (status == SW_OK)
        status = text_put(&ring->batch, track->process);
    if (status == SW_OK)
        status = text_put(&ring->batch, track->thread);
    if (status == SW_OK)
        ring->tracks.numbers[index] = ++ring->tracks.count;
    return status;
}

static enum sw_status sample_put(struct sw_flight_ring *ring, const struct sw_profile *profile,
                                 const struct sw_profile_sample *sample, int64_t before_ns) {
    enum sw_status status = track_define(ring, profile, sample->track);
    if (status == SW_OK)
        status = node_define(ring, profile, sample->node);
    if (status != SW_OK)
        return status;
    uint64_t values[] = {zigzag(sample->epoch_ns - before_ns), sample->weight_ns > 0 ? (uint64_t)sample->weight_ns : 0,
                         ring->tracks.numbers[sample->track] - 1,
                         sample->node == SW_PROFILE_ROOT ? 0 : ring->nodes.numbers[sample->node]};
    return numbers_put(&ring->batch, SW_FLIGHT_SAMPLE, values, 4);
}

static enum sw_status quality_put(struct sw_flight_ring *ring, const struct sw_flight_quality *now) {
    uint64_t values[] = {now->exact - ring->quality.exact, now->partial - ring->quality.partial,
                         now->failed - ring->quality.failed};
    return numbers_put(&ring->batch, SW_FLIGHT_QUALITY, values, 3);
}

/* Puts samples from `from` on into the batch until it is long enough; *end is the first that is not in it. */
static enum sw_status batch_fill(struct sw_flight_ring *ring, const struct sw_profile *profile,
                                 const struct sw_flight_quality *quality, size_t *end) {
    enum sw_status status = SW_OK;
    int64_t before_ns = 0;
    size_t at = ring->put;
    sw_buf_clear(&ring->batch);
    for (; at < profile->sample_count && ring->batch.len < BATCH_BYTES && status == SW_OK; at++) {
        status = sample_put(ring, profile, &profile->samples[at], before_ns);
        before_ns = profile->samples[at].epoch_ns;
    }
    if (status == SW_OK && at == profile->sample_count)
        status = quality_put(ring, quality);
    *end = at;
    return status;
}

static enum sw_status bytes_put(const struct sw_flight_ring *ring, const void *bytes, size_t len, uint64_t at) {
    const char *from = bytes;
    while (len) {
        ssize_t put = pwrite(ring->fd, from, len, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return SW_IO;
        from += put;
        len -= (size_t)put;
        at += (uint64_t)put;
    }
    return SW_OK;
}

static uint64_t segment_at(const struct sw_flight_ring *ring) {
    return SW_FLIGHT_HEADER_BYTES + (ring->sequence - 1) % SW_FLIGHT_SEGMENTS * ring->segment_bytes;
}

static enum sw_status segment_next(struct sw_flight_ring *ring, int64_t epoch_ns) {
    ring->sequence++;
    ring->used = sizeof(struct sw_flight_segment);
    ring->segment_since_ns = epoch_ns;
    all_forget(ring);
    ring->frames.count = ring->nodes.count = ring->tracks.count = 0;
    struct sw_flight_segment segment = {ring->sequence, sw_flight_segment_check(ring->sequence)};
    return bytes_put(ring, &segment, sizeof segment, segment_at(ring));
}

static bool batch_fits(const struct sw_flight_ring *ring) {
    return ring->used + sizeof(struct sw_flight_batch) + ring->batch.len <= ring->segment_bytes;
}

static enum sw_status batch_write(struct sw_flight_ring *ring) {
    struct sw_flight_batch head = {(uint32_t)ring->batch.len,
                                   sw_flight_batch_check(ring->sequence, ring->batch.ptr, ring->batch.len)};
    uint64_t at = segment_at(ring) + ring->used;
    enum sw_status status = bytes_put(ring, ring->batch.ptr, ring->batch.len, at + sizeof head);
    if (status == SW_OK)
        status = bytes_put(ring, &head, sizeof head, at);
    if (status == SW_OK)
        ring->used += sizeof head + ring->batch.len;
    return status;
}

static enum sw_status profile_reserve(struct sw_flight_ring *ring, const struct sw_profile *profile) {
    enum sw_status status = known_reserve(&ring->frames, profile->frame_count);
    if (status == SW_OK)
        status = known_reserve(&ring->nodes, profile->node_count);
    return status == SW_OK ? known_reserve(&ring->tracks, profile->track_count) : status;
}

/* One batch. A sample that does not fit even an empty segment is given up. */
static enum sw_status batch_put(struct sw_flight_ring *ring, const struct sw_profile *profile,
                                const struct sw_flight_quality *quality, bool *is_turned) {
    int64_t epoch_ns = ring->put < profile->sample_count ? profile->samples[ring->put].epoch_ns : 0;
    size_t end = ring->put;
    bool is_over = epoch_ns && epoch_ns - ring->segment_since_ns >= ring->segment_ns;
    enum sw_status status = is_over ? SW_OK : batch_fill(ring, profile, quality, &end);
    if (status == SW_OK && (is_over || !batch_fits(ring))) {
        *is_turned = true;
        status = segment_next(ring, epoch_ns);
        if (status == SW_OK)
            status = batch_fill(ring, profile, quality, &end);
    }
    bool is_lost = status == SW_OK && !batch_fits(ring);
    if (status == SW_OK)
        status = is_lost ? segment_next(ring, epoch_ns) : batch_write(ring);
    if (status != SW_OK)
        return status;
    ring->lost += is_lost ? end - ring->put : 0;
    ring->put = end;
    if (end == profile->sample_count && !is_lost)
        ring->quality = *quality;
    return SW_OK;
}

static enum sw_status room_reserve(const struct sw_flight_ring *ring) {
    uint64_t size_bytes = SW_FLIGHT_HEADER_BYTES + SW_FLIGHT_SEGMENTS * ring->segment_bytes;
    int error_number = posix_fallocate(ring->fd, 0, (off_t)size_bytes);
    errno = error_number;
    return error_number == 0 ? SW_OK : error_number == ENOSPC || error_number == EDQUOT ? SW_LIMIT : SW_IO;
}

static enum sw_status header_put(const struct sw_flight_ring *ring, const struct sw_flight_ring_options *options) {
    struct sw_flight_header header = {.magic = SW_FLIGHT_MAGIC,
                                      .version = SW_FLIGHT_VERSION,
                                      .segment_count = SW_FLIGHT_SEGMENTS,
                                      .segment_bytes = ring->segment_bytes,
                                      .pid = options->pid,
                                      .rate_hz = options->rate_hz};
    struct sw_str command = options->command;
    if (command.len > sizeof header.command)
        command.len = sizeof header.command;
    header.command_len = (uint32_t)command.len;
    if (command.len)
        memcpy(header.command, command.ptr, command.len);
    snprintf(header.what, sizeof header.what, "%" SW_STR_FMT, SW_STR_ARG(options->what));
    return bytes_put(ring, &header, sizeof header, 0);
}

/* Others may not read what a program does. */
static int ring_open(const char *path) {
    if (!path)
        return memfd_create("sidewinder-ring", MFD_CLOEXEC);
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

enum sw_status sw_flight_ring_new(struct sw_flight_ring **out, const struct sw_flight_ring_options *options,
                                  struct sw_error *err) {
    uint64_t size_bytes = options->size_bytes ? options->size_bytes : SW_FLIGHT_RING_BYTES;
    const char *name = options->path ? options->path : "the ring in memory";
    if (size_bytes < SW_FLIGHT_RING_BYTES_MIN || size_bytes > SW_FLIGHT_RING_BYTES_MAX)
        return sw_fail(err, SW_INVALID, "a ring has from 8 MiB to 4 GiB, not %llu bytes",
                       (unsigned long long)size_bytes);
    struct sw_flight_ring *ring = sw_alloc_zero(sizeof *ring);
    if (!ring)
        return sw_fail(err, SW_NOMEM, "cannot make %s: out of memory", name);
    ring->segment_bytes = (size_bytes - SW_FLIGHT_HEADER_BYTES) / SW_FLIGHT_SEGMENTS & ~UINT64_C(4095);
    ring->segment_ns = options->keep_ns / SEGMENTS_OF_KEEP;
    ring->fd = ring_open(options->path);
    if (ring->fd < 0) {
        enum sw_status failed = sw_fail_errno(err, errno, "cannot make the ring %s", name);
        sw_free(ring);
        return failed;
    }
    enum sw_status status = room_reserve(ring);
    if (status == SW_OK)
        status = header_put(ring, options);
    if (status == SW_OK)
        status = segment_next(ring, 0);
    if (status != SW_OK) {
        (void)sw_fail_errno(err, errno, "cannot make the ring %s of %llu MiB", name,
                            (unsigned long long)(size_bytes >> 20));
        if (options->path)
            unlink(options->path);
        sw_flight_ring_free(ring);
        return status;
    }
    *out = ring;
    return SW_OK;
}

void sw_flight_ring_free(struct sw_flight_ring *ring) {
    if (!ring)
        return;
    close(ring->fd);
    sw_free(ring->frames.numbers);
    sw_free(ring->nodes.numbers);
    sw_free(ring->tracks.numbers);
    sw_free(ring->path);
    sw_buf_release(&ring->batch);
    sw_free(ring);
}

enum sw_status sw_flight_ring_put(struct sw_flight_ring *ring, const struct sw_profile *profile,
                                  const struct sw_flight_quality *quality, bool *is_turned, struct sw_error *err) {
    *is_turned = false;
    enum sw_status status = profile_reserve(ring, profile);
    if (status == SW_OK && ring->is_broken)
        status = segment_next(ring, 0);
    if (!ring->segment_since_ns && ring->put < profile->sample_count)
        ring->segment_since_ns = profile->samples[ring->put].epoch_ns;
    while (ring->put < profile->sample_count && status == SW_OK)
        status = batch_put(ring, profile, quality, is_turned);
    ring->is_broken = status != SW_OK;
    if (status == SW_IO)
        return sw_fail_errno(err, errno, "cannot write the ring");
    return status == SW_OK ? SW_OK : sw_fail(err, status, "cannot write the ring: %s", sw_status_text(status));
}

void sw_flight_ring_restart(struct sw_flight_ring *ring) {
    all_forget(ring);
    ring->put = 0;
}

uint64_t sw_flight_ring_lost(const struct sw_flight_ring *ring) {
    return ring->lost;
}

enum sw_status sw_flight_ring_read(const struct sw_flight_ring *ring, int64_t since_epoch_ns,
                                   struct sw_profile *profile, struct sw_error *err) {
    return sw_flight_read(ring->fd, since_epoch_ns, profile, err);
}
