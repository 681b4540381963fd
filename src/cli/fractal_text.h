/* fractal_text.h - Times, amounts and shares as people read them. */
#ifndef SW_CLI_FRACTAL_TEXT_H
#define SW_CLI_FRACTAL_TEXT_H

/* "412 us", "38.2 ms", "1.31 s", "2 min 5 s"; "-" for NAN. */
const char *sw_fractal_time_text(double ns, char out[24]);
/* "950", "14.2 M", "6.83 G"; "-" for NAN. */
const char *sw_fractal_amount_text(double amount, char out[24]);
/* "97.1 %"; "-" for NAN. */
const char *sw_fractal_share_text(double share, char out[24]);

#endif
