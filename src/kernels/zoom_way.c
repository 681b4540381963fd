/* zoom_way.c - What all points of a view do first, found once: they go together without a test until one might differ.
 *
 * After n iterations dz = slope dc + what is left over, the left-over below `error`; so |dz| is at most
 * |slope| radius + error for every point. As long as that says that none can leave and none returns to the orbit's
 * start, the points need no test, and they jump together. How a point is computed so depends on no other point.
 */
#include <math.h>

#include "base/mem.h"
#include "kernels/zoom_impl.h"

#define LEGS_MOST 65536u
#define LEGS_FIRST 16u
#define ROUNDING 0x1p-50
#define BENT 0.15        /* what the higher powers of a jump are at most beside the first, at its radius */
#define CIRCLE 1.999999  /* |z| below this has not left */
#define STAY_SHARE 0.875 /* |dz| below this share of |Z|, both in the maximum norm: no return to the start */

struct walk {
    const struct sw_zoom *zoom;
    struct sw_zoom_complex slope;
    double error;
    struct sw_zoom_way *way;
    uint32_t room;
};

/* Is a z so near Z in no danger to leave, and nearer to Z than to 0? How near, in any direction. */
static double calm_at(const struct sw_zoom_orbit *orbit, size_t at) {
    struct sw_zoom_complex z = orbit->z[at];
    double size = hypot(z.re, z.im), norm = fmax(fabs(z.re), fabs(z.im));
    return at == SW_ZOOM_START ? CIRCLE : fmax(fmin(CIRCLE - size, STAY_SHARE * norm), 0);
}

static double size_of(struct sw_zoom_complex z) {
    return hypot(z.re, z.im);
}

/* slope <- a slope + b */
static void slope_apply(struct walk *walk, struct sw_zoom_complex a, struct sw_zoom_complex b) {
    struct sw_zoom_complex slope = walk->slope;
    walk->slope.re = a.re * slope.re - a.im * slope.im + b.re;
    walk->slope.im = a.re * slope.im + a.im * slope.re + b.im;
    walk->error = size_of(a) * walk->error + ROUNDING * size_of(walk->slope) * walk->zoom->options.radius;
}

static bool leg_add(struct walk *walk, enum sw_zoom_leg_kind kind, uint32_t count) {
    struct sw_zoom_way *way = walk->way;
    if (way->legs == walk->room) {
        uint32_t room = walk->room ? walk->room * 2 : LEGS_FIRST;
        struct sw_zoom_leg *leg = sw_realloc_array(way->leg, room, sizeof(*leg));
        if (!leg) {
            return false;
        }
        way->leg = leg;
        walk->room = room;
    }
    way->leg[way->legs++] = (struct sw_zoom_leg){kind, way->at, count};
    return true;
}

/* Level of the jump from here, or 0. */
static unsigned level_at(const struct walk *walk, double reach) {
    const struct sw_zoom_table *table = &walk->zoom->table;
    uint32_t at = walk->way->at, left = walk->zoom->options.iterations - walk->way->iterations;
    unsigned found = 0;
    if (at % SW_ZOOM_BLOCK != 0) {
        return 0;
    }
    for (unsigned level = SW_ZOOM_BLOCK_LEVEL; level < table->levels; level++) {
        uint32_t from = at - SW_ZOOM_BLOCK, index = from >> level;
        bool is_aligned = index << level == from;
        if (!is_aligned || left >> level == 0 || !(reach < table->radius[table->first[level] + index])) {
            break;
        }
        found = level;
    }
    return found;
}

static bool way_jump(struct walk *walk, unsigned level, double reach) {
    struct sw_zoom_way *way = walk->way;
    const struct sw_zoom_table *table = &walk->zoom->table;
    uint32_t index = (way->at - SW_ZOOM_BLOCK) >> level, count = 1u << level;
    const struct sw_zoom_jump *jump = &table->jump[table->first[level] + index];
    if (!leg_add(walk, SW_ZOOM_JUMP, level)) {
        return false;
    }
    slope_apply(walk, jump->p[0], jump->b);
    walk->error += BENT * size_of(jump->p[0]) * reach * reach * jump->inverse;
    way->at += count;
    way->iterations += count;
    way->jumps++;
    way->jumped += count;
    return true;
}

static bool way_step(struct walk *walk, double reach) {
    struct sw_zoom_way *way = walk->way;
    struct sw_zoom_complex z = walk->zoom->orbit.z[way->at], twice = {2 * z.re, 2 * z.im};
    struct sw_zoom_leg *last = way->legs > 0 ? &way->leg[way->legs - 1] : NULL;
    if (last && last->kind == SW_ZOOM_STEPS && last->at + last->count == way->at) {
        last->count++;
    } else if (!leg_add(walk, SW_ZOOM_STEPS, 1)) {
        return false;
    }
    if (way->at == SW_ZOOM_START) {
        walk->slope = (struct sw_zoom_complex){0, 0};
        walk->error = 0;
    }
    slope_apply(walk, twice, (struct sw_zoom_complex){1, 0});
    walk->error += reach * reach;
    way->at++;
    way->iterations++;
    return true;
}

/* At the orbit's end every point returns to its start: dz = z. */
static bool way_rebase(struct walk *walk) {
    if (!leg_add(walk, SW_ZOOM_REBASE, 0)) {
        return false;
    }
    walk->error += size_of(walk->zoom->orbit.z[walk->way->at]);
    walk->way->at = SW_ZOOM_START;
    return true;
}

/* Backwards: what grows in an iteration to no more than the next one's, (2 |Z| + |dz|) |dz| + |dc|. */
double *sw_zoom_calm_make(const struct sw_zoom_orbit *orbit, double radius) {
    size_t count = orbit->end / SW_ZOOM_BLOCK + 1;
    double *calm = sw_alloc_array(count, sizeof(*calm));
    for (size_t block = 0; calm && block < count; block++) {
        size_t first = block > 0 ? block * SW_ZOOM_BLOCK : SW_ZOOM_START;
        size_t last = (block + 1) * SW_ZOOM_BLOCK + SW_ZOOM_ROUND;
        double now = 1, least = last > orbit->end ? 0 : 1;
        for (size_t at = last; least > 0 && at-- > first;) {
            double limit = fmin(calm_at(orbit, at), 1);
            now = fmin(limit, (now - radius) / (2 * size_of(orbit->z[at]) + limit));
            least = at < (block + 1) * SW_ZOOM_BLOCK ? fmin(least, now) : least;
            least = now > 0 ? least : 0;
        }
        calm[block] = least;
    }
    return calm;
}

enum sw_status sw_zoom_way_make(const struct sw_zoom *zoom, struct sw_zoom_way *way) {
    struct sw_zoom_way made = {.at = SW_ZOOM_START};
    struct walk walk = {.zoom = zoom, .way = &made};
    bool is_made = true;
    while (is_made && made.iterations < zoom->options.iterations && made.legs < LEGS_MOST) {
        bool is_end = made.at == zoom->orbit.end;
        double reach = size_of(walk.slope) * zoom->options.radius + walk.error;
        unsigned level = is_end ? 0 : level_at(&walk, reach);
        if (level > 0) {
            is_made = way_jump(&walk, level, reach);
        } else if (is_end && size_of(zoom->orbit.z[made.at]) + reach < CIRCLE) {
            is_made = way_rebase(&walk);
        } else if (!is_end && reach < calm_at(&zoom->orbit, made.at)) {
            is_made = way_step(&walk, reach);
        } else {
            break;
        }
    }
    if (!is_made) {
        sw_zoom_way_release(&made);
        return SW_NOMEM;
    }
    *way = made;
    return SW_OK;
}

void sw_zoom_way_release(struct sw_zoom_way *way) {
    sw_free(way->leg);
    *way = (struct sw_zoom_way){0};
}
