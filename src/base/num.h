/* num.h - Decimal text to numbers and back, exact and fast.
 *
 * Parsing is correctly rounded (Clinger's fast path, then Eisel-Lemire, then a big-integer fallback); formatting is the
 * shortest text that reads back as the same double (Schubfach). Both use one table of 128-bit powers of ten.
 */
#ifndef SW_BASE_NUM_H
#define SW_BASE_NUM_H

#include <stddef.h>
#include <stdint.h>

#define SW_NUM_F64_MAX 32 /* bytes sw_num_format_f64 may write */
#define SW_NUM_I64_MAX 20

/* Reads a number in the grammar -?digits[.digits][(e|E)[+-]digits] (also ".5" and "5.") from [ptr, end). Returns the
 * first byte after it, or NULL where none starts. Overflow gives +-infinity, underflow +-0. Never reads at or past `end`. */
const char *sw_num_parse_f64(const char *ptr, const char *end, double *value);
/* -?digits; NULL where none starts or it does not fit. */
const char *sw_num_parse_i64(const char *ptr, const char *end, int64_t *value);

/* Return the bytes written; no NUL. Doubles: integral values below 2^53 print as integers ("4100"), others as
 * "0.1", "1e-07", "1.5e+300"; NaN and infinities as "null" (JSON has no other word). */
size_t sw_num_format_f64(double value, char *out);
size_t sw_num_format_i64(int64_t value, char *out);
size_t sw_num_format_u64(uint64_t value, char *out);

#endif
