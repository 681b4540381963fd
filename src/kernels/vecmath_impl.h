/* vecmath_impl.h - exp, log and their kin, // and % on as many lanes as the including file's vectors have.
 *
 * The file that includes this one first defines LANES_TARGET (an attribute), LANES_COUNT, LANES_F32 (0 or 1), the types
 * `real`, `lanes`, `words` (unsigned integers of the size of `real`) and `mask`, and the functions on them; so every level
 * of vector instructions makes the same operations in the same order and gives the same bits. Multiply-adds are fused
 * where written so, nowhere else; without the instruction fma() of the C library does it.
 *
 * exp: x = n * ln2/16 + r, |r| <= ln2/32; 2^(n/16) is a power of two times one of 16 table values, held in two parts; a
 * polynomial makes exp(r) - 1. log: x = 2^k * z with z in [0.698, 1.396); one of 16 table values c near 1/z makes
 * r = z * c - 1 small, |r| < 0.036; log(x) = k * ln2 - log(c) + log1p(r). c has so few bits that r is exact where the
 * result is small; around 1 it is 1. The head of -log(c) has so few that its sum with k * ln2 is exact; the bias of k is
 * in the tables. Polynomials are minimax (Remez).
 */
#ifdef LANES_TABLE

#include "kernels/vecmath_tables_impl.h"

#define LANES_INLINE LANES_TARGET static inline __attribute__((always_inline))

#if LANES_F32
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define SIGN_BIT 0x80000000u
#define LEAST_NORMAL 0x1p-126f
#define SUBNORMAL_SCALE 0x1p32f
#define SUBNORMAL_SHIFT 32
#define POSITIVE_INFINITY __builtin_inff()
#define QUIET_NAN __builtin_nanf("")
#define QUOTIENT_MOST 0x1p22f /* below, // and % are exact in a few operations */
#define FLOOR_DIVIDE_ONE sw_floor_divide_f32
#define REMAINDER_ONE sw_remainder_f32

#define EXP_MOST 89.0f
#define EXP_LEAST (-104.0f)
#define EXP_INVERSE 0x1.715476p+4f /* 16 / ln2 */
#define EXP_STEP 0x1.62e43p-5f     /* ln2 / 16 */
#define EXP_STEP_TAIL (-0x1.05c61p-33f)
#define EXP_BIAS 256
#define EXP_SHIFT (0x1.8p23f + 16 * EXP_BIAS) /* adding it rounds to an integer, found in the low bits */
#define EXP_MASK 0x1fffu
#define EXP_HEADS sw_exp_heads_f32
#define EXP_TAILS sw_exp_tails_f32

#define EXPM1_MOST 30.0f
#define TANH_MOST 12.0f

#define LOG_FROM 0x3f32aaabu  /* bits of the least z */
#define WORDS_TOP 0x4b000000u /* bits of 2^23 */
#define WORDS_SHIFT 0x1p23f
#define LOG_INVERSES sw_log_inverses_f32
#define LOG_HEADS sw_log_heads_f32
#define LOG_TAILS sw_log_tails_f32
#define LN2_HEAD 0x1.62e4p-1f
#define LN2_TAIL 0x1.7f7ep-20f
#define LOG2E_HEAD 0x1.715476p+0f
#define LOG2E_TAIL (0x1.4ae0cp-26f)
#define LOG10E_HEAD 0x1.bcb7b2p-2f
#define LOG10E_TAIL (-0x1.5b235ep-27f)
#else
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define SIGN_BIT 0x8000000000000000u
#define LEAST_NORMAL 0x1p-1022
#define SUBNORMAL_SCALE 0x1p64
#define SUBNORMAL_SHIFT 64
#define POSITIVE_INFINITY __builtin_inf()
#define QUIET_NAN __builtin_nan("")
#define QUOTIENT_MOST 0x1p50
#define FLOOR_DIVIDE_ONE sw_floor_divide_f64
#define REMAINDER_ONE sw_remainder_f64

#define EXP_MOST 710.0
#define EXP_LEAST (-746.0)
#define EXP_INVERSE 0x1.71547652b82fep4
#define EXP_STEP 0x1.62e42fefa39efp-5
#define EXP_STEP_TAIL 0x1.abc9e3b39803fp-60
#define EXP_BIAS 2048
#define EXP_SHIFT (0x1.8p52 + 16 * EXP_BIAS)
#define EXP_MASK 0xffffu
#define EXP_HEADS sw_exp_heads_f64
#define EXP_TAILS sw_exp_tails_f64

#define EXPM1_MOST 60.0
#define TANH_MOST 22.0

#define LOG_FROM 0x3fe6555555555555u
#define WORDS_TOP 0x4330000000000000u
#define WORDS_SHIFT 0x1p52
#define LOG_INVERSES sw_log_inverses_f64
#define LOG_HEADS sw_log_heads_f64
#define LOG_TAILS sw_log_tails_f64
#define LN2_HEAD 0x1.62e42fefa38p-1
#define LN2_TAIL 0x1.ef35793c768p-45
#define LOG2E_HEAD 0x1.71547652b82fep+0
#define LOG2E_TAIL (0x1.777d0ffda0d24p-56)
#define LOG10E_HEAD 0x1.bcb7b1526e50ep-2
#define LOG10E_TAIL (0x1.95355baaafad3p-57)
#endif

/* value * 2^(n / 16), rounded once; `bits` are those of n + EXP_SHIFT. */
#ifndef LANES_SCALE
LANES_INLINE lanes LANES_SCALE(lanes value, lanes n, words bits) {
    words power = (bits & words_set(EXP_MASK)) >> 4; /* biased by EXP_BIAS */
    words half = power >> 1, rest = power - half;
    words bias = words_set((word)EXPONENT_BIAS - EXP_BIAS / 2);
    lanes first = lanes_of((half + bias) << MANTISSA_BITS), second = lanes_of((rest + bias) << MANTISSA_BITS);
    return value * first * second; /* the first product is exact */
}
#endif

/* exp(r) - 1 for |r| <= ln2/32. */
LANES_INLINE lanes expm1_small(lanes r) {
#if LANES_F32
    lanes sum = lanes_fma(lanes_set(0x1.55576cp-3f), r, lanes_set(0x1.00022ap-1f));
#else
    lanes sum = lanes_fma(lanes_set(0x1.6c18660c9247cp-10), r, lanes_set(0x1.111240ab7acc1p-7));
    sum = lanes_fma(sum, r, lanes_set(0x1.5555555454e51p-5));
    sum = lanes_fma(sum, r, lanes_set(0x1.55555554877e3p-3));
    sum = lanes_fma(sum, r, lanes_set(0x1.0000000000005p-1));
#endif
    return lanes_fma(r * r, sum, r);
}

LANES_INLINE lanes lanes_exp(lanes x) {
    x = lanes_min(lanes_set(EXP_MOST), lanes_max(lanes_set(EXP_LEAST), x)); /* NaN stays */
    lanes shifted = lanes_fma(x, lanes_set(EXP_INVERSE), lanes_set(EXP_SHIFT));
    lanes n = shifted - lanes_set(EXP_SHIFT);
    lanes r = lanes_fma(n, lanes_set(-EXP_STEP), x);
    r = lanes_fma(n, lanes_set(-EXP_STEP_TAIL), r);
    words bits = words_of(shifted);
    lanes head = lanes_lookup(EXP_HEADS, bits), tail = lanes_lookup(EXP_TAILS, bits);
    return LANES_SCALE(head + lanes_fma(head, expm1_small(r), tail), n, bits);
}

/* As expm1_small, to full relative precision. */
LANES_INLINE lanes expm1_precise(lanes r) {
#if LANES_F32
    lanes sum = lanes_fma(lanes_set(0x1.55574ep-5f), r, lanes_set(0x1.55571p-3f));
    sum = lanes_fma(sum, r, lanes_set(0x1.p-1f));
#else
    lanes sum = lanes_fma(lanes_set(0x1.a01b902904df3p-13), r, lanes_set(0x1.6c182642b8d8dp-10));
    sum = lanes_fma(sum, r, lanes_set(0x1.111111108aa03p-7));
    sum = lanes_fma(sum, r, lanes_set(0x1.55555554a67d3p-5));
    sum = lanes_fma(sum, r, lanes_set(0x1.5555555555559p-3));
    sum = lanes_fma(sum, r, lanes_set(0x1.0000000000003p-1));
#endif
    return lanes_fma(r * r, sum, r);
}

/* 2^k * (head - 2^-k + head * expm1(r) + tail), the difference held in two parts. Beyond EXPM1_MOST the 1 does not matter. */
LANES_INLINE lanes lanes_expm1(lanes x) {
    lanes clipped = lanes_min(lanes_set(EXPM1_MOST), lanes_max(lanes_set(-EXPM1_MOST), x));
    lanes shifted = lanes_fma(clipped, lanes_set(EXP_INVERSE), lanes_set(EXP_SHIFT));
    lanes n = shifted - lanes_set(EXP_SHIFT);
    lanes r = lanes_fma(n, lanes_set(-EXP_STEP), clipped);
    r = lanes_fma(n, lanes_set(-EXP_STEP_TAIL), r);
    words bits = words_of(shifted);
    lanes scale = LANES_SCALE(lanes_set(1), n, bits);
    lanes head = lanes_lookup(EXP_HEADS, bits) * scale, tail = lanes_lookup(EXP_TAILS, bits) * scale;
    lanes high = head - lanes_set(1), back = high - head;
    lanes low = (head - (high - back)) - (lanes_set(1) + back); /* high + low == head - 1 */
    lanes value = high + (lanes_fma(head, expm1_precise(r), tail) + low);
    value = lanes_pick(lanes_less(lanes_set(EXPM1_MOST), x), lanes_exp(x), value);
    return lanes_pick(lanes_equal(x, lanes_set(0)), x, value); /* -0 */
}

/* Odd; of t = expm1(2 |x|) it is t / (t + 2). */
LANES_INLINE lanes lanes_tanh(lanes x) {
    lanes size = lanes_min(lanes_set(TANH_MOST), lanes_abs(x)), t = lanes_expm1(size + size);
    lanes value = t / (t + lanes_set(2));
    words bit = words_set(SIGN_BIT);
    return lanes_of((words_of(value) & ~bit) | (words_of(x) & bit));
}

/* (log1p(r) - r) / r^2 for |r| < 0.036. */
LANES_INLINE lanes log1p_small(lanes r) {
#if LANES_F32
    lanes sum = lanes_fma(lanes_set(0x1.9b5f56p-3f), r, lanes_set(-0x1.003c4p-2f));
    sum = lanes_fma(sum, r, lanes_set(0x1.55551cp-2f));
    return lanes_fma(sum, r, lanes_set(-0x1.fffffcp-2f));
#else
    lanes square = r * r;
    lanes low = lanes_fma(lanes_set(0x1.5555555555492p-2), r, lanes_set(-0.5));
    lanes high = lanes_fma(lanes_set(0x1.9999999cd5a34p-3), r, lanes_set(-0x1.fffffffffddacp-3));
    lanes middle = lanes_fma(lanes_set(0x1.24922766b2e6bp-3), r, lanes_set(-0x1.55555574e7120p-3));
    lanes top = lanes_fma(lanes_set(0x1.c82cb004ca84ap-4), r, lanes_set(-0x1.fffec35ef3ce3p-4));
    top = lanes_fma(lanes_set(-0x1.9bf883cbedf4cp-4), square, top);
    high = lanes_fma(lanes_fma(top, square, middle), square, high);
    return lanes_fma(high, square, low);
#endif
}

#ifndef LANES_FROM_WORDS
/* Of small integers. */
LANES_INLINE lanes LANES_FROM_WORDS(words value) {
    return lanes_of(value | words_set(WORDS_TOP)) - lanes_set(WORDS_SHIFT);
}
#endif

/* head + tail, |tail| much smaller. */
struct pair {
    lanes head, tail;
};

/* `moved` is what log_moved gives, k the exponent, biased. */
LANES_INLINE struct pair log_of(words moved, lanes k) {
    lanes z = lanes_of((moved & words_set(((word)1 << MANTISSA_BITS) - 1)) + words_set(LOG_FROM));
    words index = moved >> (MANTISSA_BITS - 4);
    lanes r = lanes_fma(z, lanes_lookup(LOG_INVERSES, index), lanes_set(-1));       /* exact where |r| < 1/32 */
    lanes high = lanes_fma(k, lanes_set(LN2_HEAD), lanes_lookup(LOG_HEADS, index)); /* exact */
    lanes low = lanes_fma(k, lanes_set(LN2_TAIL), lanes_lookup(LOG_TAILS, index));
    lanes sum = high + r, rest = (high - sum) + r; /* sum + rest == high + r */
    return (struct pair){sum, lanes_fma(r * r, log1p_small(r), rest + low)};
}

/* log(x + more * 2^k), k the exponent that x has, |more| at most half a unit of z's last place, or x is 1. */
LANES_INLINE lanes log_of_sum(words moved, lanes k, lanes more) {
    lanes z = lanes_of((moved & words_set(((word)1 << MANTISSA_BITS) - 1)) + words_set(LOG_FROM));
    words index = moved >> (MANTISSA_BITS - 4);
    lanes inverse = lanes_lookup(LOG_INVERSES, index);
    lanes most = lanes_fma(z, inverse, lanes_set(-1)), least = more * inverse;
    lanes r = most + least, lost = (most - r) + least;
    lanes high = lanes_fma(k, lanes_set(LN2_HEAD), lanes_lookup(LOG_HEADS, index));
    lanes low = lanes_fma(k, lanes_set(LN2_TAIL), lanes_lookup(LOG_TAILS, index));
    lanes sum = high + r, rest = ((high - sum) + r) + lost;
    return sum + lanes_fma(r * r, log1p_small(r), rest + low);
}

/* The bits of x with those of 1 in the place of LOG_FROM's. */
LANES_INLINE words log_moved(lanes x) {
    return words_of(x) + words_set(((word)EXPONENT_BIAS << MANTISSA_BITS) - LOG_FROM);
}

enum log_base { BASE_E, BASE_2, BASE_10 };

/* The quotient by the base's logarithm, to more than the bits of the result: powers of the base come out exact. */
LANES_INLINE lanes log_in(struct pair log, enum log_base base) {
    if (base == BASE_E) {
        return log.head + log.tail;
    }
    lanes factor = lanes_set(base == BASE_2 ? LOG2E_HEAD : LOG10E_HEAD);
    lanes product = log.head * factor, rest = lanes_fma(log.head, factor, -product);
    rest = lanes_fma(log.head, lanes_set(base == BASE_2 ? LOG2E_TAIL : LOG10E_TAIL), rest);
    return product + lanes_fma(log.tail, factor, rest);
}

/* Of any x. */
LANES_INLINE lanes log_unusual(lanes x, enum log_base base) {
    mask is_tiny = lanes_less(x, lanes_set(LEAST_NORMAL));
    words moved = log_moved(lanes_pick(is_tiny, x * lanes_set(SUBNORMAL_SCALE), x));
    lanes k = LANES_FROM_WORDS(moved >> MANTISSA_BITS) - lanes_keep(is_tiny, lanes_set(SUBNORMAL_SHIFT));
    lanes value = log_in(log_of(moved, k), base);
    value = lanes_pick(lanes_less(x, lanes_set(POSITIVE_INFINITY)), value, x); /* infinity, NaN */
    value = lanes_pick(lanes_equal(x, lanes_set(0)), lanes_set(-POSITIVE_INFINITY), value);
    return lanes_pick(lanes_less(x, lanes_set(0)), lanes_set(QUIET_NAN), value);
}

/* The unusual is inline too: a call would keep the constants from staying in registers. */
LANES_INLINE lanes lanes_log(lanes x, enum log_base base) {
    if (__builtin_expect(!lanes_all_positive_normal(x), 0)) {
        return log_unusual(x, base);
    }
    words moved = log_moved(x);
    return log_in(log_of(moved, LANES_FROM_WORDS(moved >> MANTISSA_BITS)), base);
}

/* Of any x: 1 + x as a rounded sum and what the rounding lost. */
LANES_INLINE lanes lanes_log1p(lanes x) {
    lanes one = lanes_set(1), sum = one + x, back = sum - one;
    lanes lost = (one - (sum - back)) + (x - back);
    words moved = log_moved(sum), exponent = moved >> MANTISSA_BITS;
    words scale = words_set((word)EXPONENT_BIAS << (MANTISSA_BITS + 1)) - (exponent << MANTISSA_BITS); /* 2^-k */
    lanes value = log_of_sum(moved, LANES_FROM_WORDS(exponent), lost * lanes_of(scale));
    value = lanes_pick(lanes_less(x, lanes_set(POSITIVE_INFINITY)), value, x); /* infinity, NaN */
    value = lanes_pick(lanes_equal(x, lanes_set(0)), x, value);                /* -0 */
    value = lanes_pick(lanes_equal(x, lanes_set(-1)), lanes_set(-POSITIVE_INFINITY), value);
    return lanes_pick(lanes_less(x, lanes_set(-1)), lanes_set(QUIET_NAN), value);
}

LANES_INLINE lanes lanes_with_sign(lanes value, lanes sign) {
    words bit = words_set(SIGN_BIT);
    return lanes_of((words_of(value) & ~bit) | (words_of(sign) & bit));
}

/* a // b and a % b as NumPy has them. */
LANES_TARGET static __attribute__((noinline)) lanes divide_unusual(lanes a, lanes b, bool is_remainder) {
    real x[LANES_COUNT], y[LANES_COUNT];
    lanes_store(x, a);
    lanes_store(y, b);
    for (unsigned i = 0; i < LANES_COUNT; i++) {
        x[i] = is_remainder ? REMAINDER_ONE(x[i], y[i]) : FLOOR_DIVIDE_ONE(x[i], y[i]);
    }
    return lanes_load(x);
}

/* Below QUOTIENT_MOST floor(a / b) is the quotient or, where the division rounded up to an integer, one too large; then
 * a - quotient * b, which is exact, has the other sign than b. */
LANES_INLINE lanes divide_floor(lanes a, lanes b, bool is_remainder) {
    lanes ratio = a / b, quotient = lanes_floor(ratio);
    mask is_usual = mask_and(lanes_less(lanes_abs(ratio), lanes_set(QUOTIENT_MOST)),
                             lanes_less(lanes_abs(b), lanes_set(POSITIVE_INFINITY)));
    if (__builtin_expect(!mask_all(is_usual), 0)) {
        return divide_unusual(a, b, is_remainder);
    }
    lanes rest = lanes_fma(-quotient, b, a);
    mask is_over = lanes_less(rest * lanes_with_sign(lanes_set(1), b), lanes_set(0));
    if (is_remainder) {
        rest = lanes_pick(is_over, rest + b, rest);
        return lanes_pick(lanes_equal(rest, lanes_set(0)), lanes_with_sign(lanes_set(0), b), rest);
    }
    quotient = lanes_pick(is_over, quotient - lanes_set(1), quotient);
    return lanes_pick(lanes_equal(quotient, lanes_set(0)), lanes_with_sign(lanes_set(0), ratio), quotient);
}

#endif
