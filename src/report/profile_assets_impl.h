/* profile_assets_impl.h - The scripts and style sheets of flame graphs, embedded by tools/embed. */
#ifndef SW_REPORT_PROFILE_ASSETS_IMPL_H
#define SW_REPORT_PROFILE_ASSETS_IMPL_H

#include "base/str.h"

extern const struct sw_str sw_profile_flame_js;
extern const struct sw_str sw_profile_flame_css;
extern const struct sw_str sw_profile_page_js;
extern const struct sw_str sw_profile_page_css;

#endif
