/* fractal_lanes_impl.h - Escape-time fractals on as many lanes as the including file's vectors have.
 *
 * The file that includes this one first defines LANES_TARGET (an attribute), LANES_COUNT, LANES_GROUP and LANES_FLIGHT
 * (how many vectors to interleave: an iteration is a chain of 8 cycles, two or three operations could start in each),
 * LANES_RUN (the name of the function to define), the types `lanes` (doubles), `words` (int64_t) and `mask`, and the
 * functions on them.
 *
 * Points pass three stations. *Opening*: LANES_GROUP vectors of neighbouring points, each iterate tested; most points
 * outside leave here. The number of iterations is chosen so that what remains is a multiple of BLOCK. *Flight*: those
 * that stayed, LANES_FLIGHT vectors, BLOCK iterations without a test; a lane whose point left or ended takes the next
 * from the pool at once. *Closing*: points that left in flight, as they were before that block, again with each
 * iterate tested. |c| is within the circle in flight, so what has left stays outside (SW_FRACTAL_STEADY).
 */
#ifdef LANES_RUN

#define LANES_INLINE LANES_TARGET static inline __attribute__((always_inline))
#define SMOOTH_INLINE LANES_INLINE
#include "kernels/fractal_smooth_impl.h"

enum {
    BLOCK = 24,
    OPENING_LEAST = 16, /* and below this + BLOCK */
    OPENING_ONLY = 64,  /* up to so many iterations the rest is not worth the changes */
    GROUP = LANES_GROUP * LANES_COUNT,
    FLIGHT = LANES_FLIGHT * LANES_COUNT,
};

#define ALIGNED _Alignas(64)
#define NEVER (-1) /* no number of a block */

struct mode {
    bool is_ship, is_exact, has_smooth; /* constants wherever this is inlined */
};

/* Points that are iterated side by side, each iterate tested. */
struct group {
    ALIGNED double x[GROUP], y[GROUP], re[GROUP], im[GROUP];
    ALIGNED double end_x[GROUP], end_y[GROUP];
    ALIGNED int64_t held[GROUP]; /* iterations until the point left */
    ALIGNED double smooth[GROUP];
    ALIGNED double base[GROUP]; /* the count at the start */
    size_t at[GROUP];
    bool is_row; /* neighbours, and all of them there */
};

/* Points of the last group that wait for a lane; all have done the opening's iterations. */
struct pool {
    double x[GROUP], y[GROUP], re[GROUP], im[GROUP];
    size_t at[GROUP];
    unsigned count;
};

/* Points as they were at the end of the last block. */
struct flight {
    ALIGNED double x[2][FLIGHT], y[2][FLIGHT]; /* before and after the last block */
    ALIGNED double re[FLIGHT], im[FLIGHT];
    ALIGNED double past_x[FLIGHT], past_y[FLIGHT]; /* Brent's earlier iterate */
    ALIGNED int64_t begin[FLIGHT];                 /* number of the lane's first block */
    ALIGNED int64_t end[FLIGHT];                   /* and of its last */
    ALIGNED int64_t mark[FLIGHT];                  /* and of the one after which `past` is taken */
    size_t at[FLIGHT];
    int64_t block; /* number of the next */
    unsigned side; /* which of x and y is after the last block */
    unsigned live; /* lanes that have a point */
};

struct kernel {
    const struct sw_fractal *fractal;
    const struct sw_fractal_grid *grid;
    const struct sw_fractal_output *output;
    uint32_t first;       /* count at the start of the opening */
    uint32_t opening;     /* iterations of the opening */
    int64_t blocks;       /* that follow it at most */
    uint32_t column, row; /* of the next point that was not opened */
    uint64_t done;
    unsigned closing_count;
    struct group opened, closing;
    struct pool pool;
    struct flight flight;
};

LANES_INLINE lanes norm_of(lanes x, lanes y, struct mode mode) {
    return mode.is_exact ? x * x + y * y : lanes_fma(y, y, x * x);
}

/* Not exact: 3 fused operations and 1 addition, the fewest there are. Where additions have ports of their own (Zen 4),
 * taking turns with 2 and 3 would gain a tenth; but it rounds otherwise, and counts are to be the same everywhere. */
LANES_INLINE void step(lanes *x, lanes *y, const double *re, const double *im, struct mode mode) {
    lanes twice = *x + *x, other = *y;
    if (mode.is_ship) {
        twice = lanes_abs(twice);
        other = lanes_abs(other);
    }
    if (mode.is_exact) {
        *x = *x * *x - *y * *y + lanes_load(re);
        *y = twice * other + lanes_load(im);
    } else {
        *x = lanes_fnma(*y, *y, lanes_fma(*x, *x, lanes_load(re)));
        *y = lanes_fma(twice, other, lanes_load(im));
    }
}

/* What group_iterate keeps in registers. */
struct tested {
    lanes x, y;
    words held;
    mask inside;
    lanes far;    /* |z|^2 of the first iterate far outside; until then, of the last */
    words number; /* iterates up to that one */
};

LANES_INLINE struct tested tested_begin(const struct group *group, size_t from, uint64_t begun) {
    struct tested now = {.x = lanes_load(group->x + from),
                         .y = lanes_load(group->y + from),
                         .held = words_set(0),
                         .inside = mask_of_bits((unsigned)(begun >> from)),
                         .number = words_set(0)};
    now.far = lanes_pick(now.inside, lanes_set(0.0), lanes_set(SW_FRACTAL_NORM_MOST));
    return now;
}

/* Follows the lanes that are `near`, not yet far outside, for the fraction of their counts. */
LANES_INLINE void tested_follow(struct tested *now, lanes norm, mask near) {
    now->far = lanes_pick(near, norm, now->far);
    now->number = words_count(now->number, near);
}

LANES_INLINE mask tested_near(const struct tested *now) {
    return lanes_at_most(now->far, lanes_set(SW_FRACTAL_SMOOTH_LIMIT));
}

/* Those that have left are iterated on until they are far outside. */
LANES_INLINE void group_smooth(struct group *group, struct tested *now, struct mode mode) {
    for (unsigned i = 0; i < SW_FRACTAL_SMOOTH_EXTRA; i++) {
        mask any = mask_of_bits(0);
        UNROLL
        for (int v = 0; v < LANES_GROUP; v++) {
            mask near = mask_without(tested_near(&now[v]), now[v].inside);
            tested_follow(&now[v], norm_of(now[v].x, now[v].y, mode), near);
            step(&now[v].x, &now[v].y, group->re + v * LANES_COUNT, group->im + v * LANES_COUNT, mode);
            any = mask_or(any, near);
        }
        if (mask_bits(any) == 0) {
            break;
        }
    }
    UNROLL
    for (int v = 0; v < LANES_GROUP; v++) {
        const size_t from = (size_t)v * LANES_COUNT;
        lanes most = lanes_set(SW_FRACTAL_NORM_MOST), zero = lanes_set(0.0);
        lanes norm = lanes_pick(lanes_at_most(now[v].far, most), now[v].far, most);
        lanes number = lanes_of_words(now[v].number) - lanes_set(1.0);
        lanes smooth = smooth_of(lanes_load(group->base + from) + number, norm);
        lanes_store(group->smooth + from, lanes_pick(lanes_at_most(zero, smooth), smooth, zero));
    }
}

/* Iterates the lanes `begun` up to `steps` times, or until all have left; returns those that have not. */
LANES_INLINE uint64_t group_iterate(struct group *group, uint64_t begun, unsigned steps, struct mode mode) {
    lanes limit = lanes_set(SW_FRACTAL_LIMIT);
    struct tested now[LANES_GROUP];
    UNROLL
    for (int v = 0; v < LANES_GROUP; v++) {
        now[v] = tested_begin(group, (size_t)v * LANES_COUNT, begun);
    }
    for (unsigned i = 0; i < steps; i++) {
        UNROLL
        for (int v = 0; v < LANES_GROUP; v++) {
            lanes norm = norm_of(now[v].x, now[v].y, mode);
            now[v].inside = mask_and(now[v].inside, lanes_at_most(norm, limit));
            now[v].held = words_count(now[v].held, now[v].inside);
            if (mode.has_smooth) {
                tested_follow(&now[v], norm, tested_near(&now[v]));
            }
            step(&now[v].x, &now[v].y, group->re + v * LANES_COUNT, group->im + v * LANES_COUNT, mode);
        }
        if (i % 4 == 3) {
            mask any = now[0].inside;
            UNROLL
            for (int v = 1; v < LANES_GROUP; v++) {
                any = mask_or(any, now[v].inside);
            }
            if (mask_bits(any) == 0) {
                break;
            }
        }
    }
    uint64_t left = 0;
    UNROLL
    for (int v = 0; v < LANES_GROUP; v++) {
        lanes_store(group->end_x + v * LANES_COUNT, now[v].x);
        lanes_store(group->end_y + v * LANES_COUNT, now[v].y);
        words_store(group->held + v * LANES_COUNT, now[v].held);
        left |= (uint64_t)mask_bits(now[v].inside) << (v * LANES_COUNT);
    }
    if (mode.has_smooth) {
        group_smooth(group, now, mode);
    }
    return left;
}

/* Inside the main cardioid or the disc left of it. */
LANES_TARGET static uint64_t group_inside(const struct group *group) {
    uint64_t inside = 0;
    for (int v = 0; v < LANES_GROUP; v++) {
        lanes re = lanes_load(group->re + v * LANES_COUNT), im = lanes_load(group->im + v * LANES_COUNT);
        lanes square = im * im, right = re - lanes_set(0.25), left = re + lanes_set(1.0);
        lanes q = right * right + square;
        lanes heart = q * (q + right) + lanes_set(SW_FRACTAL_INSIDE_MARGIN);
        mask is_heart = mask_and(lanes_at_most(square, lanes_set(1.0)), /* else infinity is at most infinity */
                                 lanes_at_most(heart, lanes_set(0.25) * square));
        lanes disc = left * left + square;
        mask is_inside = mask_or(is_heart, lanes_at_most(disc, lanes_set(0.0625 - SW_FRACTAL_INSIDE_MARGIN)));
        inside |= (uint64_t)mask_bits(is_inside) << (v * LANES_COUNT);
    }
    return inside;
}

LANES_TARGET static uint64_t group_run(const struct kernel *kernel, struct group *group, uint64_t begun,
                                       unsigned steps) {
    bool is_ship = kernel->fractal->kind == SW_FRACTAL_BURNING_SHIP, has_smooth = kernel->output->smooth != NULL;
    switch (is_ship + 2 * kernel->fractal->is_exact + 4 * has_smooth) {
    case 0:
        return group_iterate(group, begun, steps, (struct mode){false, false, false});
    case 1:
        return group_iterate(group, begun, steps, (struct mode){true, false, false});
    case 2:
        return group_iterate(group, begun, steps, (struct mode){false, true, false});
    case 3:
        return group_iterate(group, begun, steps, (struct mode){true, true, false});
    case 4:
        return group_iterate(group, begun, steps, (struct mode){false, false, true});
    case 5:
        return group_iterate(group, begun, steps, (struct mode){true, false, true});
    case 6:
        return group_iterate(group, begun, steps, (struct mode){false, true, true});
    default:
        return group_iterate(group, begun, steps, (struct mode){true, true, true});
    }
}

/* The next points, row by row; returns how many. */
LANES_TARGET static unsigned group_fill(struct kernel *kernel, struct group *group) {
    const struct sw_fractal_grid *grid = kernel->grid;
    unsigned count = 0;
    group->is_row = grid->width - kernel->column >= GROUP;
    while (count < GROUP && kernel->row < grid->height) {
        uint32_t rest = grid->width - kernel->column;
        unsigned taken = rest < GROUP - count ? rest : GROUP - count;
        double column = (double)grid->first_column + kernel->column;
        double im = grid->im + ((double)grid->first_row + kernel->row) * grid->im_step;
        size_t at = (size_t)kernel->row * grid->row_stride + kernel->column;
        for (unsigned i = 0; i < taken; i++) {
            group->x[count + i] = grid->re + (column + i) * grid->re_step;
            group->y[count + i] = im;
            group->at[count + i] = at + i;
        }
        count += taken;
        kernel->column += taken;
        if (kernel->column == grid->width) {
            kernel->column = 0;
            kernel->row++;
        }
    }
    if (kernel->fractal->kind != SW_FRACTAL_JULIA) {
        memcpy(group->re, group->x, sizeof group->re);
        memcpy(group->im, group->y, sizeof group->im);
    }
    return count;
}

/* Writes the counts of the lanes `points`; returns their sum. */
LANES_TARGET static uint64_t group_write(const struct kernel *kernel, const struct group *group, uint64_t points) {
    uint32_t *counts = kernel->output->counts, first = kernel->first;
    uint64_t sum = 0;
    if (group->is_row) {
        uint32_t *to = counts + group->at[0];
        for (unsigned i = 0; i < GROUP; i++) {
            to[i] = first + (uint32_t)group->held[i];
            sum += (uint64_t)group->held[i];
        }
        return sum + (uint64_t)first * GROUP;
    }
    for (; points != 0; points &= points - 1) {
        int lane = __builtin_ctzll(points);
        counts[group->at[lane]] = first + (uint32_t)group->held[lane];
        sum += first + (uint64_t)group->held[lane];
    }
    return sum;
}

/* The points `known` to be inside have all iterations. */
LANES_TARGET static void group_write_known(const struct kernel *kernel, const struct group *group, uint64_t known) {
    uint32_t *counts = kernel->output->counts, iterations = kernel->fractal->iterations;
    if (group->is_row && known == UINT64_MAX >> (64 - GROUP)) {
        uint32_t *to = counts + group->at[0];
        for (unsigned i = 0; i < GROUP; i++) {
            to[i] = iterations;
        }
        return;
    }
    for (; known != 0; known &= known - 1) {
        counts[group->at[__builtin_ctzll(known)]] = iterations;
    }
}

/* Writes the smooth counts of the lanes `left`, and -1 for the lanes `ended`. */
LANES_TARGET static void group_write_smooth(const struct kernel *kernel, const struct group *group, uint64_t left,
                                            uint64_t ended) {
    float *smooth = kernel->output->smooth;
    if (group->is_row && left != 0) {
        float *to = smooth + group->at[0];
        for (unsigned i = 0; i < GROUP; i++) {
            to[i] = (float)group->smooth[i];
        }
        left = 0;
    }
    for (; left != 0; left &= left - 1) {
        int lane = __builtin_ctzll(left);
        smooth[group->at[lane]] = (float)group->smooth[lane];
    }
    for (; ended != 0; ended &= ended - 1) {
        smooth[group->at[__builtin_ctzll(ended)]] = -1.0f;
    }
}

/* The points `stay` wait for a lane, but for those so near the circle that each iterate must be tested. */
LANES_TARGET static void pool_put(struct kernel *kernel, const struct group *group, uint64_t stay) {
    struct pool *pool = &kernel->pool;
    for (; stay != 0; stay &= stay - 1) {
        int lane = __builtin_ctzll(stay);
        struct sw_fractal_point point = {group->end_x[lane], group->end_y[lane], group->re[lane], group->im[lane],
                                         kernel->first + kernel->opening};
        if (point.re * point.re + point.im * point.im > SW_FRACTAL_STEADY) {
            float *smooth = kernel->output->smooth;
            kernel->done += sw_fractal_finish(kernel->fractal, &point, smooth ? smooth + group->at[lane] : NULL);
            kernel->output->counts[group->at[lane]] = point.count;
            continue;
        }
        unsigned to = pool->count++;
        pool->x[to] = point.x;
        pool->y[to] = point.y;
        pool->re[to] = point.re;
        pool->im[to] = point.im;
        pool->at[to] = group->at[lane];
    }
}

LANES_TARGET static void kernel_open(struct kernel *kernel) {
    struct group *group = &kernel->opened;
    unsigned count = group_fill(kernel, group);
    uint64_t points = UINT64_MAX >> (64 - count), known = 0, stay = 0;
    if (kernel->fractal->kind == SW_FRACTAL_MANDELBROT && !kernel->fractal->is_plain) {
        known = group_inside(group) & points;
    }
    if (known != points) {
        stay = group_run(kernel, group, points & ~known, kernel->opening);
        unsigned first_of_known = kernel->first * (unsigned)__builtin_popcountll(known);
        kernel->done += group_write(kernel, group, points) - first_of_known;
    }
    group_write_known(kernel, group, known);
    if (kernel->output->smooth) {
        group_write_smooth(kernel, group, points & ~known & ~stay, known | stay);
    }
    if (kernel->blocks > 0) {
        pool_put(kernel, group, stay);
    }
}

/* The points that left in flight: when exactly, and how far out they were. */
LANES_TARGET static void kernel_close(struct kernel *kernel) {
    struct group *group = &kernel->closing;
    if (kernel->closing_count == 0) {
        return;
    }
    uint64_t ended = 0, points = UINT64_MAX >> (64 - kernel->closing_count);
    group_run(kernel, group, points, BLOCK + 1); /* the last may be the first outside */
    for (unsigned i = 0; i < kernel->closing_count; i++) {
        uint32_t base = (uint32_t)group->base[i], count = base + (uint32_t)group->held[i];
        kernel->output->counts[group->at[i]] = count;
        kernel->done += count - kernel->first - kernel->opening;
        ended |= (uint64_t)(count == kernel->fractal->iterations) << i;
    }
    if (kernel->output->smooth) {
        group_write_smooth(kernel, group, points & ~ended, ended);
    }
    kernel->closing_count = 0;
}

/* Gives the lane its next point, or none. */
LANES_TARGET static void flight_enter(struct kernel *kernel, unsigned lane) {
    struct flight *flight = &kernel->flight;
    struct pool *pool = &kernel->pool;
    while (pool->count == 0 && kernel->row < kernel->grid->height) {
        kernel_open(kernel);
    }
    double *x = flight->x[flight->side], *y = flight->y[flight->side];
    flight->past_x[lane] = (double)NAN;
    if (pool->count == 0) {
        x[lane] = y[lane] = flight->re[lane] = flight->im[lane] = 0;
        flight->end[lane] = flight->mark[lane] = NEVER;
        return;
    }
    unsigned from = --pool->count;
    x[lane] = pool->x[from];
    y[lane] = pool->y[from];
    flight->re[lane] = pool->re[from];
    flight->im[lane] = pool->im[from];
    flight->at[lane] = pool->at[from];
    flight->begin[lane] = flight->mark[lane] = flight->block;
    flight->end[lane] = flight->block + kernel->blocks - 1;
    flight->live++;
}

/* The point has left within the last block: it is closed from where it was before. */
LANES_TARGET static void flight_leave(struct kernel *kernel, unsigned lane) {
    struct flight *flight = &kernel->flight;
    struct group *group = &kernel->closing;
    unsigned to = kernel->closing_count++, before = flight->side ^ 1;
    int64_t blocks = flight->block - 1 - flight->begin[lane];
    group->x[to] = flight->x[before][lane];
    group->y[to] = flight->y[before][lane];
    group->re[to] = flight->re[lane];
    group->im[to] = flight->im[lane];
    group->at[to] = flight->at[lane];
    group->base[to] = (double)(blocks * BLOCK + kernel->first + kernel->opening);
    if (kernel->closing_count == GROUP) {
        kernel_close(kernel);
    }
}

/* The point has done all iterations, or goes round in a circle. */
LANES_TARGET static void flight_end(struct kernel *kernel, unsigned lane) {
    struct flight *flight = &kernel->flight;
    kernel->output->counts[flight->at[lane]] = kernel->fractal->iterations;
    kernel->done += (uint64_t)(flight->block - flight->begin[lane]) * BLOCK;
    if (kernel->output->smooth) {
        kernel->output->smooth[flight->at[lane]] = -1.0f;
    }
}

/* After a block: what becomes of the lanes whose point `left` or `ended`. */
LANES_TARGET static void __attribute__((noinline))
flight_exchange(struct kernel *kernel, uint64_t left, uint64_t ended) {
    uint64_t gone = left | ended;
    for (; left != 0; left &= left - 1) {
        flight_leave(kernel, (unsigned)__builtin_ctzll(left));
    }
    for (; ended != 0; ended &= ended - 1) {
        flight_end(kernel, (unsigned)__builtin_ctzll(ended));
    }
    for (; gone != 0; gone &= gone - 1) {
        kernel->flight.live--;
        flight_enter(kernel, (unsigned)__builtin_ctzll(gone));
    }
}

/* What happens to the vector's past iterates after block `number`. */
LANES_INLINE mask flight_look_back(struct flight *flight, size_t from, lanes x, lanes y) {
    lanes past_x = lanes_load(flight->past_x + from), past_y = lanes_load(flight->past_y + from);
    words begin = words_load(flight->begin + from), mark = words_load(flight->mark + from);
    mask is_due = words_equal(mark, words_set(flight->block));
    lanes_store(flight->past_x + from, lanes_pick(is_due, x, past_x));
    lanes_store(flight->past_y + from, lanes_pick(is_due, y, past_y));
    words_store(flight->mark + from, words_pick(is_due, mark + mark - begin + words_set(1), mark));
    return mask_and(lanes_equal(x, past_x), lanes_equal(y, past_y));
}

LANES_INLINE void flight_advance(struct kernel *kernel, struct mode mode) {
    struct flight *flight = &kernel->flight;
    lanes x[LANES_FLIGHT], y[LANES_FLIGHT], limit = lanes_set(SW_FRACTAL_LIMIT);
    const double *from_x = flight->x[flight->side], *from_y = flight->y[flight->side];
    flight->side ^= 1;
    double *to_x = flight->x[flight->side], *to_y = flight->y[flight->side];
    uint64_t inside = 0, ended = 0;
    UNROLL
    for (int v = 0; v < LANES_FLIGHT; v++) {
        x[v] = lanes_load(from_x + v * LANES_COUNT);
        y[v] = lanes_load(from_y + v * LANES_COUNT);
    }
    for (int i = 0; i < BLOCK; i++) {
        UNROLL
        for (int v = 0; v < LANES_FLIGHT; v++) {
            step(&x[v], &y[v], flight->re + v * LANES_COUNT, flight->im + v * LANES_COUNT, mode);
        }
    }
    UNROLL
    for (int v = 0; v < LANES_FLIGHT; v++) {
        size_t from = (size_t)v * LANES_COUNT;
        lanes_store(to_x + from, x[v]);
        lanes_store(to_y + from, y[v]);
        mask is_over = words_equal(words_load(flight->end + from), words_set(flight->block));
        if (!kernel->fractal->is_plain) {
            is_over = mask_or(is_over, flight_look_back(flight, from, x[v], y[v]));
        }
        inside |= (uint64_t)mask_bits(lanes_at_most(norm_of(x[v], y[v], mode), limit)) << from;
        ended |= (uint64_t)mask_bits(is_over) << from;
    }
    flight->block++;
    uint64_t left = ~inside & UINT64_MAX >> (64 - FLIGHT);
    if ((left | ended) != 0) {
        flight_exchange(kernel, left, ended & ~left);
    }
}

LANES_TARGET static void kernel_fly(struct kernel *kernel) {
    bool is_ship = kernel->fractal->kind == SW_FRACTAL_BURNING_SHIP, is_exact = kernel->fractal->is_exact;
    for (unsigned lane = 0; lane < FLIGHT; lane++) {
        flight_enter(kernel, lane);
    }
    while (kernel->flight.live > 0) {
        if (is_exact && is_ship) {
            flight_advance(kernel, (struct mode){true, true, false});
        } else if (is_exact) {
            flight_advance(kernel, (struct mode){false, true, false});
        } else if (is_ship) {
            flight_advance(kernel, (struct mode){true, false, false});
        } else {
            flight_advance(kernel, (struct mode){false, false, false});
        }
    }
    kernel_close(kernel);
}

LANES_TARGET static void group_clear(struct group *group, const struct sw_fractal *fractal) {
    memset(group, 0, sizeof *group);
    for (unsigned i = 0; i < GROUP; i++) {
        group->re[i] = fractal->julia_re;
        group->im[i] = fractal->julia_im;
    }
}

LANES_TARGET uint64_t LANES_RUN(const struct sw_fractal *fractal, const struct sw_fractal_grid *grid,
                                const struct sw_fractal_output *output) {
    struct kernel kernel;
    kernel.fractal = fractal;
    kernel.grid = grid;
    kernel.output = output;
    kernel.first = fractal->kind == SW_FRACTAL_JULIA ? 0 : 1; /* the first iterate after 0 is c */
    uint32_t steps = fractal->iterations - kernel.first;
    kernel.opening = steps <= OPENING_ONLY ? steps : OPENING_LEAST + (steps - OPENING_LEAST) % BLOCK;
    kernel.blocks = (steps - kernel.opening) / BLOCK;
    kernel.column = 0;
    kernel.row = grid->width > 0 ? 0 : grid->height;
    kernel.done = 0;
    kernel.closing_count = kernel.pool.count = 0;
    group_clear(&kernel.opened, fractal);
    group_clear(&kernel.closing, fractal);
    for (unsigned i = 0; i < GROUP; i++) {
        kernel.opened.base[i] = kernel.first;
    }
    memset(&kernel.flight, 0, sizeof kernel.flight);
    kernel_fly(&kernel);
    return kernel.done;
}

#endif
