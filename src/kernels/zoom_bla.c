/* zoom_bla.c - The bivariate approximations of an orbit: jumps over 16, 32, 64, ... iterations at once.
 *
 * One iteration is dz' = (2 Z + dz) dz + dc, so a jump is a polynomial in dz and dc. Kept are B dc and the first four
 * powers of dz; what is dropped must be lost in rounding beside the first. That, and that a jump x leads into the
 * radius of the jump y that follows, bounds |dz|.
 *
 * With the first power alone, as BLA is usually made, jumps end at |dz| = 2^-46 |Z|, with four at 2^-11 |Z|: in a
 * spiral whose arms grow by 4 % an iteration those are 640 iterations more that need not be done one by one.
 *
 * Of the powers c_k dz^(k + 1) the table has p_k = c_k radius^k, in terms of t = dz / radius: c_k itself would leave
 * the range of a double.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/zoom_impl.h"

#define EPSILON 0x1p-46     /* of dz may be lost in a merge */
#define CANCEL_EVERY 512u   /* blocks: 3 ms */
#define SINGLE 0.125        /* |dz| below this share of |Z|: no return to the start, and p[1] is small */
#define BENT 0.125          /* |p[k]| is at most this to the k-th of |p[0]| */
#define STRETCH 1.15        /* so dz grows to at most this of |p[0] dz| */
#define RADIUS_LEAST 1e-300 /* so that its inverse is a number */

struct approximation {
    struct sw_zoom_jump jump;
    double radius; /* 0: never */
};

static struct sw_zoom_complex product(struct sw_zoom_complex x, struct sw_zoom_complex y) {
    return (struct sw_zoom_complex){x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}

static struct sw_zoom_complex sum(struct sw_zoom_complex x, struct sw_zoom_complex y) {
    return (struct sw_zoom_complex){x.re + y.re, x.im + y.im};
}

static struct sw_zoom_complex scaled(double factor, struct sw_zoom_complex x) {
    return (struct sw_zoom_complex){factor * x.re, factor * x.im};
}

static double size_of(struct sw_zoom_complex x) {
    return hypot(x.re, x.im);
}

/* x's polynomial in terms of t = dz / radius for another radius: powers p[k] h^k. */
static void rescale(struct sw_zoom_complex *p, double h) {
    double factor = h;
    for (unsigned k = 1; k < SW_ZOOM_TERMS; k++) {
        p[k] = scaled(factor, p[k]);
        factor *= h;
    }
}

/* The powers of y after x. `p` and `v` are x's powers, as they are and in terms of y's t. The next power, which is
 * dropped, is at most the return value. */
static double compose(struct sw_zoom_complex *all, const struct sw_zoom_complex *y, const struct sw_zoom_complex *p,
                      const struct sw_zoom_complex *v) {
    struct sw_zoom_complex square = product(p[0], v[0]), cube = product(square, v[0]);
    struct sw_zoom_complex mixed = product(p[0], v[1]), bent = sum(product(p[1], v[1]), scaled(2, product(p[0], v[2])));
    all[0] = product(y[0], p[0]);
    all[1] = sum(product(y[0], p[1]), product(y[1], square));
    all[2] = sum(sum(product(y[0], p[2]), product(y[1], scaled(2, mixed))), product(y[2], cube));
    all[3] = sum(sum(product(y[0], p[3]), product(y[1], bent)),
                 sum(product(y[2], scaled(3, product(square, v[1]))), product(y[3], product(cube, v[0]))));
    double p0 = size_of(p[0]), v0 = size_of(v[0]), v1 = size_of(v[1]), v2 = size_of(v[2]);
    return size_of(y[1]) * 2 * (p0 * size_of(v[3]) + size_of(p[1]) * v2) +
           size_of(y[2]) * 3 * p0 * (v0 * v2 + v1 * v1) + size_of(y[3]) * 4 * p0 * v0 * v0 * v1;
}

/* By what the radius is to be multiplied, so that the powers are small beside the first and what is dropped is lost. */
static double shrink_for(const struct sw_zoom_complex *p, double dropped) {
    double first = size_of(p[0]);
    double shrink = fmin(1, BENT * first / size_of(p[1]));
    shrink = fmin(shrink, BENT * sqrt(first / size_of(p[2])));
    shrink = fmin(shrink, BENT * cbrt(first / size_of(p[3])));
    return fmin(shrink, sqrt(sqrt(EPSILON * first / (2 * dropped))));
}

static bool is_finite(const struct sw_zoom_jump *jump) {
    double all = jump->b.re + jump->b.im;
    for (unsigned k = 0; k < SW_ZOOM_TERMS; k++) {
        all += jump->p[k].re + jump->p[k].im;
    }
    return isfinite(all);
}

/* x, then y, for |dc| <= dc. */
static struct approximation merge(const struct approximation *x, const struct approximation *y, double dc) {
    struct approximation both = {.radius = 0};
    struct sw_zoom_complex p[SW_ZOOM_TERMS], v[SW_ZOOM_TERMS];
    double moved = size_of(x->jump.b) * dc;
    /* The product of dz and dc is dropped. */
    bool is_lost = 2 * size_of(y->jump.p[1]) * moved <= EPSILON * size_of(y->jump.p[0]) * y->radius;
    double radius = fmin(x->radius, (y->radius - moved) / (STRETCH * size_of(x->jump.p[0])));
    if (!is_lost || !(radius > RADIUS_LEAST)) {
        return both;
    }
    memcpy(p, x->jump.p, sizeof(p));
    rescale(p, radius / x->radius);
    for (unsigned k = 0; k < SW_ZOOM_TERMS; k++) {
        v[k] = scaled(radius / y->radius, p[k]);
    }
    double dropped = compose(both.jump.p, y->jump.p, p, v), shrink = shrink_for(both.jump.p, dropped);
    radius *= shrink;
    rescale(both.jump.p, shrink);
    both.jump.b = sum(product(y->jump.p[0], x->jump.b), y->jump.b);
    both.radius = radius > RADIUS_LEAST && is_finite(&both.jump) ? radius : 0;
    both.jump.inverse = 1 / radius;
    return both;
}

static struct approximation single(struct sw_zoom_complex z) {
    double size = size_of(z), radius = fmax(fmin(SINGLE * size, 0.5 * (2 - size)), 0);
    return (struct approximation){
        .jump = {.p = {{2 * z.re, 2 * z.im}, {radius, 0}}, .b = {1, 0}},
        .radius = radius,
    };
}

static struct approximation block_of(const struct sw_zoom_complex *z, double dc) {
    struct approximation all = single(z[0]);
    for (unsigned i = 1; i < SW_ZOOM_BLOCK; i++) {
        struct approximation next = single(z[i]);
        all = merge(&all, &next, dc);
    }
    return all;
}

static void table_put(struct sw_zoom_table *table, size_t at, const struct approximation *all) {
    table->radius[at] = all->radius;
    table->jump[at] = all->jump;
}

static struct approximation table_get(const struct sw_zoom_table *table, size_t at) {
    return (struct approximation){table->jump[at], table->radius[at]};
}

/* A level always covers the one below, so that a climb never leaves the table: what is left over there is no jump. */
static size_t levels_lay(struct sw_zoom_table *table, uint32_t blocks) {
    size_t total = 0;
    table->levels = SW_ZOOM_BLOCK_LEVEL;
    for (uint32_t count = blocks; table->levels < SW_ZOOM_LEVELS; count = (count + 1) / 2) {
        table->first[table->levels] = (uint32_t)total;
        table->count[table->levels] = count;
        table->levels++;
        total += count;
        if (count == 1) {
            break;
        }
    }
    return total;
}

static void level_fill(struct sw_zoom_table *table, unsigned level, double dc) {
    size_t lower = table->first[level - 1];
    for (uint32_t i = 0; i < table->count[level]; i++) {
        struct approximation all = {.radius = 0};
        if (2 * i + 1 < table->count[level - 1]) {
            struct approximation x = table_get(table, lower + 2 * i), y = table_get(table, lower + 2 * i + 1);
            all = merge(&x, &y, dc);
        }
        table_put(table, table->first[level] + i, &all);
    }
}

/* The last point of the orbit is left by a return to its start only, so no jump leads to it. False when cancelled. */
static bool blocks_fill(struct sw_zoom_table *table, const struct sw_zoom_orbit *orbit,
                        const struct sw_zoom_options *options) {
    uint32_t first = table->first[SW_ZOOM_BLOCK_LEVEL], count = table->count[SW_ZOOM_BLOCK_LEVEL];
    for (uint32_t i = 0; i < count; i++) {
        size_t at = ((size_t)i + 1) * SW_ZOOM_BLOCK;
        struct approximation all = {.radius = 0};
        if (at + SW_ZOOM_BLOCK < orbit->end) {
            all = block_of(orbit->z + at, options->radius);
        }
        table_put(table, first + i, &all);
        table->reach[i + 1] = all.radius;
        table->reach_most = fmax(table->reach_most, all.radius);
        if (i % CANCEL_EVERY == CANCEL_EVERY - 1 && options->is_cancelled && options->is_cancelled(options->context)) {
            return false;
        }
    }
    table->reach[0] = table->reach[1];
    return true;
}

enum sw_status sw_zoom_table_make(const struct sw_zoom_orbit *orbit, const struct sw_zoom_options *options,
                                  struct sw_zoom_table *table) {
    struct sw_zoom_table made = {0};
    uint32_t blocks = orbit->end / SW_ZOOM_BLOCK; /* that begin at or before the end */
    size_t total = levels_lay(&made, blocks);
    made.radius = sw_alloc_array(total, sizeof(*made.radius));
    made.jump = sw_alloc_array(total, sizeof(*made.jump));
    made.reach = sw_alloc_array(blocks + 1u, sizeof(*made.reach));
    bool has_room = made.radius && made.jump && made.reach;
    if (!has_room || !blocks_fill(&made, orbit, options)) {
        sw_zoom_table_release(&made);
        return has_room ? SW_INTERRUPTED : SW_NOMEM;
    }
    for (unsigned level = SW_ZOOM_BLOCK_LEVEL + 1; level < made.levels; level++) {
        level_fill(&made, level, options->radius);
    }
    *table = made;
    return SW_OK;
}

void sw_zoom_table_release(struct sw_zoom_table *table) {
    sw_free(table->radius);
    sw_free(table->jump);
    sw_free(table->reach);
    *table = (struct sw_zoom_table){0};
}
