/* host_top.c - Selects the processes that use most, by CPU, then memory, then the lower id. */
#include <math.h>
#include <stdlib.h>

#include "probe/host_impl.h"

static double rank_cpu(const struct sw_host_entry *entry) {
    return isnan(entry->cpu) ? -1 : entry->cpu;
}

/* Negative when `a` ranks before `b`; never 0 for two processes. */
static int compare(const struct sw_host_entry *a, const struct sw_host_entry *b) {
    double cpu_a = rank_cpu(a);
    double cpu_b = rank_cpu(b);
    if (cpu_a != cpu_b) {
        return cpu_a > cpu_b ? -1 : 1;
    }
    if (a->stat.rss_pages != b->stat.rss_pages) {
        return a->stat.rss_pages > b->stat.rss_pages ? -1 : 1;
    }
    return (a->pid > b->pid) - (a->pid < b->pid);
}

static int compare_slots(const void *a, const void *b) {
    return compare(*(struct sw_host_entry *const *)a, *(struct sw_host_entry *const *)b);
}

/* `heap` keeps the lowest ranking at its root, where the next better one replaces it. */
static void sift_down(struct sw_host_entry **heap, size_t count, size_t at) {
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && compare(heap[child + 1], heap[child]) > 0) {
            child++;
        }
        if (compare(heap[child], heap[at]) <= 0) {
            return;
        }
        struct sw_host_entry *swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

enum sw_status sw_host_top_select(struct sw_host *host) {
    struct sw_host_process_state *state = &host->process;
    size_t wanted = state->entry_count < host->top ? state->entry_count : host->top;
    struct sw_host_entry **heap = sw_host_grown(state->top, wanted, &state->top_cap, sizeof(struct sw_host_entry *));
    if (!heap) {
        return SW_NOMEM;
    }
    state->top = heap;
    size_t count = 0;
    for (size_t i = 0; i < state->entry_count; i++) {
        struct sw_host_entry *entry = state->entries[i];
        if (!entry->has_stat) {
            continue;
        }
        if (count < wanted) {
            heap[count++] = entry;
            for (size_t at = count / 2; count == wanted && at-- > 0;) {
                sift_down(heap, count, at);
            }
        } else if (compare(entry, heap[0]) < 0) {
            heap[0] = entry;
            sift_down(heap, count, 0);
        }
    }
    qsort(heap, count, sizeof(struct sw_host_entry *), compare_slots);
    state->top_count = count;
    return SW_OK;
}
