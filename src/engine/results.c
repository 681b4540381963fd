/* results.c - Blocks of finished windows; see results.h. */
#include "engine/results.h"

#include "base/mem.h"

static void results_free(struct sw_results *results) {
    sw_free(results->windows);
    sw_free(results->groups);
    sw_free(results->values);
    sw_free(results->scores);
    sw_free(results->marks);
    sw_free(results->texts);
    sw_buf_release(&results->text_bytes);
    sw_free(results);
}

static void list_free(struct sw_results *results) {
    while (results) {
        struct sw_results *next = results->next;
        results_free(results);
        results = next;
    }
}

/* `column` becomes an array of `count` items; it keeps its contents. */
static enum sw_status column_grow(void **column, size_t count, size_t item_bytes) {
    void *grown = sw_realloc_array(*column, count ? count : 1, item_bytes);
    if (!grown)
        return SW_NOMEM;
    *column = grown;
    return SW_OK;
}

enum sw_status sw_results_take(struct sw_results_pool *pool, struct sw_results **out) {
    if (!pool->free)
        pool->free = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    struct sw_results *results = pool->free;
    if (results) {
        pool->free = results->next;
    } else {
        results = sw_alloc_zero(sizeof *results);
        if (!results)
            return SW_NOMEM;
        results->pool = pool;
    }
    results->window_count = results->row_count = 0;
    results->is_open = results->is_end = false;
    results->arrival_mono_ns = INT64_MAX;
    sw_buf_clear(&results->text_bytes);
    *out = results;
    return SW_OK;
}

/* A push onto a list that is only ever taken whole: no ABA problem. */
void sw_results_put(struct sw_results *results) {
    struct sw_results_pool *pool = results->pool;
    struct sw_results *head = atomic_load_explicit(&pool->returned, memory_order_relaxed);
    do {
        results->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &head, results, memory_order_release,
                                                    memory_order_relaxed));
}

void sw_results_pool_release(struct sw_results_pool *pool) {
    list_free(pool->free);
    list_free(atomic_load(&pool->returned));
    *pool = (struct sw_results_pool){0};
}

enum sw_status sw_results_reserve(struct sw_results *results, uint32_t rows) {
    size_t need = (size_t)results->row_count + rows;
    if (need <= results->row_room)
        return SW_OK;
    size_t room = results->row_room ? results->row_room : 64;
    while (room < need)
        room *= 2;
    if (column_grow((void **)&results->groups, room, sizeof *results->groups) != SW_OK ||
        column_grow((void **)&results->values, room * results->value_count, sizeof *results->values) != SW_OK ||
        column_grow((void **)&results->scores, room * results->value_count, sizeof *results->scores) != SW_OK ||
        column_grow((void **)&results->marks, room, sizeof *results->marks) != SW_OK ||
        column_grow((void **)&results->texts, room * results->text_count, sizeof *results->texts) != SW_OK)
        return SW_NOMEM;
    results->row_room = (uint32_t)room;
    return SW_OK;
}

enum sw_status sw_results_window(struct sw_results *results, struct sw_window window) {
    if (results->window_count == results->window_room) {
        uint32_t room = results->window_room ? results->window_room * 2 : 16;
        struct sw_window *windows = sw_realloc_array(results->windows, room, sizeof *windows);
        if (!windows)
            return SW_NOMEM;
        results->windows = windows;
        results->window_room = room;
    }
    results->windows[results->window_count++] = window;
    return SW_OK;
}
