/* stack_impl.h - What the files of the stack reader share: a track for each thread, and the pieces of memory it reads.
 *
 * A round reads, for each thread of a batch: each piece of memory that held its frames in the round before, outer frames
 * first; the head of its PyThreadState with the word that leads to the innermost frame (3.11, 3.12: and that frame pointer
 * in the _PyCFrame); the innermost pieces and the word again; and all pieces again, inner ones first, but joined ones as
 * they lie. All of it is one process_vm_readv, as every range in it takes the kernel 0.14 us. What is equal in all copies of the pieces did not change in between, so it stood as read when the word
 * in the middle was; and the inner frames, which change most often, are read within a fraction of a microsecond of it.
 */
#ifndef SW_PROBE_STACK_IMPL_H
#define SW_PROBE_STACK_IMPL_H

#include "probe/code_impl.h"
#include "probe/stack.h"

#define SW_STACK_COPIES 3
#define SW_STACK_HOT_PIECES 3      /* at most so many are read a third time ... */
#define SW_STACK_HOT_DEPTH 3       /* ... that hold one of so many innermost frames */
#define SW_STACK_WALK_MAX 65536    /* frames in a chain */
#define SW_STACK_CHUNKS_MAX 4096   /* chunks of a data stack */
#define SW_STACK_PIECES_MAX 480    /* of one thread, so that all copies fit in one call */
#define SW_STACK_OUTSIDE_MAX 65536 /* frames known to lie outside of the data stack */
#define SW_STACK_LEARNS 8          /* tries that do not count, as memory was found that was not read yet */
#define SW_STACK_HEAD_MAX 1024     /* bytes of a PyThreadState */
#define SW_STACK_FRAME_MAX 512     /* bytes of a frame, without its locals */
#define SW_STACK_LOCALS_BYTES 64   /* of a generator, compared with its frame */
#define SW_STACK_SLOTS_MAX 64      /* of a frame object */
#define SW_STACK_CALLS 1024
#define SW_STACK_CHECKS 2 /* code objects looked at again in a round, for each thread */

/* A stretch of the target's memory that may hold frames, and where its copies lie in the buffer: two, or three when it is
 * one of the innermost. */
struct sw_stack_piece {
    uint64_t address;
    uint32_t size_bytes;
    uint32_t depth; /* of the innermost frame last found in it; UINT32_MAX: none */
    size_t at[SW_STACK_COPIES];
    unsigned copies;
};

struct sw_stack_chunk {
    uint64_t address;
    uint64_t size_bytes; /* to read: of the newest the largest use lately */
    uint64_t limit_bytes;
};

/* A frame in a generator, on the C stack, or (up to 3.10) on the heap. */
struct sw_stack_outside {
    uint64_t address;
    uint32_t size_bytes;
    uint32_t idle; /* stacks accepted without it */
};

struct sw_raw_frame {
    uint64_t address;
    uint64_t code;
    uint64_t ip; /* address, or f_lasti in bytes up to 3.10 */
    uint32_t tlbc;
    bool is_shim;  /* an entry from C, without code */
    bool is_entry; /* up to 3.11: called from C */
    bool is_generator;
    bool is_loose;   /* read on its own, not in the copies */
    bool is_running; /* its stack pointer is not put away, as it is while it calls a Python function */
    uint32_t piece;
    uint32_t offset;     /* in the piece */
    uint32_t size_bytes; /* with what is known to belong to it of its locals, when outside of the data stack */
    uint32_t slots;      /* of the stack's frames filled with it and its outer ones, and their fingerprint */
    uint64_t hash;
};

struct sw_chain {
    struct sw_raw_frame *frames; /* innermost first */
    size_t count, cap;
    size_t torn;      /* the outermost frame that cannot have called the next one; SIZE_MAX: none */
    bool is_complete; /* reached the outermost frame */
    bool is_loose;    /* some frame is */
};

/* Where the parts of a track's read lie in the buffer. */
struct sw_stack_plan {
    size_t head, checks[SW_STACK_CHECKS];
    size_t words[2], cframes[2];
    size_t check_count;
    size_t end;
    uint64_t check_addresses[SW_STACK_CHECKS];
};

/* What a slot of decoded frames was made from. */
struct sw_stack_key {
    uint64_t code, ip;
    uint32_t tlbc;
};

struct sw_track {
    struct sw_stack stack;
    uint64_t interpreter; /* address */

    uint64_t cframe;               /* 3.11, 3.12: where the thread's _PyCFrame was; 0: not known */
    struct sw_stack_chunk *chunks; /* newest first */
    size_t chunk_count, chunk_cap;
    unsigned low_rounds;              /* rounds for which the newest chunk used less than is read */
    uint64_t low_top;                 /* the largest use in them */
    struct sw_stack_outside *outside; /* by address */
    size_t outside_count, outside_cap;
    struct sw_stack_piece *pieces; /* from chunks and outside; rebuilt when these changed */
    uint16_t *order;               /* of pieces, outermost first */
    size_t piece_count, piece_cap, order_cap;
    size_t outside_pieces; /* the first ones */
    bool has_pieces;
    struct sw_stack_plan plan;
    struct sw_chain last; /* the one last accepted as exact */
    unsigned char *image; /* its frames in the newest chunk, at their places there */
    size_t image_cap;
    bool has_image;
    size_t still;             /* outermost frames of the last one that the first copy holds as they were */
    size_t kept;              /* outermost frames of the chain just walked that were taken from the last one */
    bool are_slots_last;      /* the slots hold the last one */
    uint64_t root, next_root; /* the outermost frame; another one must be seen twice before it is believed */
    bool has_root, has_next_root;
    bool is_tight; /* memory behind a frame cannot be read: without locals, then */

    /* The last stack, outermost frame in the last slot, so that outer frames keep their places. */
    struct sw_frame *frames;
    struct sw_stack_key *keys;
    size_t slot_cap, slot_count;
    uint64_t drops;    /* of the code cache when the slots were made */
    size_t check_next; /* slot whose code object is next in rotation */

    bool is_wanted; /* in this round */
    bool is_dirty;  /* may have changed since it was accepted */
    bool is_done;   /* in this round */
    bool has_result;
    unsigned tries, learns;
};

/* An interpreter as last seen. */
struct sw_stack_look {
    uint64_t address;
    struct sw_gil_look gil;
    uint64_t last_holder;
    uint64_t generation;
    uint64_t threads_head;
    int64_t head_ns; /* when the list of threads was last looked at */
    bool has_gil, has_generation, is_planned;
    size_t at_gil, at_head, at_generation, end; /* in the buffer */
};

/* Of an instruction that calls: whether it resumes generators. */
struct sw_stack_call {
    uint64_t address;
    uint8_t kind;
};

struct sw_stack_reader {
    const struct sw_runtime *runtime;
    struct sw_stack_options options;
    struct sw_code_cache *codes;
    struct sw_thread_list list;
    struct sw_track **tracks;     /* as in list.threads */
    struct sw_track **by_address; /* the same, sorted */
    size_t track_count;
    struct sw_stack *stacks; /* handed out */
    size_t stack_cap;
    struct sw_stack_look *looks; /* as in list.interpreters */
    size_t look_count;
    bool is_list_stale;
    int64_t list_next_ns;
    int64_t now_ns;  /* before the last call was planned */
    int64_t call_ns; /* until it was done */

    struct iovec *ranges;
    size_t range_count;
    bool is_full; /* a range was refused */
    unsigned char *buffer;
    size_t buffer_cap, planned_bytes, read_bytes;
    size_t head_bytes; /* of a PyThreadState to read */
    struct sw_chain chain;
    struct sw_stack_call calls[SW_STACK_CALLS]; /* by hash */
    uint64_t calls_drops;                       /* of the code cache when they were noted */
    struct sw_stack_counts counts;
};

/* stack_plan.c: what to read */

/* Adds a range to the call; its place in the buffer, or SIZE_MAX when the call is full. */
size_t sw_stack_plan_range(struct sw_stack_reader *reader, uint64_t address, size_t size_bytes);
/* Plans all of a track, or nothing when it does not fit. */
SW_MUST_USE enum sw_status sw_stack_plan_track(struct sw_stack_reader *reader, struct sw_track *track, bool *fits);
/* Learns where the data stack lies, from a thread state's head just read. True when the plan changed. */
SW_MUST_USE enum sw_status sw_stack_learn_chunks(struct sw_stack_reader *reader, struct sw_track *track,
                                                 const unsigned char *head, bool *is_changed);
SW_MUST_USE enum sw_status sw_stack_add_outside(struct sw_track *track, const struct sw_raw_frame *frame);
/* After an accepted stack: counts up what was not used, and drops what was not for long. */
void sw_stack_age_outside(struct sw_track *track, const struct sw_chain *chain);
/* Forgets what lies at an address that cannot be read. */
void sw_stack_forget_piece(struct sw_track *track, uint64_t address);
void sw_track_free(struct sw_track *track);

/* stack_walk.c: chains in the copies */

/* Walks a copy from `head`; frames that no piece holds are read on their own. */
SW_MUST_USE enum sw_status sw_stack_walk(struct sw_stack_reader *reader, struct sw_track *track, unsigned copy,
                                         uint64_t head);
/* Makes the chain of the outer frames of the stack last accepted that stand as they stood then. */
SW_MUST_USE enum sw_status sw_stack_recall(struct sw_stack_reader *reader, struct sw_track *track);
/* Whether the innermost frames were read in the middle too: two copies far apart may be of two calls. If not, they will be
 * in the next round, as it was noted where they lie. */
bool sw_stack_is_hot(const struct sw_stack_reader *reader, const struct sw_track *track);
/* How many outermost frames of the chain walked are the same in both copies, with the one inside of them if only its
 * instruction differs. *is_exact: all are, and none but the leaf has moved. */
size_t sw_stack_agreed(const struct sw_stack_reader *reader, const struct sw_track *track, bool *is_exact);

/* stack_image.c: what stands as it stood, so that a deep stack costs what changed of it */

/* Before a walk: finds the frames that stand in the first copy as they stood. */
void sw_stack_image_compare(const struct sw_stack_reader *reader, struct sw_track *track);
/* After the last chain was accepted. Without memory for it nothing is remembered. */
void sw_stack_image_take(const struct sw_stack_reader *reader, struct sw_track *track);
/* Ends the chain with the frames from `address` outwards, when they are known to stand. */
SW_MUST_USE enum sw_status sw_stack_image_end(struct sw_stack_reader *reader, struct sw_track *track, uint64_t address,
                                              bool *is_known);

/* stack_call.c: after a frame was added to the chain, whether it can have called the one before it */

void sw_stack_check_call(struct sw_stack_reader *reader, size_t caller);

/* stack_settle.c: from raw frames to code and lines */

/* Makes the track's stack from the `count` outermost frames of the chain. *settled: how many of them could be named. */
SW_MUST_USE enum sw_status sw_stack_settle(struct sw_stack_reader *reader, struct sw_track *track, size_t count,
                                           size_t *settled);
/* Plans to look again at code objects of the track's last stack, and takes what was read of them. */
void sw_stack_plan_checks(struct sw_stack_reader *reader, struct sw_track *track);
void sw_stack_take_checks(struct sw_stack_reader *reader, struct sw_track *track);

/* stack_list.c: interpreters and threads */

SW_MUST_USE enum sw_status sw_stack_refresh(struct sw_stack_reader *reader);
struct sw_track *sw_stack_find(const struct sw_stack_reader *reader, uint64_t address);
/* The last holders may have run since: read in the first call of a round. */
void sw_stack_mark_holders(struct sw_stack_reader *reader);
void sw_stack_plan_looks(struct sw_stack_reader *reader);
/* Takes the looks just read, and marks the threads that may have run since the looks before. */
void sw_stack_take_looks(struct sw_stack_reader *reader);

/* One read outside of the batch. */
SW_MUST_USE enum sw_status sw_stack_fetch(struct sw_stack_reader *reader, uint64_t address, void *into,
                                          size_t size_bytes);
/* Grows an array to at least `needed` items; false when out of memory. */
bool sw_stack_grow(void **items, size_t *cap, size_t needed, size_t item_bytes);

#endif
