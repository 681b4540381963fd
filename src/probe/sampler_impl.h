/* sampler_impl.h - What the files of the sampler share: one process being sampled, and the way from stacks to nodes. */
#ifndef SW_PROBE_SAMPLER_IMPL_H
#define SW_PROBE_SAMPLER_IMPL_H

#include "probe/family.h"
#include "probe/native.h"
#include "probe/sampler.h"
#include "probe/sampler_pace.h"

/* Stack fingerprints to nodes: open addressing, at most half full. */
struct sw_node_cache {
    struct sw_node_slot {
        uint64_t key;
        uint32_t node; /* 0: empty, as no stack ends at the root */
    } * slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
};

/* A thread as it was looked at in this look. */
struct sw_looked {
    int32_t tid;
    bool is_wanted;
};

struct sw_tracked {
    int32_t tid;
    uint32_t track;
};

#define SW_FRAME_CACHE_SIZE 1024 /* code objects are numbered from 1 on, so neighbours do not collide */

struct sw_sampled {
    struct sw_target target;
    struct sw_runtime runtime; /* while is_live */
    struct sw_stack_reader *reader;
    struct sw_thread_watch *watch;
    struct sw_native *native; /* NULL unless has_native */
    bool is_live;
    bool is_below_python; /* an ancestor is, or was, an interpreter that is sampled */
    bool was_live;
    bool is_refused;  /* it cannot be read, and trying again would not help */
    int64_t since_ns; /* when it came into view, or stopped being an interpreter */
    int64_t next_try_ns;
    int64_t next_family_ns;
    int64_t next_close_ns; /* when files of ended threads are closed */
    unsigned failures;     /* rounds without stacks, in a row */
    struct sw_buf command;

    struct sw_looked *looked;
    int32_t *wanted; /* tids to read; as long as looked */
    size_t looked_count, looked_cap, wanted_count;
    bool reads_all; /* in this look: stacks are chosen after they were read */

    /* Wanted stacks of this look, to be read again with their C frames. */
    struct sw_kept *kept;
    struct sw_frame *kept_frames;
    size_t kept_count, kept_cap, kept_frame_count, kept_frame_cap;

    unsigned generation; /* of the profile that what follows belongs to */
    uint32_t heading;    /* the node its stacks begin at */
    struct sw_node_cache nodes;
    struct sw_tracked *tracks;
    size_t track_count, track_cap, track_hint;
    struct sw_frame_slot {
        uint32_t code_id; /* 0: empty */
        int32_t line;
        uint32_t frame;
    } frames[SW_FRAME_CACHE_SIZE];

    struct sw_sampler_process seen;
};

struct sw_sampler {
    struct sw_sampler_options options;
    struct sw_pace pace;
    bool has_timer_slack; /* it was set for this thread */
    struct sw_sampled **processes;
    size_t process_count, process_cap;
    struct sw_profile profile;
    unsigned generation; /* counts up with each sw_sampler_take */
    struct sw_sampler_counts counts;
    struct sw_sampler_counts taken; /* the counts at the last take */
    struct sw_family family;
    int64_t next_work_ns; /* when a process is to be tried, or children are to be looked for */
    int64_t next_sweep_ns;
    uint64_t attached;
    struct sw_native_look *look; /* NULL unless has_native */
    struct sw_error refusal;
};

/* The moment of a look, and for how long its samples stand. */
struct sw_moment {
    int64_t mono_ns;
    int64_t epoch_minus_mono_ns;
    int64_t weight_ns;
};

/* sampler_node.c: adds the stack to the profile, with C frames where `look`, which it is of, is not NULL. */
SW_MUST_USE enum sw_status sw_sampled_add(struct sw_sampler *sampler, struct sw_sampled *process,
                                          const struct sw_stack *stack, const struct sw_native_look *look,
                                          const struct sw_moment *moment);
void sw_sampled_forget_nodes(struct sw_sampled *process);

/* sampler_look.c: one look at a live process. SW_CLOSED: its interpreter is gone. Otherwise only SW_NOMEM fails. */
SW_MUST_USE enum sw_status sw_sampled_look(struct sw_sampler *sampler, struct sw_sampled *process,
                                           const struct sw_moment *moment);

/* sampler_native.c: keeps a stack for the end of the look, and adds what was kept with its C frames, or, where they cannot
 * be had, as it is. Settles threads that stopped too late. */
SW_MUST_USE enum sw_status sw_sampled_keep(struct sw_sampled *process, const struct sw_stack *stack);
SW_MUST_USE enum sw_status sw_sampled_add_kept(struct sw_sampler *sampler, struct sw_sampled *process,
                                               const struct sw_moment *moment);
void sw_sampled_settle(struct sw_sampler *sampler, struct sw_sampled *process);

/* sampler_process.c */
SW_MUST_USE enum sw_status sw_sampled_new(struct sw_sampled **process, int32_t pid, struct sw_error *err);
void sw_sampled_free(struct sw_sampled *process);
/* SW_NOTFOUND: it is no Python process (yet). */
SW_MUST_USE enum sw_status sw_sampled_attach(struct sw_sampler *sampler, struct sw_sampled *process,
                                             struct sw_error *err);
void sw_sampled_detach(struct sw_sampled *process); /* the process may go on: it ran exec, or finalised */

#endif
