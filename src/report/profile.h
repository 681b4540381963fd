/* profile.h - Stacks with weights: what a sampling profiler collects and every profile format is written from.
 *
 * A frame is a function at a line. A stack is a node of a tree: its frame and the node it was called from, so that
 * equal beginnings are stored once. A track is one thread of one process. A sample says that a track was in a stack
 * for `weight_ns` at a time; samples of one track and node add up, and with `keeps_samples` each is kept too, in
 * order, for formats that show time. Memory grows with distinct stacks (and with kept samples). One thread owns a
 * profile.
 */
#ifndef SW_REPORT_PROFILE_H
#define SW_REPORT_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/status.h"
#include "base/str.h"

enum sw_profile_frame_kind {
    SW_PROFILE_PYTHON,
    SW_PROFILE_NATIVE, /* C, by symbol; file is the module or source file */
    SW_PROFILE_MARK,   /* not code: "<GC>", "<in flux>", a thread's or process's heading */
};

struct sw_profile_frame {
    struct sw_str name; /* qualified where known */
    struct sw_str file; /* may be empty */
    int32_t line;       /* 0: unknown, or functions are not split by line */
    enum sw_profile_frame_kind kind;
};

#define SW_PROFILE_ROOT 0u /* the node without a frame that every stack begins at */

struct sw_profile_node {
    uint32_t parent; /* a node made earlier, so of a smaller index */
    uint32_t frame;
    uint32_t depth; /* frames from the root; 0 for the root */
};

struct sw_profile_track {
    int32_t pid;
    int32_t tid;
    struct sw_str process; /* command; may be empty */
    struct sw_str thread;  /* name; may be empty */
};

/* One total for each track and node that has samples. */
struct sw_profile_total {
    uint32_t track;
    uint32_t node;
    uint64_t count;
    int64_t weight_ns;
};

struct sw_profile_sample {
    int64_t epoch_ns; /* when the stack was seen */
    int64_t weight_ns;
    uint32_t track;
    uint32_t node;
};

/* What the picture must tell beside the stacks. */
struct sw_profile_about {
    int64_t start_epoch_ns;
    int64_t duration_ns;
    double rate_hz;        /* asked for; 0: unknown */
    uint64_t exact;        /* samples whose every frame was confirmed */
    uint64_t partial;      /* samples whose innermost frames were in flux */
    uint64_t failed;       /* looks that gave no stack */
    struct sw_str what;    /* "cpu", "gil", "wait", "wall": which moments were kept */
    struct sw_str command; /* title; copied by sw_profile_describe */
    struct sw_str reason;  /* why it was saved (flight recorder); may be empty */
};

struct sw_profile {
    bool keeps_samples; /* set before the first sample */
    struct sw_profile_about about;
    struct sw_profile_frame *frames;
    size_t frame_count, frame_cap;
    struct sw_profile_node *nodes; /* nodes[0] is the root once anything was added */
    size_t node_count, node_cap;
    struct sw_profile_track *tracks;
    size_t track_count, track_cap;
    struct sw_profile_total *totals;
    size_t total_count, total_cap;
    struct sw_profile_sample *samples;
    size_t sample_count, sample_cap;
    struct sw_arena text;
    struct sw_map frame_index, track_index;
    struct sw_profile_index *node_index, *total_index; /* open addressing over integers; see profile.c */
};

/* Zero is a valid empty profile. On SW_NOMEM a profile is as it was. */
void sw_profile_release(struct sw_profile *profile);
SW_MUST_USE enum sw_status sw_profile_add_frame(
    struct sw_profile *profile, const struct sw_profile_frame *frame,
    uint32_t *index); /* the same frame gives the same index; texts copied */
SW_MUST_USE enum sw_status sw_profile_add_node(struct sw_profile *profile, uint32_t parent, uint32_t frame,
                                               uint32_t *node);
SW_MUST_USE enum sw_status sw_profile_add_track(struct sw_profile *profile, const struct sw_profile_track *track,
                                                uint32_t *index); /* known by pid, tid and process */
SW_MUST_USE enum sw_status sw_profile_add_sample(struct sw_profile *profile, const struct sw_profile_sample *sample);
/* As samples of one track and node whose sum is known; nothing is kept in order. */
SW_MUST_USE enum sw_status sw_profile_add_total(struct sw_profile *profile, const struct sw_profile_total *total);
/* Copies the texts. */
SW_MUST_USE enum sw_status sw_profile_describe(struct sw_profile *profile, const struct sw_profile_about *about);

#endif
