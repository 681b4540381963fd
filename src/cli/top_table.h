/* top_table.h - Where the time of the last seconds went, by function or line, from a growing profile.
 *
 * A profile only grows. Each update takes what was added since the one before into the newest of SW_TOP_SLOTS slots; the
 * window is all slots together. Shares are of wall-clock time: two busy threads can have 200 %. Zero is a valid empty
 * table. One thread owns it.
 */
#ifndef SW_CLI_TOP_TABLE_H
#define SW_CLI_TOP_TABLE_H

#include "report/profile.h"

#define SW_TOP_SLOTS 10
#define SW_TOP_ROWS_MAX 65536 /* when there are more, the table begins anew */

enum sw_top_sort { SW_TOP_SELF, SW_TOP_TOTAL, SW_TOP_SAMPLES };

struct sw_top_row {
    struct sw_str name, file;
    int32_t line;     /* 0: none; of a function the one that is seen most */
    int64_t lead;     /* of that line over the others */
    uint64_t samples; /* in which it is on the stack, since the table began */
    int64_t self_ns[SW_TOP_SLOTS], total_ns[SW_TOP_SLOTS];
    double self, total; /* percent of the window */
    uint64_t mark;      /* the stack that it was met in last, so that recursion counts once */
};

/* What a thread was seen in most at the last update. */
struct sw_top_leaf {
    int32_t tid;
    uint32_t row; /* UINT32_MAX: nothing */
    int64_t weight_ns;
};

struct sw_top_table {
    bool by_line; /* set before the first update */
    struct sw_top_row *rows;
    size_t row_count, row_cap;
    struct sw_map index;
    struct sw_arena text;
    uint32_t *frame_rows; /* of the profile's frames: row + 1 */
    size_t frame_count, frame_cap;
    uint64_t *seen_counts; /* of the profile's totals */
    int64_t *seen_ns;
    size_t seen_count, seen_cap;
    struct sw_top_leaf *leaves; /* by the profile's track */
    size_t leaf_count, leaf_cap;
    int64_t slot_ns[SW_TOP_SLOTS]; /* how long each is */
    unsigned slot;
    int64_t updated_ns; /* monotonic; 0: not yet */
    uint64_t mark;
};

void sw_top_table_release(struct sw_top_table *table); /* `by_line` stays */
/* Begins the window at `mono_ns`; what the profile has by then is not counted. */
SW_MUST_USE enum sw_status sw_top_table_begin(struct sw_top_table *table, const struct sw_profile *profile,
                                              int64_t mono_ns);
/* Takes what was added up to `mono_ns`. */
SW_MUST_USE enum sw_status sw_top_table_update(struct sw_top_table *table, const struct sw_profile *profile,
                                               int64_t mono_ns);
/* The next update is of an empty profile. */
void sw_top_table_restart(struct sw_top_table *table);
int64_t sw_top_table_window_ns(const struct sw_top_table *table);
/* Indexes of the rows whose name or file contains `filter` and that were ever seen, most first; returns how many. `order`
 * has room for row_count. */
size_t sw_top_table_order(const struct sw_top_table *table, enum sw_top_sort sort, struct sw_str filter,
                          uint32_t *order);

#endif
