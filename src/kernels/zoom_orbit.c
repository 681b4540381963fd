/* zoom_orbit.c - The orbit of the centre of a deep zoom, in fixed point with GMP. */
#include <gmp.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/zoom_impl.h"

/* A number is `limbs` limbs in two's complement, the highest of them before the point: |z| <= 2, and of |re| + |im| the
 * square is 8. */
_Static_assert(GMP_NUMB_BITS == 64 && sizeof(mp_limb_t) == 8, "limbs of 64 bits without nails");

#define LIMBS_MOST 32           /* pixel 1e-305 asks for 18 */
#define PRECISION_MARGIN 64     /* bits below a pixel; what is lost in an iteration grows no faster than a pixel does */
#define CENTRE_MOST 1000        /* farther away all points leave at once */
#define EXPONENT_MOST 100000    /* of a decimal number */
#define SHOWN_MOST 60           /* bytes of a wrong number in its message */
#define CANCEL_EVERY 2048u      /* iterations: a few ms at most */
#define ORBIT_FIRST 1024u       /* points */
#define TIP_NEAR 1e-9           /* from c = -2, where the orbit is on the circle |z| = 2 itself */
#define PERIOD_SHARE (1.0 / 16) /* of what a pixel has grown to: less than this from 0 is 0 */
#define PERIOD_GROWN 1e-3       /* a pixel that has grown so far no longer tells */

struct fixed {
    mp_limb_t limb[LIMBS_MOST];
};

/* Where the orbit stands. */
struct walk {
    mp_size_t limbs;
    struct fixed c_re, c_im, re, im;
    double slope_re, slope_im; /* dZ/dc */
};

static bool fixed_is_negative(const struct fixed *value, mp_size_t limbs) {
    return value->limb[limbs - 1] >> 63;
}

static void fixed_square(struct fixed *square, const struct fixed *value, mp_size_t limbs) {
    mp_limb_t product[2 * LIMBS_MOST];
    struct fixed negated;
    if (fixed_is_negative(value, limbs)) {
        mpn_neg(negated.limb, value->limb, limbs);
        value = &negated;
    }
    mpn_sqr(product, value->limb, limbs);
    mpn_copyi(square->limb, product + limbs - 1, limbs);
}

static double fixed_to_double(const struct fixed *value, mp_size_t limbs) {
    struct fixed negated;
    bool is_negative = fixed_is_negative(value, limbs);
    if (is_negative) {
        mpn_neg(negated.limb, value->limb, limbs);
        value = &negated;
    }
    mp_size_t top = limbs - 1;
    while (top > 0 && value->limb[top] == 0) {
        top--;
    }
    uint64_t high = value->limb[top], low = top > 0 ? value->limb[top - 1] : 0;
    if (high == 0) {
        return 0;
    }
    int shift = __builtin_clzll(high);
    if (shift > 0) {
        high = high << shift | low >> (64 - shift);
    }
    double size = ldexp((double)high, (int)(64 * (top - limbs + 1)) - shift);
    return is_negative ? -size : size;
}

/* z <- z^2 + c by three squares. */
static void walk_step(struct walk *walk) {
    mp_size_t limbs = walk->limbs;
    struct fixed sum, re_square, im_square;
    mpn_add_n(sum.limb, walk->re.limb, walk->im.limb, limbs);
    fixed_square(&re_square, &walk->re, limbs);
    fixed_square(&im_square, &walk->im, limbs);
    fixed_square(&walk->im, &sum, limbs);
    mpn_sub_n(walk->re.limb, re_square.limb, im_square.limb, limbs);
    mpn_add_n(walk->re.limb, walk->re.limb, walk->c_re.limb, limbs);
    mpn_sub_n(walk->im.limb, walk->im.limb, re_square.limb, limbs);
    mpn_sub_n(walk->im.limb, walk->im.limb, im_square.limb, limbs);
    mpn_add_n(walk->im.limb, walk->im.limb, walk->c_im.limb, limbs);
}

/* |z|^2 - 4: near the circle the double z itself does not tell. */
static double walk_excess(const struct walk *walk) {
    struct fixed re_square, im_square;
    fixed_square(&re_square, &walk->re, walk->limbs);
    fixed_square(&im_square, &walk->im, walk->limbs);
    mpn_add_n(re_square.limb, re_square.limb, im_square.limb, walk->limbs);
    re_square.limb[walk->limbs - 1] -= 4;
    return fixed_to_double(&re_square, walk->limbs);
}

/* The digits of `text` without sign and point, terminated, into `digits`; *exponent is the power of ten they count.
 * False where it is no number. */
static bool digits_read(struct sw_str text, char *digits, int64_t *exponent) {
    size_t at = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+') ? 1 : 0, count = 0;
    bool has_point = false;
    *exponent = 0;
    for (; at < text.len && (text.ptr[at] == '.' || (text.ptr[at] >= '0' && text.ptr[at] <= '9')); at++) {
        if (text.ptr[at] != '.') {
            digits[count++] = text.ptr[at];
            *exponent -= has_point;
        } else if (has_point) {
            return false;
        } else {
            has_point = true;
        }
    }
    digits[count] = '\0';
    if (count == 0 || at == text.len) {
        return count > 0;
    }
    if (text.ptr[at] != 'e' && text.ptr[at] != 'E') {
        return false;
    }
    struct sw_str power = sw_str_skip(text, at + 1);
    int64_t written;
    if (power.len > 1 && power.ptr[0] == '+' && power.ptr[1] != '-') {
        power = sw_str_skip(power, 1);
    }
    if (sw_str_to_i64(power, &written) || written > EXPONENT_MOST || written < -EXPONENT_MOST) {
        return false;
    }
    *exponent += written;
    return true;
}

/* value * 2^bits, cut off, of digits * 10^exponent. */
static void scaled_make(mpz_t scaled, const char *digits, int64_t exponent, mp_bitcnt_t bits) {
    mpz_t power;
    mpz_init(power);
    mpz_set_str(scaled, digits, 10);
    mpz_mul_2exp(scaled, scaled, bits);
    mpz_ui_pow_ui(power, 10, (unsigned long)(exponent < 0 ? -exponent : exponent));
    if (exponent < 0) {
        mpz_tdiv_q(scaled, scaled, power);
    } else {
        mpz_mul(scaled, scaled, power);
    }
    mpz_clear(power);
}

static void fixed_from(struct fixed *value, const mpz_t scaled, bool is_negative, mp_size_t limbs) {
    memset(value, 0, sizeof(*value));
    mpn_copyi(value->limb, mpz_limbs_read(scaled), (mp_size_t)mpz_size(scaled));
    if (is_negative) {
        mpn_neg(value->limb, value->limb, limbs);
    }
}

static enum sw_status fixed_parse(struct fixed *value, mp_size_t limbs, struct sw_str text, const char *option,
                                  struct sw_error *err) {
    int shown = (int)(text.len < SHOWN_MOST ? text.len : SHOWN_MOST);
    const char *more = text.len > SHOWN_MOST ? "..." : "";
    mp_bitcnt_t bits = 64 * (mp_bitcnt_t)(limbs - 1);
    int64_t exponent;
    mpz_t scaled;
    char *digits = sw_alloc(text.len + 1);
    if (!digits) {
        return sw_fail(err, SW_NOMEM, "out of memory for %s of %zu digits", option, text.len);
    }
    if (!digits_read(text, digits, &exponent)) {
        sw_free(digits);
        return sw_fail(err, SW_INVALID, "%s is not a number: \"%.*s%s\"; write it as -1.7499984109937", option, shown,
                       text.ptr ? text.ptr : "", more);
    }
    mpz_init(scaled);
    scaled_make(scaled, digits, exponent, bits);
    bool is_near = mpz_sizeinbase(scaled, 2) <= bits + 20;
    if (is_near) {
        fixed_from(value, scaled, text.ptr[0] == '-', limbs);
        is_near = fabs(fixed_to_double(value, limbs)) <= CENTRE_MOST;
    }
    mpz_clear(scaled);
    sw_free(digits);
    return is_near ? SW_OK
                   : sw_fail(err, SW_INVALID, "%s is %.*s%s, not within -%d ... %d", option, shown, text.ptr, more,
                             CENTRE_MOST, CENTRE_MOST);
}

static mp_size_t limbs_for(double pixel) {
    int exponent;
    frexp(pixel, &exponent);
    int bits = (exponent < 0 ? -exponent : 0) + 1 + PRECISION_MARGIN;
    return (bits + 63) / 64 + 1;
}

static enum sw_status orbit_grow(struct sw_zoom_orbit *orbit, size_t *room, bool has_excess, struct sw_error *err) {
    size_t more = *room ? *room * 2 : ORBIT_FIRST;
    if (*room >= SW_ZOOM_ORBIT_MOST) {
        return sw_fail(err, SW_LIMIT, "the orbit of the centre has more than %u points; ask for fewer iterations",
                       SW_ZOOM_ORBIT_MOST);
    }
    void *z = sw_realloc_array(orbit->z, more, sizeof(*orbit->z));
    orbit->z = z ? z : orbit->z;
    void *excess = z && has_excess ? sw_realloc_array(orbit->excess, more, sizeof(*orbit->excess)) : NULL;
    orbit->excess = excess ? excess : orbit->excess;
    if (!z || (has_excess && !excess)) {
        return sw_fail(err, SW_NOMEM, "out of memory for an orbit of %zu points", more);
    }
    *room = more;
    return SW_OK;
}

/* Is Z 0 but for an error of the centre that is no more than a share of a pixel? Then the orbit repeats: the centre is
 * the middle of a copy of the set, and a return to the start loses nothing. */
static bool walk_is_closed(const struct walk *walk, struct sw_zoom_complex z, double pixel) {
    double grown = hypot(walk->slope_re, walk->slope_im) * pixel;
    return grown < PERIOD_GROWN && fmax(fabs(z.re), fabs(z.im)) <= grown * PERIOD_SHARE;
}

static void walk_grow_slope(struct walk *walk, struct sw_zoom_complex z) {
    double re = 2 * (z.re * walk->slope_re - z.im * walk->slope_im) + 1;
    walk->slope_im = 2 * (z.re * walk->slope_im + z.im * walk->slope_re);
    walk->slope_re = re;
}

static enum sw_status orbit_walk(const struct sw_zoom_options *options, struct walk *walk, struct sw_zoom_orbit *orbit,
                                 struct sw_error *err) {
    struct sw_zoom_complex z = {fixed_to_double(&walk->c_re, walk->limbs), fixed_to_double(&walk->c_im, walk->limbs)};
    bool is_tip = options->radius < TIP_NEAR && fabs(z.re + 2) < TIP_NEAR && fabs(z.im) < TIP_NEAR;
    uint32_t last = options->iterations > 1 ? options->iterations : 1;
    size_t room = 0;
    enum sw_status status = orbit_grow(orbit, &room, is_tip, err);
    if (status) {
        return status;
    }
    memset(orbit->z, 0, (SW_ZOOM_START + 1) * sizeof(*orbit->z));
    if (is_tip) {
        orbit->excess[SW_ZOOM_START] = -4;
    }
    walk->slope_re = 1;
    for (size_t m = 1;; m++) {
        orbit->end = (uint32_t)(m + SW_ZOOM_START);
        if (orbit->end + SW_ZOOM_ROUND >= room && (status = orbit_grow(orbit, &room, is_tip, err)) != SW_OK) {
            return status;
        }
        orbit->z[orbit->end] = z;
        if (is_tip) {
            orbit->excess[orbit->end] = walk_excess(walk);
        }
        bool has_left = z.re * z.re + z.im * z.im > 4 || (is_tip && orbit->excess[orbit->end] > 0);
        if (has_left || m >= last || walk_is_closed(walk, z, options->pixel)) {
            memset(orbit->z + orbit->end + 1, 0, SW_ZOOM_ROUND * sizeof(*orbit->z));
            return SW_OK;
        }
        if (m % CANCEL_EVERY == 0 && options->is_cancelled && options->is_cancelled(options->context)) {
            return sw_fail(err, SW_INTERRUPTED, "the orbit of the centre was cancelled after %zu iterations", m);
        }
        walk_grow_slope(walk, z);
        walk_step(walk);
        z = (struct sw_zoom_complex){fixed_to_double(&walk->re, walk->limbs), fixed_to_double(&walk->im, walk->limbs)};
    }
}

enum sw_status sw_zoom_orbit_make(const struct sw_zoom_options *options, struct sw_zoom_orbit *orbit,
                                  struct sw_error *err) {
    struct walk walk = {.limbs = limbs_for(options->pixel)};
    struct sw_zoom_orbit made = {.bits = (uint32_t)(64 * (walk.limbs - 1))};
    enum sw_status status = fixed_parse(&walk.c_re, walk.limbs, options->center_re, "center_re", err);
    if (!status) {
        status = fixed_parse(&walk.c_im, walk.limbs, options->center_im, "center_im", err);
    }
    if (!status) {
        walk.re = walk.c_re;
        walk.im = walk.c_im;
        status = orbit_walk(options, &walk, &made, err);
    }
    if (status) {
        sw_zoom_orbit_release(&made);
        return status;
    }
    *orbit = made;
    return SW_OK;
}

void sw_zoom_orbit_release(struct sw_zoom_orbit *orbit) {
    sw_free(orbit->z);
    sw_free(orbit->excess);
    *orbit = (struct sw_zoom_orbit){0};
}
