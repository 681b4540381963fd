/* flight_ring.h - The flight recorder's ring: the last seconds of samples in a file of fixed size.
 *
 * The file is a header and segments that are filled in turn, the oldest being given up for the next. A segment defines
 * what its samples refer to (frames, stacks, threads), so each can be read without the others. Samples are written in
 * checked batches: what a killed writer or a full page left half written is not read. The room is reserved at the
 * beginning, so that a disk which fills up later does not end the recording. One thread owns a ring.
 */
#ifndef SW_PROBE_FLIGHT_RING_H
#define SW_PROBE_FLIGHT_RING_H

#include "report/profile.h"

#define SW_FLIGHT_RING_BYTES (UINT64_C(16) << 20) /* unless said otherwise */
#define SW_FLIGHT_RING_BYTES_MIN (UINT64_C(8) << 20)
#define SW_FLIGHT_RING_BYTES_MAX (UINT64_C(4) << 30)

struct sw_flight_ring;

struct sw_flight_ring_options {
    const char *path;    /* must not exist yet; NULL: in memory */
    uint64_t size_bytes; /* 0: SW_FLIGHT_RING_BYTES */
    int64_t keep_ns;     /* how much time the ring is to hold */
    int32_t pid;
    double rate_hz;
    struct sw_str what, command; /* as in a profile's description; copied, a long command is cut */
};

/* SW_LIMIT: there is not enough room on the disk; nothing is left behind. */
SW_MUST_USE enum sw_status sw_flight_ring_new(struct sw_flight_ring **ring,
                                              const struct sw_flight_ring_options *options, struct sw_error *err);
void sw_flight_ring_free(struct sw_flight_ring *ring); /* the file stays; NULL is fine */

/* How many samples could be read, since the ring began. */
struct sw_flight_quality {
    uint64_t exact, partial, failed;
};
/* Writes the samples that `profile` has kept since the last put. *is_turned: a new segment was begun. After that, and
 * whenever the caller likes, it may go on with another profile, which it tells by sw_flight_ring_restart. */
SW_MUST_USE enum sw_status sw_flight_ring_put(struct sw_flight_ring *ring, const struct sw_profile *profile,
                                              const struct sw_flight_quality *quality, bool *is_turned,
                                              struct sw_error *err);
/* The next put is of an empty profile that is filled anew. */
void sw_flight_ring_restart(struct sw_flight_ring *ring);
uint64_t sw_flight_ring_lost(const struct sw_flight_ring *ring); /* samples that no segment had room for */

/* Reads the samples since `since_epoch_ns` into `profile`, which must be zero and keeps them in order, described. */
SW_MUST_USE enum sw_status sw_flight_ring_read(const struct sw_flight_ring *ring, int64_t since_epoch_ns,
                                               struct sw_profile *profile, struct sw_error *err);
/* The ring that another process has left, or is still writing. SW_MALFORMED: it is no such file. */
SW_MUST_USE enum sw_status sw_flight_file_read(const char *path, int64_t since_epoch_ns, struct sw_profile *profile,
                                               struct sw_error *err);

#endif
