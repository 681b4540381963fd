/* profile_diff.h - Two recordings compared: what each function's share of the time was, is, and whether that is
 * chance.
 *
 * Shares are of nanoseconds where both recordings measured them, else of samples. Whether a change is more than chance
 * is asked of the sample counts alone (a two-proportion test): samples that follow each other are not independent, so
 * it is kinder than strict statistics, and of a hundred functions that did not change one is still marked.
 */
#ifndef SW_REPORT_PROFILE_DIFF_H
#define SW_REPORT_PROFILE_DIFF_H

#include "report/profile_format.h"

enum sw_profile_diff_format {
    SW_PROFILE_DIFF_TEXT,
    SW_PROFILE_DIFF_JSON,
    SW_PROFILE_DIFF_SVG,
    SW_PROFILE_DIFF_HTML,
    SW_PROFILE_DIFF_COLLAPSED, /* "stack before after", as difffolded.pl writes */
};

struct sw_profile_diff_options {
    enum sw_profile_diff_format format;
    struct sw_profile_view view;
    size_t top; /* rows of text and json; 0: all */
};

/* A count of `all`, before and after: whether chance alone explains the difference, at 99 % confidence. Where too few
 * samples are expected for the test (below 5 on either side), it is taken for chance. */
bool sw_profile_is_chance(const uint64_t count[2], const uint64_t all[2]);

SW_MUST_USE enum sw_status sw_profile_diff_write(const struct sw_profile *before, const struct sw_profile *after,
                                                 const struct sw_profile_diff_options *options, struct sw_buf *out);

#endif
