/* fractal_text.c - Times, amounts and shares as people read them; see fractal_text.h. */
#include "cli/fractal_text.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

/* Three digits, without an exponent. */
static const char *digits_text(double value, const char *unit, char out[24]) {
    snprintf(out, 24, value < 9.995 ? "%.2f %s" : value < 99.95 ? "%.1f %s" : "%.0f %s", value, unit);
    return out;
}

const char *sw_fractal_time_text(double ns, char out[24]) {
    if (isnan(ns))
        snprintf(out, 24, "-");
    else if (ns < 999.5e3)
        return digits_text(ns / 1e3, "us", out);
    else if (ns < 999.5e6)
        return digits_text(ns / 1e6, "ms", out);
    else if (ns < 119.5e9)
        return digits_text(ns / 1e9, "s", out);
    else if (ns < 7199.5e9)
        snprintf(out, 24, "%.0f min %.0f s", floor(round(ns / 1e9) / 60), fmod(round(ns / 1e9), 60));
    else
        snprintf(out, 24, "%.1f h", ns / 3600e9);
    return out;
}

const char *sw_fractal_amount_text(double amount, char out[24]) {
    static const struct {
        double least;
        const char *unit;
    } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    if (isnan(amount)) {
        snprintf(out, 24, "-");
        return out;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (amount >= units[i].least * 0.9995)
            return digits_text(amount / units[i].least, units[i].unit, out);
    snprintf(out, 24, "%.0f", amount);
    return out;
}

const char *sw_fractal_share_text(double share, char out[24]) {
    if (isnan(share))
        snprintf(out, 24, "-");
    else
        snprintf(out, 24, "%.1f %%", 100 * share);
    return out;
}
