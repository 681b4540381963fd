/* anomaly_lanes_impl.h - The anomaly detector itself, on as many lanes as the including file's vectors have.
 *
 * The file that includes this one first defines LANES_TARGET (an attribute), LANES_COUNT, LANES_UPDATE (the name of the
 * function to define), the types `lanes` (floats), `words` (int32_t) and `mask`, and the functions on them; so every
 * level of vector instructions gets the same operations in the same order. No fused multiply-add: not every level has
 * it, and all are to agree to the last bit.
 *
 * Three residuals are measured in their own scales: value - level (spikes, shifts), value - previous value (spikes on
 * a moving level) and fast mean - level (small shifts that last). The largest is z. How often and how far the past z
 * went beyond 3 gives an exponential tail (peaks over threshold), hence the probability of this z: noise with heavy
 * tails raises its own bar. A scale is a mean absolute residual: unlike squares it needs no root and stays within
 * what a float can hold. All updates are winsorised, so that one spike does not widen the scale; a level that stays is
 * adopted.
 */
#ifdef LANES_UPDATE

#define LANES_INLINE LANES_TARGET static inline __attribute__((always_inline))

#define LEVEL_WEIGHT 0.01f       /* the level remembers about 100 points */
#define POINTS_STEADY 199        /* the scales about 200 */
#define FAST_WEIGHT 0.2f         /* the fast mean about 5 */
#define FAST_SHARE (1.0f / 3.0f) /* of independent noise: the deviation of such a mean */
#define DEVIATION 1.2533141f     /* standard deviation over mean absolute deviation, of Gaussian noise */
#define RELATIVE_FLOOR 1e-3f     /* no scale is below this share of the level: constant series, quantised values */
#define SCALE_MIN 1e-33f         /* so that nothing is divided by 0 */
#define CLIP 4.0f                /* residuals enter the means at most so many scales large */
#define UNCLIPPED 8              /* but for the first few: there is no scale yet */
#define ANY_SIZE 1e38f           /* in scales: no clipping */
#define Z_MAX 1e3f

#define TAIL_START 3.0f
#define TAIL_UNIT 1.0857362e-4f /* of -log10 of the share of points beyond TAIL_START: a point on this side adds 8 */
#define TAIL_GAIN 8.0f
#define TAIL_ORIGIN 2.57f     /* a share of 0.0027, the Gaussian's */
#define TAIL_MAX 2118.0f      /* TAIL_ORIGIN + TAIL_MAX * TAIL_UNIT = 2.8: a share of 0.0016 */
#define TAIL_EXCESS_MIN 0.28f /* the Gaussian's mean excess beyond 3 is 0.28 */
#define TAIL_EXCESS_WEIGHT 0.0625f
#define TAIL_EXCESS_CLIP 8.0f
#define TAIL_KEEP 0.9995f

#define SURPRISE_MAX 20.0f      /* -log10 of the least probability told apart */
#define SURPRISE_OF_ONE 10.0f   /* scores 1 */
#define SUPPRESSION_KEEP 0.995f /* halves in 138 points */
#define SUPPRESSION_UNITS 1600.0f
#define SHIFT_RUN 12.0f /* so many far points on one side in a row are a new level */
#define LOG10_E 0.43429448f

struct state {
    lanes level, level_scale, step_scale, drift_scale, previous, fast, excess;
    lanes tail; /* in units */
    words packed;
};

/* What a point means to the series. */
struct point {
    lanes residual, distance; /* value - level, and its magnitude */
    lanes run_before;         /* far points on one side in a row, signed */
    lanes side;               /* 1 or -1, the residual's sign */
    lanes suppression;
    lanes level_scale, step_scale, drift_scale; /* not below their floors */
    lanes scale_weight, level_weight;
    lanes most; /* how many scales large a residual may be */
    mask is_present, is_scored, is_far;
    words older; /* what the point adds to the count of points */
};

LANES_INLINE struct state state_load(const struct sw_anomaly_step *step, unsigned first) {
    const float *at = sw_anomaly_floats(step->row, step->lanes, SW_ANOMALY_LEVEL) + first;
    unsigned stride = step->lanes;
    return (struct state){
        .level = lanes_load(at + SW_ANOMALY_LEVEL * stride),
        .level_scale = lanes_load(at + SW_ANOMALY_LEVEL_SCALE * stride),
        .step_scale = lanes_load(at + SW_ANOMALY_STEP_SCALE * stride),
        .drift_scale = lanes_load(at + SW_ANOMALY_DRIFT_SCALE * stride),
        .previous = lanes_load(at + SW_ANOMALY_PREVIOUS * stride),
        .fast = lanes_load(at + SW_ANOMALY_FAST * stride),
        .excess = lanes_load(at + SW_ANOMALY_EXCESS * stride),
        .packed = words_load(at + SW_ANOMALY_PACKED * stride),
        .tail = lanes_of(tails_load((const int16_t *)(const void *)(step->row + 1) + first)),
    };
}

/* `now` where there was a point; elsewhere what was loaded, `old`, stays. Which are absent changes from row to row, so
 * there is no branch. */
LANES_INLINE void state_store(const struct sw_anomaly_step *step, unsigned first, const struct state *now,
                              const struct state *old, mask is_present) {
    float *at = sw_anomaly_floats(step->row, step->lanes, SW_ANOMALY_LEVEL) + first;
    unsigned stride = step->lanes;
    lanes_store(at + SW_ANOMALY_LEVEL * stride, is_present, now->level, old->level);
    lanes_store(at + SW_ANOMALY_LEVEL_SCALE * stride, is_present, now->level_scale, old->level_scale);
    lanes_store(at + SW_ANOMALY_STEP_SCALE * stride, is_present, now->step_scale, old->step_scale);
    lanes_store(at + SW_ANOMALY_DRIFT_SCALE * stride, is_present, now->drift_scale, old->drift_scale);
    lanes_store(at + SW_ANOMALY_PREVIOUS * stride, is_present, now->previous, old->previous);
    lanes_store(at + SW_ANOMALY_FAST * stride, is_present, now->fast, old->fast);
    lanes_store(at + SW_ANOMALY_EXCESS * stride, is_present, now->excess, old->excess);
    words_store(at + SW_ANOMALY_PACKED * stride, is_present, now->packed, old->packed);
    tails_store((int16_t *)(void *)(step->row + 1) + first, is_present, words_of(now->tail), words_of(old->tail));
}

/* The first points of a series: plain means, else they would count too much, no scores, and at first no scale to clip
 * by. */
LANES_INLINE void point_be_young(struct point *point, struct state *now, lanes value) {
    words points = now->packed & 255;
    point->scale_weight = 1.0f / lanes_of(points + 1);
    point->level_weight = lanes_max(point->scale_weight, point->level_weight);
    point->is_scored = mask_and(point->is_present, words_less(words_set(SW_ANOMALY_WARMUP - 1), points));
    point->most = lanes_pick(words_less(points, words_set(UNCLIPPED)), lanes_set(ANY_SIZE), point->most);
    point->older = words_pick(words_less(points, words_set(POINTS_STEADY)), words_set(1), words_set(0));
    now->level = lanes_pick(words_less(points, words_set(1)), value, now->level);
}

/* Puts the value into the series' terms. */
LANES_INLINE struct point point_make(struct state *now, lanes value, mask is_present) {
    struct point point = {
        .run_before = lanes_of(now->packed >> 24),
        .suppression = lanes_of(now->packed >> 8 & 0xffff) * (1.0f / SUPPRESSION_UNITS),
        .scale_weight = lanes_set(1.0f / (POINTS_STEADY + 1)),
        .level_weight = lanes_set(LEVEL_WEIGHT),
        .most = lanes_set(CLIP),
        .is_present = is_present,
        .is_scored = is_present,
        .older = words_set(0),
    };
    mask is_young = words_less(now->packed & 255, words_set(POINTS_STEADY));
    if (mask_any(mask_and(is_young, is_present))) {
        point_be_young(&point, now, value);
    }
    lanes floor = lanes_max(RELATIVE_FLOOR * lanes_abs(now->level), lanes_set(SCALE_MIN));
    point.level_scale = lanes_max(now->level_scale, floor);
    point.step_scale = lanes_max(now->step_scale, floor);
    point.drift_scale = lanes_max(now->drift_scale, floor * FAST_SHARE);
    point.residual = value - now->level;
    point.distance = lanes_abs(point.residual);
    point.side = lanes_sign(point.residual);
    point.is_far = lanes_less(CLIP * point.level_scale, point.distance);
    /* Anything may be a scale's first. */
    mask is_first = lanes_less(point.level_scale, lanes_set(2.0f * SCALE_MIN));
    point.most = lanes_pick(is_first, lanes_set(ANY_SIZE), point.most);
    /* After a run, which told its story, the fast mean starts again. */
    mask is_calm = lanes_less(lanes_abs(point.run_before), lanes_set(0.5f));
    now->fast = lanes_keep(mask_or(point.is_far, is_calm), now->fast);
    return point;
}

/* How many scales the point is away. Within a run the fast mean jumps to it: news only if the run was not reported. */
LANES_INLINE lanes point_away(const struct point *point, const struct state *now, mask is_steady) {
    mask is_calm = lanes_less(lanes_abs(point->run_before), lanes_set(0.5f));
    mask is_news = mask_or(is_calm, lanes_less(point->suppression, lanes_set(1.0f)));
    /* The divisions are by what is known before the value is. */
    lanes drift = (1.0f - FAST_WEIGHT) * now->fast + FAST_WEIGHT * point->residual;
    lanes drift_away = lanes_abs(drift) * (1.0f / point->drift_scale);
    lanes step_away = lanes_abs(point->residual - now->previous) * (1.0f / point->step_scale);
    lanes away = lanes_max(point->distance * (1.0f / point->level_scale), lanes_keep(is_steady, step_away));
    away = lanes_max(away, lanes_keep(is_news, drift_away));
    return lanes_keep(point->is_scored, lanes_min(away, lanes_set(Z_MAX)));
}

/* -log10 of the probability of a point at least z out; learns from it. */
LANES_INLINE lanes surprise_of(struct state *now, lanes z) {
    lanes rate = TAIL_ORIGIN + TAIL_UNIT * now->tail;
    lanes surprise = rate * (1.0f / (TAIL_START * TAIL_START)) * (z * z);
    lanes gained = lanes_min(now->tail + TAIL_GAIN, lanes_set(TAIL_MAX));
    lanes kept = now->excess * TAIL_KEEP;
    now->excess = kept;
    mask is_tail = lanes_less(lanes_set(TAIL_START), z);
    if (!mask_any(is_tail)) {
        now->tail = gained;
        return surprise;
    }
    lanes excess = z - TAIL_START, mean_excess = kept + TAIL_EXCESS_MIN;
    surprise = lanes_pick(is_tail, rate + LOG10_E * excess / mean_excess, surprise);
    lanes learned = kept + TAIL_EXCESS_WEIGHT * (lanes_min(excess, TAIL_EXCESS_CLIP * mean_excess) - mean_excess);
    now->excess = lanes_pick(is_tail, lanes_max(learned, lanes_set(0.0f)), kept);
    /* By how much one more lowers the logarithm of their share: log10(1 + 0.002 (10^rate - 1)) to 1 %. */
    lanes loss = 0.00230427f * rate + -0.00234649f;
    loss = loss * rate + 0.00386126f;
    loss = loss * rate + 0.00188749f;
    loss = (loss * rate + 0.00200581f) * rate;
    lanes lost = lanes_max(now->tail - loss * (1.0f / TAIL_UNIT), lanes_set(-TAIL_ORIGIN / TAIL_UNIT));
    now->tail = lanes_pick(is_tail, lost, gained);
    return lanes_min(surprise, lanes_set(SURPRISE_MAX));
}

/* The mean of the residuals' magnitudes, this one clipped. */
LANES_INLINE lanes scale_learn(const struct point *point, lanes scale, lanes clipped) {
    return scale + point->scale_weight * (DEVIATION * clipped - scale);
}

/* Moves the means and scales towards the point; returns the run. A lone far point enters clipped everywhere; from the
 * second in a row on, the fast mean is the mean of the run; what SHIFT_RUN of them agree on is the level. */
LANES_INLINE lanes learn(struct state *now, const struct point *point) {
    lanes before = lanes_max(point->run_before * point->side, lanes_set(0.0f)); /* on this side */
    lanes run = lanes_keep(point->is_far, before + 1.0f);
    lanes clipped_distance = lanes_min(point->distance, point->most * point->level_scale);
    lanes clipped = lanes_pick(point->is_scored, clipped_distance * point->side, point->residual);
    lanes step = lanes_abs(point->residual - now->previous);
    lanes seen = clipped, fast = now->fast + FAST_WEIGHT * (clipped - now->fast);
    lanes moved = point->level_weight * clipped;
    mask is_run = lanes_less(lanes_set(1.5f), run);
    if (mask_any(mask_and(is_run, point->is_present))) {
        lanes mean = now->fast + (point->residual - now->fast) / lanes_max(before, lanes_set(1.0f));
        seen = lanes_pick(is_run, point->residual, seen);
        fast = lanes_pick(is_run, mean, fast);
        mask is_shift = lanes_less(lanes_set(SHIFT_RUN - 0.5f), run);
        moved = lanes_pick(is_shift, fast, moved);
        run = lanes_pick(is_shift, lanes_set(0.0f), run);
    }
    now->level_scale = scale_learn(point, now->level_scale, clipped_distance);
    now->step_scale = scale_learn(point, now->step_scale, lanes_min(step, point->most * point->step_scale));
    now->drift_scale =
        scale_learn(point, now->drift_scale, lanes_min(lanes_abs(fast), point->most * point->drift_scale));
    now->level = now->level + moved;
    now->previous = seen - moved;
    now->fast = fast - moved;
    return run * point->side;
}

LANES_INLINE lanes without_dust(lanes value, float least) {
    return lanes_pick(lanes_less(lanes_abs(value), lanes_set(least)), lanes_set(0.0f), value);
}

/* What decays towards 0 must get there: subnormal numbers cost a hundred times as much. */
LANES_INLINE void state_clean(struct state *now) {
    now->level = without_dust(now->level, SW_ANOMALY_VALUE_MIN);
    now->level_scale = without_dust(now->level_scale, SW_ANOMALY_VALUE_MIN);
    now->step_scale = without_dust(now->step_scale, SW_ANOMALY_VALUE_MIN);
    now->drift_scale = without_dust(now->drift_scale, SW_ANOMALY_VALUE_MIN);
    now->previous = without_dust(now->previous, SW_ANOMALY_VALUE_MIN);
    now->fast = without_dust(now->fast, SW_ANOMALY_VALUE_MIN);
    now->excess = without_dust(now->excess, 1e-6f);
}

LANES_TARGET void LANES_UPDATE(struct sw_anomaly_step *step, unsigned first) {
    const struct sw_anomaly_points *points = step->points;
    unsigned count = points->width - first;
    struct state old = state_load(step, first), now = old;
    mask is_present;
    lanes value = values_load(points->values + first, count, &is_present);
    struct point point = point_make(&now, value, is_present);
    lanes z = point_away(&point, &now, mask_of_bits((unsigned)(step->steady >> first)));

    /* What recent incidents count for is taken off, so that one incident is one anomaly, not a storm. */
    lanes surprise = surprise_of(&now, z);
    lanes score = lanes_max((surprise - point.suppression) * (1.0f / SURPRISE_OF_ONE), lanes_set(0.0f));
    score = lanes_min(score, lanes_set(1.0f));
    scores_store(step->scores + first, count, score);
    mask is_normal = lanes_less(score, lanes_set(SW_ANOMALY_THRESHOLD));
    lanes suppression = lanes_pick(is_normal, point.suppression * SUPPRESSION_KEEP, surprise);
    lanes run = learn(&now, &point);
    now.packed = words_of(run * 0x1p24f) | words_of(suppression * SUPPRESSION_UNITS) << 8 | (old.packed & 255);
    now.packed = now.packed + point.older;
    if (step->is_cleaning) {
        state_clean(&now);
    }
    state_store(step, first, &now, &old, is_present);
    step->present |= (uint64_t)mask_bits(is_present) << first;
    unsigned anomalies = mask_bits(is_normal) ^ lanes_below(LANES_COUNT);
    step->anomalies |= (uint64_t)anomalies << first;
    if (anomalies && points->usual) {
        scores_store(points->usual->level + first, count, old.level);
        scores_store(points->usual->scale + first, count, old.level_scale);
    }
}

#endif
