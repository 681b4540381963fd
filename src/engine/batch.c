/* batch.c - Allocates, pools and returns batches; see batch.h. */
#include "engine/batch.h"

#include "base/mem.h"
#include "engine/plan.h"

static size_t columns_bytes(const struct sw_plan *plan) {
    size_t pointers = plan->num_count + plan->hash_count + plan->text_count;
    size_t wide = 1u + plan->num_count + plan->hash_count + plan->text_count;
    return pointers * sizeof(void *) + 64 + wide * SW_BATCH_ROWS * 8 + SW_BATCH_ROWS * sizeof(uint32_t);
}

/* Carves the columns out of one block; columns nobody writes stay untouched, so they cost no memory. */
static void columns_place(struct sw_batch *batch, const struct sw_plan *plan) {
    void **pointers = batch->block;
    batch->num = (double **)pointers;
    batch->hash = (uint64_t **)(pointers + plan->num_count);
    batch->text = (struct sw_text_ref **)(pointers + plan->num_count + plan->hash_count);
    char *next = (char *)(pointers + plan->num_count + plan->hash_count + plan->text_count);
    next += -(uintptr_t)next & 63;
    batch->time_ns = (int64_t *)(void *)next;
    next += SW_BATCH_ROWS * sizeof(int64_t);
    for (unsigned i = 0; i < plan->num_count; i++, next += SW_BATCH_ROWS * sizeof(double))
        batch->num[i] = (double *)(void *)next;
    for (unsigned i = 0; i < plan->hash_count; i++, next += SW_BATCH_ROWS * sizeof(uint64_t))
        batch->hash[i] = (uint64_t *)(void *)next;
    for (unsigned i = 0; i < plan->text_count; i++, next += SW_BATCH_ROWS * sizeof(struct sw_text_ref))
        batch->text[i] = (struct sw_text_ref *)(void *)next;
    batch->group = (uint32_t *)(void *)next;
}

static enum sw_status batch_new(struct sw_batch_pool *pool, struct sw_batch **out) {
    struct sw_batch *batch = sw_alloc_zero(sizeof *batch);
    if (!batch)
        return SW_NOMEM;
    batch->block = sw_alloc(columns_bytes(pool->plan));
    if (!batch->block) {
        sw_free(batch);
        return SW_NOMEM;
    }
    columns_place(batch, pool->plan);
    batch->pool = pool;
    *out = batch;
    return SW_OK;
}

static void list_free(struct sw_batch *batch) {
    while (batch) {
        struct sw_batch *next = batch->next;
        sw_buf_release(&batch->text_bytes);
        sw_free(batch->block);
        sw_free(batch);
        batch = next;
    }
}

void sw_batch_pool_init(struct sw_batch_pool *pool, const struct sw_plan *plan, unsigned limit) {
    *pool = (struct sw_batch_pool){.plan = plan, .limit = limit};
}

void sw_batch_pool_release(struct sw_batch_pool *pool) {
    list_free(pool->free);
    list_free(atomic_load(&pool->returned));
    *pool = (struct sw_batch_pool){0};
}

bool sw_batch_pool_has_room(const struct sw_batch_pool *pool) {
    return atomic_load_explicit(&pool->in_flight, memory_order_acquire) < pool->limit;
}

enum sw_status sw_batch_take(struct sw_batch_pool *pool, struct sw_batch **out) {
    if (!pool->free)
        pool->free = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    struct sw_batch *batch = pool->free;
    if (batch) {
        pool->free = batch->next;
    } else {
        enum sw_status status = batch_new(pool, &batch);
        if (status != SW_OK)
            return status;
    }
    batch->rows = 0;
    batch->is_idle = batch->is_end = false;
    sw_buf_clear(&batch->text_bytes);
    *out = batch;
    return SW_OK;
}

/* Only the reader pops, and always the whole list, so a plain compare-and-swap push has no ABA problem. */
void sw_batch_put(struct sw_batch *batch) {
    if (atomic_fetch_sub_explicit(&batch->references, 1, memory_order_acq_rel) != 1)
        return;
    struct sw_batch_pool *pool = batch->pool;
    struct sw_batch *head = atomic_load_explicit(&pool->returned, memory_order_relaxed);
    do {
        batch->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &head, batch, memory_order_release,
                                                    memory_order_relaxed));
    atomic_fetch_sub_explicit(&pool->in_flight, 1, memory_order_release);
    sw_parker_wake(&pool->parker);
}
