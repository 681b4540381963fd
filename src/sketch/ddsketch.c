/* ddsketch.c - DDSketch: a few (index, count) pairs in the struct, then one window of counts per sign. */
#include "sketch/ddsketch.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum {
    INDEX_INFINITE = SW_DDSKETCH_INDEX_INFINITE,
    BUCKETS_MAX = SW_DDSKETCH_BUCKETS_MAX,
    BUCKETS_MIN = 32,
    FEW_MAX = SW_DDSKETCH_FEW,
    NEGATIVE = 0,
    POSITIVE = 1,
    HEADER_BYTES = 3,
    FORMAT_VERSION = 1,
    PAIRS_MAX = 2 * BUCKETS_MAX + 3,
    PAIR_BYTES_MAX = 3 + 10,
};

/* Counts of the magnitudes [base, base + width) of one sign. When width is BUCKETS_MAX and the last count is not 0,
 * then counts[0] also stands for all smaller magnitudes. */
struct store {
    uint64_t *counts; /* owned */
    int32_t base;
    uint32_t width; /* cells in use; 0 while empty */
    uint32_t cap;   /* cells allocated */
};

struct sw_ddsketch_heap {
    uint64_t zeros;
    uint64_t infinite[2];
    struct store stores[2];
};

/* Ranges of magnitudes per sign; none where lo > hi. */
struct span {
    int32_t lo[2];
    int32_t hi[2];
};

struct cursor {
    unsigned part; /* -inf, negative, zero, positive, +inf */
    uint32_t at;
};

static inline bool is_finite_nonzero(int32_t index) {
    return index != 0 && index != INDEX_INFINITE && index != -INDEX_INFINITE;
}

static void span_include(struct span *span, int32_t index) {
    if (!is_finite_nonzero(index)) {
        return;
    }
    int sign = index > 0 ? POSITIVE : NEGATIVE;
    int32_t magnitude = index > 0 ? index : -index;
    if (span->lo[sign] > magnitude) {
        span->lo[sign] = magnitude;
    }
    if (span->hi[sign] < magnitude) {
        span->hi[sign] = magnitude;
    }
}

static struct span span_empty(void) {
    return (struct span){.lo = {INT32_MAX, INT32_MAX}, .hi = {0, 0}};
}

/* Widens [*lo, *hi] to what the store holds; the store's own range goes to *own_lo, *own_hi (empty: lo > hi). */
static void store_range(const struct store *store, int32_t *own_lo, int32_t *own_hi) {
    uint32_t first = 0, last = store->width;
    while (first < last && store->counts[first] == 0) {
        first++;
    }
    while (last > first && store->counts[last - 1] == 0) {
        last--;
    }
    *own_lo = store->base + (int32_t)first;
    *own_hi = store->base + (int32_t)last - 1;
}

/* Twice the span leaves room to grow; a power of two, at most BUCKETS_MAX. */
static uint32_t width_for(int32_t lo, int32_t hi) {
    uint32_t width = BUCKETS_MIN;
    while (width < BUCKETS_MAX && (int64_t)width < 2 * ((int64_t)hi - lo + 1)) {
        width *= 2;
    }
    return width;
}

/* Memory for [lo, hi] beside what the store holds; its contents do not change. */
static enum sw_status store_prepare(struct store *store, int32_t lo, int32_t hi) {
    int32_t own_lo, own_hi;
    store_range(store, &own_lo, &own_hi);
    if (own_lo <= own_hi) {
        lo = lo < own_lo ? lo : own_lo;
        hi = hi > own_hi ? hi : own_hi;
    }
    uint32_t span = hi - lo < BUCKETS_MAX ? (uint32_t)(hi - lo + 1) : BUCKETS_MAX;
    if (span <= store->cap) {
        return SW_OK;
    }
    uint32_t cap = width_for(lo, hi);
    uint64_t *counts = sw_realloc_array(store->counts, cap, sizeof(uint64_t));
    if (!counts) {
        return SW_NOMEM;
    }
    store->counts = counts;
    store->cap = cap;
    return SW_OK;
}

/* Moves the window so that it covers [lo, hi] beside what the store holds, or the upper BUCKETS_MAX of that. */
static void store_slide(struct store *store, int32_t lo, int32_t hi) {
    int32_t own_lo, own_hi;
    store_range(store, &own_lo, &own_hi);
    bool is_empty = own_lo > own_hi;
    if (!is_empty) {
        lo = lo < own_lo ? lo : own_lo;
        hi = hi > own_hi ? hi : own_hi;
    }
    int32_t floor = hi - lo < BUCKETS_MAX ? lo : hi - BUCKETS_MAX + 1;
    uint32_t width = width_for(floor, hi);
    width = width < store->cap ? width : store->cap;
    int32_t base = floor - ((int32_t)width - (hi - floor + 1)) / 2;

    uint64_t collapsed = 0;
    for (; !is_empty && own_lo < floor && own_lo <= own_hi; own_lo++) {
        collapsed += store->counts[own_lo - store->base];
    }
    size_t kept = own_lo <= own_hi ? (size_t)(own_hi - own_lo + 1) : 0;
    size_t to = kept > 0 ? (size_t)(own_lo - base) : 0;
    if (kept > 0) {
        memmove(store->counts + to, store->counts + (own_lo - store->base), kept * sizeof(uint64_t));
    }
    memset(store->counts, 0, to * sizeof(uint64_t));
    memset(store->counts + to + kept, 0, (width - to - kept) * sizeof(uint64_t));
    store->counts[floor - base] += collapsed;
    store->base = base;
    store->width = width;
}

/* Makes room for all of `span`; on SW_NOMEM the contents are as they were. */
static enum sw_status heap_reserve(struct sw_ddsketch_heap *heap, const struct span *span) {
    for (int sign = 0; sign < 2; sign++) {
        if (span->lo[sign] <= span->hi[sign] &&
            store_prepare(&heap->stores[sign], span->lo[sign], span->hi[sign]) != SW_OK) {
            return SW_NOMEM;
        }
    }
    for (int sign = 0; sign < 2; sign++) {
        const struct store *store = &heap->stores[sign];
        bool is_covered =
            store->width > 0 && span->lo[sign] >= store->base && span->hi[sign] < store->base + (int32_t)store->width;
        if (span->lo[sign] <= span->hi[sign] && !is_covered) {
            store_slide(&heap->stores[sign], span->lo[sign], span->hi[sign]);
        }
    }
    return SW_OK;
}

/* The count of `index`, or NULL where the window must move first. */
static inline uint64_t *heap_find(struct sw_ddsketch_heap *heap, int32_t index) {
    int32_t magnitude = index < 0 ? -index : index;
    struct store *store = &heap->stores[index > 0];
    uint32_t at = (uint32_t)(magnitude - store->base);
    if (__builtin_expect(is_finite_nonzero(index) && at < store->width, 1)) {
        return &store->counts[at];
    }
    if (index == 0) {
        return &heap->zeros;
    }
    if (magnitude == INDEX_INFINITE) {
        return &heap->infinite[index > 0];
    }
    if (magnitude < store->base && store->width == BUCKETS_MAX && store->counts[BUCKETS_MAX - 1] != 0) {
        return &store->counts[0];
    }
    return NULL;
}

/* After heap_reserve for a span with `index` in it: what lies below the window is below the floor. */
static void heap_add_reserved(struct sw_ddsketch_heap *heap, int32_t index, uint64_t count) {
    uint64_t *cell = heap_find(heap, index);
    *(cell ? cell : &heap->stores[index > 0].counts[0]) += count;
}

/* From the struct to the heap, with room for `span`. */
static enum sw_status spill(struct sw_ddsketch *sketch, struct span span) {
    if (!sketch->heap) {
        sketch->heap = sw_alloc_zero(sizeof(*sketch->heap));
    }
    if (!sketch->heap) {
        return SW_NOMEM;
    }
    for (unsigned i = 0; i < sketch->few_used; i++) {
        span_include(&span, sketch->few_index[i]);
    }
    enum sw_status status = heap_reserve(sketch->heap, &span);
    if (status != SW_OK) {
        for (int sign = 0; sign < 2; sign++) {
            sketch->heap->stores[sign].width = 0;
        }
        return status;
    }
    for (unsigned i = 0; i < sketch->few_used; i++) {
        heap_add_reserved(sketch->heap, sketch->few_index[i], sketch->few_count[i]);
    }
    sketch->few_used = 0;
    sketch->is_spilled = true;
    return SW_OK;
}

/* False where the struct has no room for it: six others, a count above 16 bits, or indices so far apart that the lowest
 * must collapse. */
static inline bool few_add(struct sw_ddsketch *sketch, int32_t index, uint64_t count) {
    unsigned used = sketch->few_used, at = 0;
    /* The first index, or the only one again: nobody can predict which of the two, so there is one branch for both. */
    uint64_t first = used == 0 ? 0 : sketch->few_count[0];
    if (__builtin_expect((used == 0) | ((used == 1) & (sketch->few_index[0] == index)), 1) &&
        count <= UINT16_MAX - first) {
        sketch->few_index[0] = index;
        sketch->few_count[0] = (uint16_t)(first + count);
        sketch->few_used = 1;
        return true;
    }
    while (at < used && sketch->few_index[at] < index) {
        at++;
    }
    if (at < used && sketch->few_index[at] == index) {
        if (count > (uint64_t)UINT16_MAX - sketch->few_count[at]) {
            return false;
        }
        sketch->few_count[at] = (uint16_t)(sketch->few_count[at] + count);
        return true;
    }
    if (used == FEW_MAX || count > UINT16_MAX) {
        return false;
    }
    struct span span = span_empty();
    span_include(&span, index);
    for (unsigned i = 0; i < used; i++) {
        span_include(&span, sketch->few_index[i]);
    }
    for (int sign = 0; sign < 2; sign++) {
        if (span.lo[sign] <= span.hi[sign] && span.hi[sign] - span.lo[sign] >= BUCKETS_MAX) {
            return false;
        }
    }
    for (unsigned i = used; i > at; i--) {
        sketch->few_index[i] = sketch->few_index[i - 1];
        sketch->few_count[i] = sketch->few_count[i - 1];
    }
    sketch->few_index[at] = index;
    sketch->few_count[at] = (uint16_t)count;
    sketch->few_used++;
    return true;
}

static enum sw_status add_slowly(struct sw_ddsketch *sketch, int32_t index, uint64_t count) {
    struct span span = span_empty();
    span_include(&span, index);
    enum sw_status status = sketch->is_spilled ? heap_reserve(sketch->heap, &span) : spill(sketch, span);
    if (status == SW_OK) {
        heap_add_reserved(sketch->heap, index, count);
    }
    return status;
}

/* The index of one bucket of the heap, and its count. Parts in rising order: -infinity, negative, zero, positive, +infinity. */
static int32_t heap_bucket(const struct sw_ddsketch_heap *heap, unsigned part, uint32_t at, uint64_t *count) {
    if (part == 2) {
        *count = heap->zeros;
        return 0;
    }
    bool is_positive = part > 2;
    bool is_store = part == 1 || part == 3;
    const struct store *store = &heap->stores[is_positive];
    *count = is_store ? store->counts[at] : heap->infinite[is_positive];
    int32_t magnitude = is_store ? store->base + (int32_t)at : INDEX_INFINITE;
    return is_positive ? magnitude : -magnitude;
}

/* The next non-empty bucket, in rising order. */
static bool next_bucket(const struct sw_ddsketch *sketch, struct cursor *cursor, int32_t *index, uint64_t *count) {
    if (!sketch->is_spilled) {
        if (cursor->at == sketch->few_used) {
            return false;
        }
        *index = sketch->few_index[cursor->at];
        *count = sketch->few_count[cursor->at++];
        return true;
    }
    const struct sw_ddsketch_heap *heap = sketch->heap;
    for (; cursor->part < 5; cursor->part++, cursor->at = 0) {
        bool is_store = cursor->part == 1 || cursor->part == 3;
        uint32_t width = is_store ? heap->stores[cursor->part > 2].width : 1;
        while (cursor->at < width) {
            uint32_t at = cursor->part == 1 ? width - 1 - cursor->at : cursor->at;
            cursor->at++;
            *index = heap_bucket(heap, cursor->part, at, count);
            if (*count > 0) {
                return true;
            }
        }
    }
    return false;
}

static unsigned char *put_varint(unsigned char *to, uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
        *to++ = (unsigned char)(value | 0x80);
    }
    *to++ = (unsigned char)value;
    return to;
}

/* NULL where it is cut off, above 64 bits, or longer than need be. */
static const unsigned char *get_varint(const unsigned char *from, const unsigned char *end, uint64_t *value) {
    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 70 && from < end; shift += 7) {
        uint64_t bits = *from & 0x7f;
        if ((shift == 63 && bits > 1) || (shift > 0 && *from == 0)) {
            return NULL;
        }
        sum |= bits << shift;
        if (!(*from++ & 0x80)) {
            *value = sum;
            return from;
        }
    }
    return NULL;
}

/* Reads one (index, count) pair that must follow `*index`. */
static const unsigned char *get_pair(const unsigned char *from, const unsigned char *end, int32_t *index,
                                     uint64_t *count) {
    uint64_t distance;
    from = get_varint(from, end, &distance);
    if (!from || distance == 0 || distance > (uint64_t)(INDEX_INFINITE - *index)) {
        return NULL;
    }
    *index += (int32_t)distance;
    from = get_varint(from, end, count);
    return from && *count > 0 ? from : NULL;
}

static enum sw_status decode_pairs(struct sw_ddsketch *sketch, const unsigned char *from, const unsigned char *end) {
    struct span span = span_empty();
    int32_t index = -INDEX_INFINITE - 1;
    uint64_t total = 0;
    for (unsigned pairs = 0; from < end; pairs++) {
        uint64_t count;
        from = pairs < PAIRS_MAX ? get_pair(from, end, &index, &count) : NULL;
        if (!from || __builtin_add_overflow(total, count, &total)) {
            return SW_MALFORMED;
        }
        span_include(&span, index);
        int sign = index > 0 ? POSITIVE : NEGATIVE;
        if (span.lo[sign] <= span.hi[sign] && span.hi[sign] - span.lo[sign] >= BUCKETS_MAX) {
            return SW_MALFORMED;
        }
        enum sw_status status = sw_ddsketch_add_index(sketch, index, count);
        if (status != SW_OK) {
            return status;
        }
    }
    return SW_OK;
}

void sw_ddsketch_release(struct sw_ddsketch *sketch) {
    if (sketch->heap) {
        sw_free(sketch->heap->stores[NEGATIVE].counts);
        sw_free(sketch->heap->stores[POSITIVE].counts);
        sw_free(sketch->heap);
    }
    *sketch = (struct sw_ddsketch){0};
}

void sw_ddsketch_clear(struct sw_ddsketch *sketch) {
    struct sw_ddsketch_heap *heap = sketch->heap;
    if (sketch->is_spilled) {
        heap->zeros = heap->infinite[NEGATIVE] = heap->infinite[POSITIVE] = 0;
        heap->stores[NEGATIVE].width = heap->stores[POSITIVE].width = 0; /* moving a window wipes it */
    }
    sketch->few_used = 0;
    sketch->is_spilled = false;
}

enum sw_status sw_ddsketch_add_index(struct sw_ddsketch *sketch, int32_t index, uint64_t count) {
    if (index == SW_DDSKETCH_INDEX_NAN || count == 0) {
        return SW_OK;
    }
    if (index > INDEX_INFINITE || index < -INDEX_INFINITE) {
        return SW_INVALID;
    }
    if (!sketch->is_spilled) {
        return few_add(sketch, index, count) ? SW_OK : add_slowly(sketch, index, count);
    }
    uint64_t *cell = heap_find(sketch->heap, index);
    if (!cell) {
        return add_slowly(sketch, index, count);
    }
    *cell += count;
    return SW_OK;
}

enum sw_status sw_ddsketch_add(struct sw_ddsketch *sketch, double value) {
    int32_t index;
    sw_ddsketch_index(&value, 1, &index);
    return sw_ddsketch_add_index(sketch, index, 1);
}

enum sw_status sw_ddsketch_merge(struct sw_ddsketch *into, const struct sw_ddsketch *from) {
    struct sw_ddsketch few = *into; /* the heap it points to is not touched while it is not spilled */
    struct cursor cursor = {0};
    struct span span = span_empty();
    int32_t index;
    uint64_t count;
    bool fits = !into->is_spilled;
    while (next_bucket(from, &cursor, &index, &count)) {
        span_include(&span, index);
        fits = fits && few_add(&few, index, count);
    }
    if (fits) {
        *into = few;
        return SW_OK;
    }
    struct sw_ddsketch same = *from; /* `from` may be `into`, which is about to spill */
    enum sw_status status = into->is_spilled ? heap_reserve(into->heap, &span) : spill(into, span);
    if (status != SW_OK) {
        return status;
    }
    cursor = (struct cursor){0};
    while (next_bucket(&same, &cursor, &index, &count)) {
        heap_add_reserved(into->heap, index, count);
    }
    return SW_OK;
}

uint64_t sw_ddsketch_count(const struct sw_ddsketch *sketch) {
    uint64_t total = 0;
    for (unsigned i = 0; i < sketch->few_used; i++) {
        total += sketch->few_count[i];
    }
    if (!sketch->is_spilled) {
        return total;
    }
    const struct sw_ddsketch_heap *heap = sketch->heap;
    total = heap->zeros + heap->infinite[NEGATIVE] + heap->infinite[POSITIVE];
    for (int sign = 0; sign < 2; sign++) {
        for (uint32_t i = 0; i < heap->stores[sign].width; i++) {
            total += heap->stores[sign].counts[i];
        }
    }
    return total;
}

double sw_ddsketch_quantile(const struct sw_ddsketch *sketch, double q) {
    uint64_t total = sw_ddsketch_count(sketch);
    if (total == 0 || q != q) {
        return NAN;
    }
    q = q < 0.0 ? 0.0 : q > 1.0 ? 1.0 : q;
    double rank = floor(q * (double)(total - 1));
    struct cursor cursor = {0};
    int32_t index = 0;
    uint64_t count, below = 0;
    while (next_bucket(sketch, &cursor, &index, &count)) {
        below += count;
        if ((double)below > rank) {
            break;
        }
    }
    return sw_ddsketch_bucket_value(index);
}

double sw_ddsketch_quantile_within(const struct sw_ddsketch *sketch, double q, double min, double max) {
    if (!sketch->is_spilled && sketch->few_used == 1 && q == q) { /* most windows of few rows */
        double value = sw_ddsketch_bucket_value(sketch->few_index[0]);
        value = value < min ? min : value;
        return value > max ? max : value;
    }
    double value = sw_ddsketch_quantile(sketch, q);
    value = value < min ? min : value;
    return value > max ? max : value;
}

enum sw_status sw_ddsketch_encode(const struct sw_ddsketch *sketch, struct sw_buf *out) {
    struct cursor cursor = {0};
    int32_t index, last = -INDEX_INFINITE - 1;
    uint64_t count;
    size_t pairs = 0;
    while (next_bucket(sketch, &cursor, &index, &count)) {
        pairs++;
    }
    enum sw_status status = sw_buf_reserve(out, HEADER_BYTES + pairs * PAIR_BYTES_MAX);
    if (status != SW_OK) {
        return status;
    }
    unsigned char *to = (unsigned char *)out->ptr + out->len;
    *to++ = 'D';
    *to++ = 'D';
    *to++ = FORMAT_VERSION;
    cursor = (struct cursor){0};
    while (next_bucket(sketch, &cursor, &index, &count)) {
        to = put_varint(to, (uint64_t)(index - last));
        to = put_varint(to, count);
        last = index;
    }
    out->len = (size_t)(to - (unsigned char *)out->ptr);
    return SW_OK;
}

enum sw_status sw_ddsketch_decode(struct sw_ddsketch *sketch, struct sw_str bytes) {
    const unsigned char *from = (const unsigned char *)bytes.ptr;
    if (bytes.len < HEADER_BYTES || from[0] != 'D' || from[1] != 'D') {
        return SW_MALFORMED;
    }
    if (from[2] != FORMAT_VERSION) {
        return SW_UNSUPPORTED;
    }
    struct sw_ddsketch decoded = {0};
    enum sw_status status = decode_pairs(&decoded, from + HEADER_BYTES, from + bytes.len);
    if (status != SW_OK) {
        sw_ddsketch_release(&decoded);
        return status;
    }
    sw_ddsketch_release(sketch);
    *sketch = decoded;
    return SW_OK;
}
