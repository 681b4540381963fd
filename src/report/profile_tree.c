/* profile_tree.c - Sums up the tree of stacks, the order in which it is drawn, and the sums of each function. */
#include "report/profile_tree_impl.h"

#include <stdlib.h>

#include "base/mem.h"
#include "report/profile_impl.h"

/* Children of one node stand together in `sorted`. */
struct kin {
    uint32_t *sorted;
    uint32_t *first; /* by node: where its children begin */
    uint32_t *count;
    uint32_t *stack;
};

static void sum_add(struct sw_profile_sum *sum, const struct sw_profile_sum *more) {
    sum->count = sw_profile_sum_u64(sum->count, more->count);
    sum->ns = sw_profile_sum_ns(sum->ns, more->ns);
}

static void cells_sum(struct sw_profile_tree *tree, unsigned sides) {
    const struct sw_profile *profile = tree->profile;
    for (size_t i = 0; i < profile->total_count; i++) {
        const struct sw_profile_total *total = &profile->totals[i];
        unsigned side = sides == 1 || total->track == 0 ? 0 : 1;
        struct sw_profile_sum sum = {total->count, total->weight_ns > 0 ? total->weight_ns : 0};
        sum_add(&tree->cells[total->node].self[side], &sum);
        sum_add(&tree->cells[total->node].total[side], &sum);
    }
    for (size_t i = profile->node_count; i-- > 1;) /* callees have greater numbers than their callers */
        for (unsigned side = 0; side < SW_PROFILE_SIDES; side++)
            sum_add(&tree->cells[profile->nodes[i].parent].total[side], &tree->cells[i].total[side]);
}

static int by_parent_and_weight(const void *a, const void *b, void *context) {
    const struct sw_profile_tree *tree = context;
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    const struct sw_profile_node *nodes = tree->profile->nodes;
    if (nodes[left].parent != nodes[right].parent)
        return nodes[left].parent < nodes[right].parent ? -1 : 1;
    for (unsigned side = 0; side < SW_PROFILE_SIDES; side++) {
        double x = sw_profile_tree_weight(tree, &tree->cells[left].total[side]);
        double y = sw_profile_tree_weight(tree, &tree->cells[right].total[side]);
        if (x != y)
            return x > y ? -1 : 1;
    }
    return left < right ? -1 : left > right;
}

static bool is_seen(const struct sw_profile_tree *tree, size_t node) {
    return tree->cells[node].total[0].count || tree->cells[node].total[0].ns || tree->cells[node].total[1].count ||
           tree->cells[node].total[1].ns;
}

static void kin_find(struct kin *kin, const struct sw_profile_tree *tree) {
    size_t count = 0;
    for (size_t i = 1; i < tree->profile->node_count; i++)
        if (is_seen(tree, i))
            kin->sorted[count++] = (uint32_t)i;
    qsort_r(kin->sorted, count, sizeof *kin->sorted, by_parent_and_weight, (void *)(uintptr_t)tree);
    for (size_t i = count; i-- > 0;) {
        uint32_t parent = tree->profile->nodes[kin->sorted[i]].parent;
        kin->first[parent] = (uint32_t)i;
        kin->count[parent]++;
    }
}

static void order_walk(struct sw_profile_tree *tree, const struct kin *kin) {
    size_t waiting = 1;
    kin->stack[0] = SW_PROFILE_ROOT;
    while (waiting > 0) {
        uint32_t node = kin->stack[--waiting];
        if (node != SW_PROFILE_ROOT) {
            tree->order[tree->count++] = node;
            uint32_t depth = tree->profile->nodes[node].depth;
            tree->height = depth > tree->height ? depth : tree->height;
        }
        for (uint32_t i = kin->count[node]; i-- > 0;)
            kin->stack[waiting++] = kin->sorted[kin->first[node] + i];
    }
}

static enum sw_status order_make(struct sw_profile_tree *tree) {
    size_t nodes = tree->profile->node_count;
    struct kin kin = {
        .sorted = sw_alloc_array(nodes, sizeof *kin.sorted),
        .first = sw_alloc_array_zero(nodes, sizeof *kin.first),
        .count = sw_alloc_array_zero(nodes, sizeof *kin.count),
        .stack = sw_alloc_array(nodes, sizeof *kin.stack),
    };
    bool has_memory = kin.sorted && kin.first && kin.count && kin.stack;
    if (has_memory) {
        kin_find(&kin, tree);
        order_walk(tree, &kin);
    }
    sw_free(kin.sorted);
    sw_free(kin.first);
    sw_free(kin.count);
    sw_free(kin.stack);
    return has_memory ? SW_OK : SW_NOMEM;
}

static void rows_sum(const struct sw_profile_tree *tree, struct sw_profile_cell *rows, uint32_t *path, uint32_t *open) {
    const struct sw_profile *profile = tree->profile;
    uint32_t depth = 0;
    for (size_t i = 0; i < tree->count; i++) {
        const struct sw_profile_node *node = &profile->nodes[tree->order[i]];
        const struct sw_profile_cell *cell = &tree->cells[tree->order[i]];
        for (; depth >= node->depth; depth--)
            open[path[depth]]--;
        depth = node->depth;
        path[depth] = node->frame;
        for (unsigned side = 0; side < SW_PROFILE_SIDES; side++) {
            sum_add(&rows[node->frame].self[side], &cell->self[side]);
            if (open[node->frame] == 0)
                sum_add(&rows[node->frame].total[side], &cell->total[side]);
        }
        open[node->frame]++;
    }
}

double sw_profile_tree_weight(const struct sw_profile_tree *tree, const struct sw_profile_sum *sum) {
    return tree->has_time ? (double)sum->ns : (double)sum->count;
}

enum sw_status sw_profile_tree_make(struct sw_profile_tree *tree, const struct sw_profile *shown, unsigned sides) {
    struct sw_profile_tree made = {.profile = shown};
    size_t nodes = shown->node_count ? shown->node_count : 1;
    made.cells = sw_alloc_array_zero(nodes, sizeof *made.cells);
    made.order = sw_alloc_array(nodes, sizeof *made.order);
    enum sw_status status = made.cells && made.order ? SW_OK : SW_NOMEM;
    if (status == SW_OK && shown->node_count) {
        cells_sum(&made, sides);
        const struct sw_profile_sum *all = made.cells[SW_PROFILE_ROOT].total;
        made.has_time = all[0].ns > 0 && (sides == 1 || all[1].ns > 0 || all[1].count == 0);
        status = order_make(&made);
    }
    if (status == SW_OK)
        *tree = made;
    else
        sw_profile_tree_release(&made);
    return status;
}

void sw_profile_tree_release(struct sw_profile_tree *tree) {
    sw_free(tree->cells);
    sw_free(tree->order);
    *tree = (struct sw_profile_tree){0};
}

enum sw_status sw_profile_tree_rows(const struct sw_profile_tree *tree, struct sw_profile_cell *rows) {
    uint32_t *path = sw_alloc_array((size_t)tree->height + 1, sizeof *path); /* frames by depth */
    uint32_t *open =
        sw_alloc_array_zero(tree->profile->frame_count + 1, sizeof *open); /* how often a frame is on the path */
    enum sw_status status = path && open ? SW_OK : SW_NOMEM;
    if (status == SW_OK)
        rows_sum(tree, rows, path, open);
    sw_free(path);
    sw_free(open);
    return status;
}
