/* vecmath_tables_impl.h - The tables of exp and log; vecmath_impl.h says how they are used. */
#ifndef SW_KERNELS_VECMATH_TABLES_IMPL_H
#define SW_KERNELS_VECMATH_TABLES_IMPL_H

#define SW_VECMATH_TABLE 16

/* 2^(i/16) as heads[i] + tails[i]. */
extern const double sw_exp_heads_f64[SW_VECMATH_TABLE], sw_exp_tails_f64[SW_VECMATH_TABLE];
extern const float sw_exp_heads_f32[SW_VECMATH_TABLE], sw_exp_tails_f32[SW_VECMATH_TABLE];

/* A number of few bits near the inverse of the middle of the i-th interval, and minus its logarithm as heads[i] + tails[i]. */
extern const double sw_log_inverses_f64[SW_VECMATH_TABLE];
extern const float sw_log_inverses_f32[SW_VECMATH_TABLE];
extern const double sw_log_heads_f64[SW_VECMATH_TABLE], sw_log_tails_f64[SW_VECMATH_TABLE];
extern const float sw_log_heads_f32[SW_VECMATH_TABLE], sw_log_tails_f32[SW_VECMATH_TABLE];

#endif
