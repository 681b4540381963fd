/* batch.h - Up to 4096 decoded rows of one stream, column by column: the unit that travels.
 *
 * A reader fills a batch, seals it and hands the pointer to every worker; each takes the rows of its own shards. The last
 * worker to drop its reference returns the batch to the pool of its reader.
 *
 * What a column holds follows from how the job uses it (struct sw_field): numbers for arithmetic, hashes for distinct(), text for
 * topk(); fields nobody uses are skipped by the decoder.
 */
#ifndef SW_ENGINE_BATCH_H
#define SW_ENGINE_BATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "base/thread.h"

#define SW_BATCH_ROWS 4096
#define SW_CHUNK_ROWS 256 /* a worker closes windows after each chunk, which keeps the open ones in its cache */
#define SW_NO_SLOT 0xff
#define SW_GROUP_NONE UINT32_MAX
#define SW_MAX_KEYS 8

enum sw_time_unit { SW_TIME_NONE, SW_TIME_S, SW_TIME_MS, SW_TIME_US, SW_TIME_NS, SW_TIME_RFC3339 };

/* One input field the job uses, and the slots its value goes to. A field may have several roles. */
struct sw_field {
    struct sw_str name;
    uint8_t num_slot;            /* index into batch->num, or SW_NO_SLOT */
    uint8_t hash_slot;           /* index into batch->hash, or SW_NO_SLOT */
    uint8_t text_slot;           /* index into batch->text, or SW_NO_SLOT */
    uint8_t key_slot;            /* position among the key columns, or SW_NO_SLOT */
    enum sw_time_unit time_unit; /* SW_TIME_NONE unless it is the event time */
};

/* Bytes in batch->text_bytes; len UINT32_MAX: the value is missing. */
struct sw_text_ref {
    uint32_t offset;
    uint32_t len;
};

struct sw_batch {
    uint32_t rows;
    uint16_t stream;         /* index into the job's streams */
    uint16_t partition;      /* index of the reader */
    uint64_t seq;            /* count of batches of this reader */
    int64_t watermark_ns;    /* of the partition after these rows; INT64_MIN before the first */
    bool is_idle;            /* the partition no longer holds the watermark back */
    bool is_end;             /* the partition's last batch */
    int64_t arrival_mono_ns; /* when the first of its rows was read */
    int64_t chunk_watermark_ns[SW_BATCH_ROWS / SW_CHUNK_ROWS]; /* after each full chunk */
    _Atomic uint32_t references;
    struct sw_batch *next; /* in the pool */
    struct sw_batch_pool *pool;

    int64_t *time_ns; /* event time of each row */
    uint32_t *group;  /* dense id of the row's key; SW_GROUP_NONE: the row is not to be counted */
    double **num;     /* NaN: missing */
    uint64_t **hash;  /* 0: missing */
    struct sw_text_ref **text;
    struct sw_buf text_bytes; /* what `text` refers to */
    void *block;              /* owned: the memory of the columns */
};

struct sw_plan;

/* The batches of one reader. It alone takes; any worker gives back. */
struct sw_batch_pool {
    const struct sw_plan *plan; /* borrowed */
    unsigned limit;             /* batches in flight at which taking should wait */
    struct sw_batch *free;      /* taken by the reader from `returned`, whole */
    struct sw_batch *_Atomic returned;
    _Atomic uint32_t in_flight;
    struct sw_parker parker; /* where the reader waits for room */
};

void sw_batch_pool_init(struct sw_batch_pool *pool, const struct sw_plan *plan, unsigned limit);
void sw_batch_pool_release(struct sw_batch_pool *pool); /* when all batches are back */
bool sw_batch_pool_has_room(const struct sw_batch_pool *pool);
/* An empty batch, whether or not there is room. */
SW_MUST_USE enum sw_status sw_batch_take(struct sw_batch_pool *pool, struct sw_batch **batch);
/* Drops one reference; the last one sends the batch home. Any thread. */
void sw_batch_put(struct sw_batch *batch);

#endif
