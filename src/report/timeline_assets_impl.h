/* timeline_assets_impl.h - The script and style sheet of timeline pages, embedded by tools/embed. */
#ifndef SW_REPORT_TIMELINE_ASSETS_IMPL_H
#define SW_REPORT_TIMELINE_ASSETS_IMPL_H

#include "base/str.h"

extern const struct sw_str sw_timeline_js;
extern const struct sw_str sw_timeline_css;

#endif
