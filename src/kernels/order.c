/* order.c - Quantiles by selection: a sample says between which two elements a rank must lie, one pass keeps those.
 *
 * Floyd and Rivest's SELECT (1975), with a pass that only reads: elements at most `low` are counted, those between low
 * and high are kept, a few per cent of all; the same is done to them until few are left. Several ranks share a pass.
 * Where the sample misled, or many elements are equal to a bound, more passes settle it.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/reduce.h"
#include "kernels/reduce_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define FEW 256 /* elements that are selected from by exchanges */
#define SAMPLE_MOST 16384
#define SAMPLE_LEAST 64
#define DEVIATIONS 3.5 /* of the rank of a sampled element: how far the bounds are apart */
#define BANDS 8        /* ranks that share a pass */
#define CHUNK_BLOCKS 16
#define PARALLEL_LEAST 0x10000
#define FILLS 3        /* passes: as thought, as counted, all there are */
#define KERNEL_SLACK 8 /* elements a kernel may write beyond those it keeps */

/* Elements in memory or in an array of any strides. */
struct source {
    const struct sw_array *x;
    size_t count;
    struct sw_parallel *parallel;
    bool *has_nan; /* set when one is seen; NULL: there is none */
};

/* The element of a rank, and of the next one; NaN where there is no next. */
struct pair {
    double at, next;
};

/* The elements strictly between low and high, and the NaNs. */
struct band {
    double low, high;
    double *kept;
    size_t room;
    _Atomic size_t kept_count; /* those there are; above `room` not all were kept */
    _Atomic size_t low_count;  /* elements <= low */
};

struct band_pass {
    const struct source *source;
    struct band *bands;
    size_t band_count;
};

static bool nan_is_known(const struct source *source) {
    return source->has_nan && *source->has_nan;
}

static size_t size_min(size_t a, size_t b) {
    return a < b ? a : b;
}

static void kept_add(struct band *band, const double *values, size_t count) {
    size_t at = atomic_fetch_add_explicit(&band->kept_count, count, memory_order_relaxed);
    if (at < band->room)
        memcpy(band->kept + at, values, size_min(count, band->room - at) * sizeof(double));
}

static void blocks_sift(void *context, size_t first, size_t last, unsigned lane) {
    const struct band_pass *pass = context;
    const struct source *source = pass->source;
    double scratch[SW_ARRAY_BLOCK], kept[SW_ARRAY_BLOCK + KERNEL_SLACK];
    size_t low_counts[BANDS] = {0};
    for (size_t i = first; i < last; i++) {
        size_t at = i * SW_ARRAY_BLOCK, count = size_min(source->count - at, SW_ARRAY_BLOCK);
        const void *block = sw_array_block(source->x, at, count, scratch);
        for (size_t b = 0; b < pass->band_count; b++) {
            struct sw_reduce_band sifted = {.low = pass->bands[b].low, .high = pass->bands[b].high, .kept = kept};
            sw_reduce_level()->band[source->x->dtype](block, count, &sifted);
            low_counts[b] += sifted.low_count;
            if (sifted.kept_count > 0)
                kept_add(&pass->bands[b], kept, sifted.kept_count);
        }
    }
    for (size_t b = 0; b < pass->band_count; b++)
        atomic_fetch_add_explicit(&pass->bands[b].low_count, low_counts[b], memory_order_relaxed);
}

static void bands_run(const struct source *source, struct band *bands, size_t count) {
    struct band_pass pass = {source, bands, count};
    for (size_t b = 0; b < count; b++) {
        atomic_init(&bands[b].kept_count, 0);
        atomic_init(&bands[b].low_count, 0);
    }
    struct sw_parallel_loop loop = {.count = (source->count - 1) / SW_ARRAY_BLOCK + 1,
                                    .grain = CHUNK_BLOCKS,
                                    .body = blocks_sift,
                                    .context = &pass};
    sw_parallel_run(source->count >= PARALLEL_LEAST ? source->parallel : NULL, &loop);
}

static bool nan_is_in(const double *values, size_t count) {
    bool is_nan = false;
    for (size_t i = 0; i < count; i++)
        is_nan |= isnan(values[i]);
    return is_nan;
}

static bool band_alloc(struct band *band, size_t room) {
    sw_free(band->kept);
    band->room = room;
    band->kept = sw_alloc_array(room, sizeof(double));
    return band->kept != NULL;
}

/* Runs a pass; bands that turn out fuller than thought get the room they need and another one. Elements that somebody
 * writes to meanwhile may be more in that one: then a band gets room for all. A NaN is looked for. */
static enum sw_status bands_fill(const struct source *source, struct band *bands, size_t count) {
    for (size_t b = 0; b < count; b++) {
        if (!band_alloc(&bands[b], bands[b].room))
            return SW_NOMEM;
    }
    bands_run(source, bands, count);
    for (size_t b = 0; b < count; b++) {
        for (int fills = 2; bands[b].kept_count > bands[b].room; fills++) {
            if (!band_alloc(&bands[b], fills < FILLS ? bands[b].kept_count : source->count))
                return SW_NOMEM;
            bands_run(source, &bands[b], 1);
        }
        if (source->has_nan && nan_is_in(bands[b].kept, bands[b].kept_count))
            *source->has_nan = true;
    }
    return SW_OK;
}

static void bands_release(struct band *bands, size_t count) {
    for (size_t b = 0; b < count; b++) {
        sw_free(bands[b].kept);
        bands[b].kept = NULL;
    }
}

static double middle_of(double a, double b, double c) {
    double low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

/* Puts the element of `rank` where it belongs, smaller ones before it, larger ones behind (Hoare's FIND). */
static double rank_find(double *values, size_t count, size_t rank) {
    ptrdiff_t first = 0, last = (ptrdiff_t)count - 1, wanted = (ptrdiff_t)rank;
    while (first < last) {
        double pivot = middle_of(values[first], values[first + (last - first) / 2], values[last]);
        ptrdiff_t i = first, j = last;
        while (i <= j) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i <= j) {
                double value = values[i];
                values[i++] = values[j];
                values[j--] = value;
            }
        }
        if (wanted > j && wanted < i)
            break;
        if (wanted <= j)
            last = j;
        else
            first = i;
    }
    return values[rank];
}

static double least_of(const double *values, size_t count, double otherwise) {
    double least = count > 0 ? values[0] : otherwise;
    for (size_t i = 1; i < count; i++)
        least = values[i] < least ? values[i] : least;
    return least;
}

static double element_of(const struct sw_array *x, size_t at) {
    double scratch;
    const void *element = sw_array_block(x, at, 1, &scratch);
    return x->dtype == SW_F64 ? *(const double *)element : (double)*(const float *)element;
}

/* One element of each stretch, anywhere in it. */
static void sample_take(const struct source *source, double *sample, size_t count) {
    uint64_t state = 1;
    double stretch = (double)source->count / (double)count;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double offset = (double)(state >> 11) * 0x1p-53;
        size_t at = (size_t)(((double)i + offset) * stretch);
        sample[i] = element_of(source->x, size_min(at, source->count - 1));
    }
}

static size_t sample_count(size_t count) {
    size_t wanted = (size_t)cbrt((double)count * (double)count);
    return wanted < SAMPLE_LEAST ? SAMPLE_LEAST : size_min(wanted, SAMPLE_MOST);
}

/* The ranks in the sample that are very probably below and above an element's. */
struct bounds {
    double below, above;
};

static struct bounds bounds_of(size_t rank, size_t count, size_t sampled) {
    double share = ((double)rank + 0.5) / (double)count, middle = share * (double)sampled;
    double margin = DEVIATIONS * sqrt((double)sampled * share * (1 - share)) + 2;
    return (struct bounds){floor(middle - margin), ceil(middle + margin)};
}

/* Elements at most `value`, by a pass that keeps nothing. */
static size_t count_to(const struct source *source, double value) {
    struct band band = {.low = value, .high = nextafter(value, INFINITY)};
    bands_run(source, &band, 1);
    return band.low_count;
}

/* Replaces a band that missed the rank. What is kept may be a good part of all: the next sample deals with it. */
static enum sw_status band_move(const struct source *source, struct band *band, double low, double high) {
    band->low = low, band->high = high;
    return bands_fill(source, band, 1);
}

static struct pair pair_at_low(const struct band *band, size_t rank) {
    bool is_last = rank + 1 >= band->low_count;
    return (struct pair){band->low, is_last ? least_of(band->kept, band->kept_count, band->high) : band->low};
}

/* Makes the band one that has the element of `rank` among those it keeps; or, *is_found, finds that it is a bound. */
static enum sw_status band_settle(const struct source *source, struct band *band, size_t rank, struct pair *pair,
                                  bool *is_found) {
    enum sw_status status = SW_OK;
    *is_found = false;
    if (rank >= band->low_count + band->kept_count) {
        if (band->high == INFINITY || count_to(source, band->high) > rank + 1) {
            *pair = (struct pair){band->high, band->high};
            *is_found = true;
            return SW_OK;
        }
        status = band_move(source, band, band->high, INFINITY);
    } else if (rank < band->low_count && band->low > -INFINITY) {
        if (count_to(source, nextafter(band->low, -INFINITY)) > rank)
            status = band_move(source, band, -INFINITY, band->low);
    }
    if (status == SW_OK && rank + 1 == band->low_count && band->high <= band->low)
        status = band_move(source, band, band->low, INFINITY); /* nothing lies between equal bounds: what is next? */
    if (status == SW_OK && rank < band->low_count) {
        *pair = pair_at_low(band, rank);
        *is_found = true;
    } else if (status == SW_OK && rank >= band->low_count + band->kept_count) {
        *pair = (struct pair){band->high, band->high};
        *is_found = true;
    }
    return status;
}

static void few_select(const struct source *source, const size_t *ranks, struct pair *pairs, size_t count) {
    double copy[FEW], scratch[FEW];
    const void *block = sw_array_block(source->x, 0, source->count, scratch);
    for (size_t i = 0; i < source->count; i++)
        copy[i] = source->x->dtype == SW_F64 ? ((const double *)block)[i] : (double)((const float *)block)[i];
    if (source->has_nan && nan_is_in(copy, source->count)) {
        *source->has_nan = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        size_t rank = ranks[i];
        pairs[i].at = rank_find(copy, source->count, rank);
        pairs[i].next = least_of(copy + rank + 1, source->count - rank - 1, NAN);
    }
}

/* What a sample says of some ranks. */
struct aim {
    struct bounds bounds[BANDS];
    size_t below[BANDS], above[BANDS]; /* ranks in the sample */
    struct pair low[BANDS], high[BANDS];
};

static void aim_take(struct aim *aim, const struct source *source, const size_t *ranks, size_t count, size_t sampled) {
    for (size_t i = 0; i < count; i++) {
        struct bounds bounds = bounds_of(ranks[i], source->count, sampled);
        aim->bounds[i] = bounds;
        aim->below[i] = bounds.below > 0 ? (size_t)bounds.below : 0;
        aim->above[i] = size_min((size_t)bounds.above, sampled - 1);
    }
}

static void bands_aim(struct band *bands, const struct aim *aim, size_t band_count, const struct source *source,
                      size_t sampled) {
    for (size_t i = 0; i < band_count; i++) {
        bool has_low = aim->bounds[i].below >= 0, has_high = aim->bounds[i].above < (double)sampled;
        double share = (double)(aim->above[i] - aim->below[i] + 2) / (double)sampled;
        bands[i].low = has_low ? aim->low[i].at : -INFINITY;
        bands[i].high = has_high ? aim->high[i].at : INFINITY;
        bands[i].room = size_min((size_t)(1.25 * share * (double)source->count) + FEW, source->count);
    }
}

/* The pairs at up to BANDS ranks. If there is a NaN, that is all there is to know. */
static enum sw_status pairs_select(const struct source *source, const size_t *ranks, struct pair *pairs, size_t count) {
    if (source->count <= FEW) {
        few_select(source, ranks, pairs, count);
        return SW_OK;
    }
    struct band bands[BANDS] = {0};
    struct aim aim = {0};
    size_t sampled = sample_count(source->count);
    enum sw_status status = SW_NOMEM;
    double *sample = sw_alloc_array(sampled, sizeof(double));
    if (!sample)
        goto done;
    struct sw_array sample_x = sw_array_vector(sample, SW_F64, sampled);
    struct source of_sample = {.x = &sample_x, .count = sampled};
    sample_take(source, sample, sampled);
    status = SW_OK;
    if (source->has_nan && nan_is_in(sample, sampled))
        *source->has_nan = true;
    if (nan_is_known(source))
        goto done;
    aim_take(&aim, source, ranks, count, sampled);
    status = pairs_select(&of_sample, aim.below, aim.low, count);
    if (status == SW_OK)
        status = pairs_select(&of_sample, aim.above, aim.high, count);
    if (status != SW_OK)
        goto done;
    bands_aim(bands, &aim, count, source, sampled);
    status = bands_fill(source, bands, count);
    for (size_t i = 0; i < count && status == SW_OK && !nan_is_known(source); i++) {
        bool is_found;
        status = band_settle(source, &bands[i], ranks[i], &pairs[i], &is_found);
        if (status != SW_OK || is_found || nan_is_known(source))
            continue;
        struct sw_array kept_x = sw_array_vector(bands[i].kept, SW_F64, bands[i].kept_count);
        struct source kept = {.x = &kept_x, .count = bands[i].kept_count, .parallel = source->parallel};
        size_t rank = ranks[i] - bands[i].low_count;
        status = pairs_select(&kept, &rank, &pairs[i], 1);
        if (rank + 1 == kept.count)
            pairs[i].next = bands[i].high;
    }
done:
    bands_release(bands, count);
    sw_free(sample);
    return status;
}

/* At share t of the way from one element to the next; both are given exactly, and so is the middle. */
static double between(const struct pair *pair, double t) {
    double at = pair->at, next = pair->next;
    if (t == 0 || at == next)
        return at + 0.0; /* zeros of both signs are one element: +0 */
    if (!isfinite(at) || !isfinite(next))
        return at * (1 - t) + next * t;
    if (t == 0.5)
        return isfinite(at + next) ? (at + next) * 0.5 : at * 0.5 + next * 0.5;
    return t < 0.5 ? at + (next - at) * t : next - (next - at) * (1 - t);
}

static enum sw_status group_find(const struct source *source, const double *q, size_t count, double *out) {
    size_t ranks[BANDS];
    double shares[BANDS];
    struct pair pairs[BANDS];
    for (size_t i = 0; i < count; i++) {
        double place = q[i] * (double)(source->count - 1);
        ranks[i] = size_min((size_t)place, source->count - 1);
        shares[i] = place - (double)ranks[i];
    }
    enum sw_status status = pairs_select(source, ranks, pairs, count);
    for (size_t i = 0; i < count && status == SW_OK && !*source->has_nan; i++)
        out[i] = between(&pairs[i], shares[i]);
    return status;
}

enum sw_status sw_reduce_quantiles(const struct sw_array *x, const double *q, size_t count, double *out,
                                   struct sw_parallel *parallel) {
    for (size_t i = 0; i < count; i++) {
        if (!(q[i] >= 0 && q[i] <= 1))
            return SW_INVALID;
    }
    double few[BANDS], *found = count <= BANDS ? few : sw_alloc_array(count, sizeof(double));
    if (!found)
        return SW_NOMEM;
    bool has_nan = sw_array_count(x) == 0;
    struct sw_array straight = *x, *arrays[] = {&straight};
    sw_array_straighten(arrays, 1);
    struct source source = {&straight, sw_array_count(x), parallel, &has_nan};
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < count && status == SW_OK && !has_nan; i += BANDS)
        status = group_find(&source, q + i, size_min(count - i, BANDS), found + i);
    for (size_t i = 0; i < count && status == SW_OK; i++)
        out[i] = has_nan ? NAN : found[i];
    if (found != few)
        sw_free(found);
    return status;
}
