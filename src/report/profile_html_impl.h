/* profile_html_impl.h - The page of a flame graph and its tables, of a profile or of the difference between two. */
#ifndef SW_REPORT_PROFILE_HTML_IMPL_H
#define SW_REPORT_PROFILE_HTML_IMPL_H

#include "report/profile_flame_impl.h"

SW_MUST_USE enum sw_status sw_profile_page_write(const struct sw_profile_flame *flame, struct sw_buf *out);

#endif
