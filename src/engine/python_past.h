/* python_past.h - What a Python process did in the last minute: its stacks, and who held and who awaited its GIL.
 *
 * Memory is bounded: stacks are kept as a few profiles, the oldest of which is dropped as a whole; the GIL as one cell for
 * each thread and each tenth of a second. One thread writes; readers hold the lock of python_watch.h.
 */
#ifndef SW_ENGINE_PYTHON_PAST_H
#define SW_ENGINE_PYTHON_PAST_H

#include "report/profile.h"

#define SW_PAST_SECONDS 60
#define SW_PAST_PARTS 5              /* profiles; the newest is filled */
#define SW_PAST_BYTES_MAX (2u << 20) /* of a process */
#define SW_LANE_CELL_NS 100000000    /* 0.1 s */
#define SW_LANE_CELLS 600            /* SW_PAST_SECONDS */
#define SW_LANES_MAX 256             /* threads of a process; further ones are counted */

/* A share of a cell, 1 to 200 for 0 to 100 %; 0: not measured. */
typedef uint8_t sw_lane_share;

struct sw_past_lane {
    uint64_t address; /* PyThreadState */
    int32_t tid;
    char name[16];
    bool is_main, has_waits;
    int64_t held_ns, waited_ns; /* totals at the last cell */
    int64_t last_cell;          /* the newest cell with figures, counted since the clock began */
    sw_lane_share held[SW_LANE_CELLS], waited[SW_LANE_CELLS]; /* by cell modulo SW_LANE_CELLS */
};

struct sw_past_lanes {
    struct sw_past_lane **items;
    size_t count, cap;
    size_t omitted; /* threads without a lane at the last cell */
    int64_t now_cell;
};

/* Totals of a thread so far. */
struct sw_lane_totals {
    uint64_t address;
    int32_t tid;
    bool is_main, has_waits;
    int64_t held_ns, waited_ns;
};

void sw_lanes_release(struct sw_past_lanes *lanes);
/* A thread's totals at the end of cell `cell`, `span_ns` after the last ones. *is_new: its name is not known yet. */
SW_MUST_USE enum sw_status sw_lanes_add(struct sw_past_lanes *lanes, const struct sw_lane_totals *totals, int64_t cell,
                                        int64_t span_ns, struct sw_past_lane **lane, bool *is_new);
void sw_lanes_sweep(struct sw_past_lanes *lanes, int64_t cell); /* drops lanes without any cell in the last minute */
/* The share in per cent; NAN where not measured. */
double sw_lane_percent(const struct sw_past_lane *lane, const sw_lane_share *shares, int64_t cell);

struct sw_past {
    struct sw_profile parts[SW_PAST_PARTS - 1]; /* finished, the newest last */
    int64_t ends_ns[SW_PAST_PARTS - 1];         /* epoch */
    unsigned count;
};

void sw_past_release(struct sw_past *past);
size_t sw_past_part_bytes(const struct sw_profile *profile); /* about as much memory as it takes */
size_t sw_past_bytes(const struct sw_past *past);
void sw_past_add(struct sw_past *past, struct sw_profile *part, int64_t now_epoch_ns); /* takes *part */
void sw_past_drop_old(struct sw_past *past, int64_t before_epoch_ns);
bool sw_past_drop_oldest(struct sw_past *past); /* false: there is none */
/* Adds the samples of `from` since `since_epoch_ns` to `into`, as totals. */
SW_MUST_USE enum sw_status sw_past_collect(struct sw_profile *into, const struct sw_profile *from,
                                           int64_t since_epoch_ns);

#endif
