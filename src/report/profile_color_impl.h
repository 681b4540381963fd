/* profile_color_impl.h - The colours of frames: a family of hues for where code comes from, a hue for each file. */
#ifndef SW_REPORT_PROFILE_COLOR_IMPL_H
#define SW_REPORT_PROFILE_COLOR_IMPL_H

#include "report/profile.h"

enum sw_profile_origin {
    SW_PROFILE_ORIGIN_APP,
    SW_PROFILE_ORIGIN_PACKAGE, /* site-packages, dist-packages */
    SW_PROFILE_ORIGIN_STDLIB,
    SW_PROFILE_ORIGIN_NATIVE,
    SW_PROFILE_ORIGIN_MARK,
};
#define SW_PROFILE_ORIGINS 5u

enum sw_profile_origin sw_profile_origin(const struct sw_profile_frame *frame);
const char *sw_profile_origin_text(enum sw_profile_origin origin);
uint32_t sw_profile_origin_color(enum sw_profile_origin origin); /* 0xRRGGBB, as the rest; for legends */
uint32_t sw_profile_frame_color(const struct sw_profile_frame *frame);
/* From -1 (shrinks, blue) over 0 (grey) to 1 (grows, red). */
uint32_t sw_profile_change_color(double change);

#endif
