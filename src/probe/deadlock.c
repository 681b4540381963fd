/* deadlock.c - Finds cycles by a walk in depth; who is on the path of the walk is met again only in a cycle. */
#include "probe/deadlock.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum colour { WHITE, ON_PATH, DONE };

struct walk {
    const struct sw_wait_edge *edges;
    size_t node_count;
    size_t *first;   /* of each node in `order`, and behind the last one */
    uint32_t *order; /* the targets of the edges, by where they start */
    unsigned char *colours;
    uint32_t *path;
    size_t *next; /* for each place of the path: the edge to take next */
    size_t depth;
    struct sw_cycles *cycles;
    size_t member_count;
};

static void walk_release(struct walk *walk) {
    sw_free(walk->first);
    sw_free(walk->order);
    sw_free(walk->colours);
    sw_free(walk->path);
    sw_free(walk->next);
}

static enum sw_status walk_init(struct walk *walk, size_t edge_count) {
    size_t nodes = walk->node_count + 1;
    walk->first = sw_alloc_array_zero(nodes + 1, sizeof *walk->first);
    walk->order = sw_alloc_array(edge_count, sizeof *walk->order);
    walk->colours = sw_alloc_array_zero(nodes, sizeof *walk->colours);
    walk->path = sw_alloc_array(nodes, sizeof *walk->path);
    walk->next = sw_alloc_array(nodes, sizeof *walk->next);
    walk->cycles->members = sw_alloc_array(nodes, sizeof *walk->cycles->members);
    walk->cycles->ends = sw_alloc_array(nodes, sizeof *walk->cycles->ends);
    if (!walk->first || !walk->order || !walk->colours || !walk->path || !walk->next || !walk->cycles->members ||
        !walk->cycles->ends)
        return SW_NOMEM;
    for (size_t i = 0; i < edge_count; i++) {
        if (walk->edges[i].from >= walk->node_count || walk->edges[i].to >= walk->node_count)
            return SW_INVALID;
        walk->first[walk->edges[i].from + 2]++;
    }
    for (size_t i = 2; i <= nodes; i++)
        walk->first[i] += walk->first[i - 1];
    for (size_t i = 0; i < edge_count; i++)
        walk->order[walk->first[walk->edges[i].from + 1]++] = walk->edges[i].to;
    return SW_OK;
}

/* The path from `at` on is a cycle, unless one of it is in another cycle already. */
static void cycle_take(struct walk *walk, size_t at, bool *in_cycle) {
    size_t least = at;
    for (size_t i = at; i < walk->depth; i++) {
        if (in_cycle[walk->path[i]])
            return;
        if (walk->path[i] < walk->path[least])
            least = i;
    }
    size_t length = walk->depth - at;
    for (size_t i = 0; i < length; i++) {
        uint32_t member = walk->path[at + (least - at + i) % length];
        in_cycle[member] = true;
        walk->cycles->members[walk->member_count++] = member;
    }
    walk->cycles->ends[walk->cycles->count++] = walk->member_count;
}

static void path_push(struct walk *walk, uint32_t node) {
    walk->colours[node] = ON_PATH;
    walk->next[walk->depth] = walk->first[node];
    walk->path[walk->depth++] = node;
}

static void walk_from(struct walk *walk, uint32_t start, bool *in_cycle) {
    path_push(walk, start);
    while (walk->depth > 0) {
        uint32_t node = walk->path[walk->depth - 1];
        size_t edge = walk->next[walk->depth - 1]++;
        if (edge >= walk->first[node + 1]) {
            walk->colours[node] = DONE;
            walk->depth--;
            continue;
        }
        uint32_t to = walk->order[edge];
        if (walk->colours[to] == WHITE) {
            path_push(walk, to);
        } else if (walk->colours[to] == ON_PATH) {
            size_t at = walk->depth - 1;
            while (walk->path[at] != to)
                at--;
            cycle_take(walk, at, in_cycle);
        }
    }
}

enum sw_status sw_cycles_find(const struct sw_wait_edge *edges, size_t edge_count, size_t node_count,
                              struct sw_cycles *cycles) {
    struct sw_cycles found = {0};
    struct walk walk = {.edges = edges, .node_count = node_count, .cycles = &found};
    bool *in_cycle = sw_alloc_array_zero(node_count + 1, sizeof *in_cycle);
    enum sw_status status = in_cycle ? walk_init(&walk, edge_count) : SW_NOMEM;
    for (size_t i = 0; i < node_count && status == SW_OK; i++)
        if (walk.colours[i] == WHITE)
            walk_from(&walk, (uint32_t)i, in_cycle);
    walk_release(&walk);
    sw_free(in_cycle);
    if (status == SW_OK)
        *cycles = found;
    else
        sw_cycles_release(&found);
    return status;
}

void sw_cycles_release(struct sw_cycles *cycles) {
    sw_free(cycles->members);
    sw_free(cycles->ends);
    *cycles = (struct sw_cycles){0};
}
