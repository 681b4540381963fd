/* flight_ring_impl.h - The form of the ring's file, which its writer and its reader share.
 *
 * header  64 bytes and texts, in HEADER_BYTES
 * segment struct sw_flight_segment, then batches
 * batch   u32 length, u32 check, then `length` bytes of records; a check that does not fit ends the segment
 * record  a byte that tells the kind, then varints (7 bits a byte, lowest first, 0x80: more) and texts (varint length)
 *
 *     1 frame   kind, line (zigzag), name, file        numbered from 0 in their segment, as are nodes and tracks
 *     2 node    parent + 1 (0: the root), frame
 *     3 track   pid, tid, process, thread
 *     4 sample  epoch ns less that of the sample before in the batch (zigzag), weight ns, track, node
 *     5 quality exact, partial, failed, since the batch before
 */
#ifndef SW_PROBE_FLIGHT_RING_IMPL_H
#define SW_PROBE_FLIGHT_RING_IMPL_H

#include <stdint.h>

#include "base/hash.h"

#define SW_FLIGHT_MAGIC "SWFLIGHT"
#define SW_FLIGHT_VERSION 1
#define SW_FLIGHT_HEADER_BYTES 4096
#define SW_FLIGHT_SEGMENTS 8
#define SW_FLIGHT_COMMAND_MAX 2048
#define SW_FLIGHT_TEXT_MAX 65536

enum sw_flight_record {
    SW_FLIGHT_FRAME = 1,
    SW_FLIGHT_NODE = 2,
    SW_FLIGHT_TRACK = 3,
    SW_FLIGHT_SAMPLE = 4,
    SW_FLIGHT_QUALITY = 5,
};

struct sw_flight_header {
    char magic[8];
    uint32_t version;
    uint32_t segment_count;
    uint64_t segment_bytes;
    int32_t pid;
    uint32_t command_len;
    double rate_hz;
    char what[24]; /* NUL-terminated */
    char command[SW_FLIGHT_COMMAND_MAX];
};

struct sw_flight_segment {
    uint64_t sequence; /* counts up from 1; 0: never used */
    uint64_t check;
};

static inline uint64_t sw_flight_segment_check(uint64_t sequence) {
    return sw_hash_u64(sequence ^ UINT64_C(0x53574c4947485453));
}

/* The sequence makes what is left of an earlier round in the same place fail. */
static inline uint32_t sw_flight_batch_check(uint64_t sequence, const void *bytes, size_t len) {
    return (uint32_t)sw_hash_bytes(bytes, len, sequence);
}

struct sw_flight_batch {
    uint32_t len;
    uint32_t check;
};

#endif
