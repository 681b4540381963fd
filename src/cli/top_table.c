/* top_table.c - Differences of a growing profile, added up by function; see top_table.h. */
#include "cli/top_table.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"

#define NO_ROW UINT32_MAX
#define DEPTH_MAX 16384 /* of a stack that is walked; stack.h cuts deeper ones */

/* Room for `count` items, new ones zero; NULL when out of memory. */
static void *array_grown(void *items, size_t *cap, size_t count, size_t item_bytes) {
    if (items && count <= *cap)
        return items;
    size_t larger = count + count / 2 + 64;
    char *grown = sw_realloc_array(items, larger, item_bytes);
    if (!grown)
        return NULL;
    memset(grown + *cap * item_bytes, 0, (larger - *cap) * item_bytes);
    *cap = larger;
    return grown;
}

static enum sw_status row_add(struct sw_top_table *table, struct sw_str key, const struct sw_profile_frame *frame,
                              uint32_t *row) {
    struct sw_top_row *rows = array_grown(table->rows, &table->row_cap, table->row_count + 1, sizeof *rows);
    if (!rows)
        return SW_NOMEM;
    table->rows = rows;
    struct sw_top_row added = {.name = sw_arena_copy(&table->text, frame->name),
                               .file = sw_arena_copy(&table->text, frame->file),
                               .line = table->by_line ? frame->line : 0};
    if (!added.name.ptr || !added.file.ptr)
        return SW_NOMEM;
    enum sw_status status = sw_map_put(&table->index, key, table->row_count);
    if (status != SW_OK)
        return status;
    *row = (uint32_t)table->row_count;
    table->rows[table->row_count++] = added;
    return SW_OK;
}

static enum sw_status row_find(struct sw_top_table *table, const struct sw_profile_frame *frame, uint32_t *row) {
    struct sw_buf key = {0};
    uint64_t found;
    enum sw_status status = sw_buf_append_format(&key, "%d %d %zu ", (int)frame->kind,
                                                 table->by_line ? (int)frame->line : 0, frame->name.len);
    if (status == SW_OK)
        status = sw_buf_append(&key, frame->name);
    if (status == SW_OK)
        status = sw_buf_append(&key, frame->file);
    if (status == SW_OK && sw_map_get(&table->index, sw_buf_view(&key), &found))
        *row = (uint32_t)found;
    else if (status == SW_OK)
        status = row_add(table, sw_buf_view(&key), frame, row);
    sw_buf_release(&key);
    return status;
}

static enum sw_status row_of_frame(struct sw_top_table *table, const struct sw_profile *profile, uint32_t frame,
                                   uint32_t *row) {
    if (table->frame_rows[frame]) {
        *row = table->frame_rows[frame] - 1;
        return SW_OK;
    }
    enum sw_status status = row_find(table, &profile->frames[frame], row);
    if (status == SW_OK)
        table->frame_rows[frame] = *row + 1;
    return status;
}

/* The majority's line, by votes: right whenever one line has more than half. */
static void line_vote(struct sw_top_row *row, int32_t line, int64_t votes) {
    if (row->line == line) {
        row->lead += votes;
    } else if (row->lead < votes) {
        row->line = line;
        row->lead = votes - row->lead;
    } else {
        row->lead -= votes;
    }
}

struct added {
    uint32_t track, node;
    uint64_t count;
    int64_t weight_ns;
};

static enum sw_status stack_count(struct sw_top_table *table, const struct sw_profile *profile,
                                  const struct added *added) {
    enum sw_status status = SW_OK;
    uint32_t node = added->node;
    table->mark++;
    for (size_t depth = 0; node != SW_PROFILE_ROOT && depth < DEPTH_MAX && status == SW_OK; depth++) {
        uint32_t index;
        status = row_of_frame(table, profile, profile->nodes[node].frame, &index);
        if (status != SW_OK)
            break;
        struct sw_top_row *row = &table->rows[index];
        if (depth == 0) {
            row->self_ns[table->slot] += added->weight_ns;
            struct sw_top_leaf *leaf = &table->leaves[added->track];
            if (added->weight_ns > leaf->weight_ns) {
                leaf->row = index;
                leaf->weight_ns = added->weight_ns;
            }
        }
        if (row->mark != table->mark) {
            row->mark = table->mark;
            row->total_ns[table->slot] += added->weight_ns;
            row->samples += added->count;
        }
        if (!table->by_line)
            line_vote(row, profile->frames[profile->nodes[node].frame].line, (int64_t)added->count);
        node = profile->nodes[node].parent;
    }
    return status;
}

static enum sw_status room_make(struct sw_top_table *table, const struct sw_profile *profile) {
    size_t counts_cap = table->seen_cap;
    uint32_t *frames = array_grown(table->frame_rows, &table->frame_cap, profile->frame_count, sizeof *frames);
    table->frame_rows = frames ? frames : table->frame_rows;
    uint64_t *counts = array_grown(table->seen_counts, &counts_cap, profile->total_count, sizeof *counts);
    table->seen_counts = counts ? counts : table->seen_counts;
    int64_t *times = counts ? array_grown(table->seen_ns, &table->seen_cap, profile->total_count, sizeof *times) : NULL;
    table->seen_ns = times ? times : table->seen_ns;
    struct sw_top_leaf *leaves = array_grown(table->leaves, &table->leaf_cap, profile->track_count, sizeof *leaves);
    table->leaves = leaves ? leaves : table->leaves;
    if (!frames || !times || !leaves)
        return SW_NOMEM;
    table->leaf_count = profile->track_count;
    return SW_OK;
}

static void leaves_clear(struct sw_top_table *table, const struct sw_profile *profile) {
    for (size_t i = 0; i < table->leaf_count; i++)
        table->leaves[i] = (struct sw_top_leaf){.tid = profile->tracks[i].tid, .row = NO_ROW};
}

static void slot_next(struct sw_top_table *table, int64_t length_ns) {
    table->slot = (table->slot + 1) % SW_TOP_SLOTS;
    table->slot_ns[table->slot] = length_ns;
    for (size_t i = 0; i < table->row_count; i++)
        table->rows[i].self_ns[table->slot] = table->rows[i].total_ns[table->slot] = 0;
}

static void shares_work_out(struct sw_top_table *table) {
    double window_ns = (double)sw_top_table_window_ns(table);
    for (size_t i = 0; i < table->row_count; i++) {
        struct sw_top_row *row = &table->rows[i];
        int64_t self_ns = 0, total_ns = 0;
        for (size_t slot = 0; slot < SW_TOP_SLOTS; slot++) {
            self_ns += row->self_ns[slot];
            total_ns += row->total_ns[slot];
        }
        row->self = window_ns > 0 ? 100.0 * (double)self_ns / window_ns : 0;
        row->total = window_ns > 0 ? 100.0 * (double)total_ns / window_ns : 0;
    }
}

static bool contains(struct sw_str text, struct sw_str part) {
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (sw_str_eq_nocase(sw_str_make(text.ptr + i, part.len), part))
            return true;
    return part.len == 0;
}

struct order_by {
    const struct sw_top_table *table;
    enum sw_top_sort sort;
};

static int by_share(const void *a, const void *b, void *context) {
    const struct order_by *by = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    const struct sw_top_row *left = &by->table->rows[x], *right = &by->table->rows[y];
    double values[2][3] = {{left->self, left->total, (double)left->samples},
                           {right->self, right->total, (double)right->samples}};
    static const unsigned char columns[][3] = {
        [SW_TOP_SELF] = {0, 1, 2}, [SW_TOP_TOTAL] = {1, 0, 2}, [SW_TOP_SAMPLES] = {2, 0, 1}};
    for (size_t i = 0; i < 3; i++) {
        unsigned column = columns[by->sort][i];
        if (values[0][column] != values[1][column])
            return values[0][column] > values[1][column] ? -1 : 1;
    }
    return x < y ? -1 : x > y;
}

void sw_top_table_release(struct sw_top_table *table) {
    bool by_line = table->by_line;
    sw_free(table->rows);
    sw_free(table->frame_rows);
    sw_free(table->seen_counts);
    sw_free(table->seen_ns);
    sw_free(table->leaves);
    sw_map_release(&table->index);
    sw_arena_release(&table->text);
    *table = (struct sw_top_table){.by_line = by_line};
}

enum sw_status sw_top_table_begin(struct sw_top_table *table, const struct sw_profile *profile, int64_t mono_ns) {
    sw_top_table_release(table);
    enum sw_status status = room_make(table, profile);
    if (status != SW_OK)
        return status;
    for (size_t i = 0; i < profile->total_count; i++) {
        table->seen_counts[i] = profile->totals[i].count;
        table->seen_ns[i] = profile->totals[i].weight_ns;
    }
    leaves_clear(table, profile);
    table->updated_ns = mono_ns;
    return SW_OK;
}

enum sw_status sw_top_table_update(struct sw_top_table *table, const struct sw_profile *profile, int64_t mono_ns) {
    enum sw_status status =
        table->row_count > SW_TOP_ROWS_MAX ? sw_top_table_begin(table, profile, table->updated_ns) : SW_OK;
    if (status == SW_OK)
        status = room_make(table, profile);
    if (status != SW_OK)
        return status;
    leaves_clear(table, profile);
    slot_next(table, mono_ns - table->updated_ns);
    for (size_t i = 0; i < profile->total_count && status == SW_OK; i++) {
        const struct sw_profile_total *total = &profile->totals[i];
        struct added added = {.track = total->track,
                              .node = total->node,
                              .count = total->count - table->seen_counts[i],
                              .weight_ns = total->weight_ns - table->seen_ns[i]};
        if (!added.count)
            continue;
        status = stack_count(table, profile, &added);
        table->seen_counts[i] = total->count;
        table->seen_ns[i] = total->weight_ns;
    }
    table->updated_ns = mono_ns;
    shares_work_out(table);
    return status;
}

void sw_top_table_restart(struct sw_top_table *table) {
    if (table->frame_cap)
        memset(table->frame_rows, 0, table->frame_cap * sizeof *table->frame_rows);
    for (size_t i = 0; i < table->seen_cap; i++) {
        table->seen_counts[i] = 0;
        table->seen_ns[i] = 0;
    }
    table->leaf_count = 0;
}

int64_t sw_top_table_window_ns(const struct sw_top_table *table) {
    int64_t window_ns = 0;
    for (size_t slot = 0; slot < SW_TOP_SLOTS; slot++)
        window_ns += table->slot_ns[slot];
    return window_ns;
}

size_t sw_top_table_order(const struct sw_top_table *table, enum sw_top_sort sort, struct sw_str filter,
                          uint32_t *order) {
    struct order_by by = {table, sort};
    size_t count = 0;
    for (size_t i = 0; i < table->row_count; i++) {
        const struct sw_top_row *row = &table->rows[i];
        if (row->samples && (contains(row->name, filter) || contains(row->file, filter)))
            order[count++] = (uint32_t)i;
    }
    qsort_r(order, count, sizeof *order, by_share, &by);
    return count;
}
