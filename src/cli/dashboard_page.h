/* dashboard_page.h - The dashboard as one HTML file, embedded by the build (tools/embed); fields for a struct sw_asset. */
#ifndef SW_CLI_DASHBOARD_PAGE_H
#define SW_CLI_DASHBOARD_PAGE_H

#include "base/str.h"

/* Text that lives as long as the program. A build without Node carries a page that says so and links the API. */
extern const struct sw_str sw_dashboard_page;
extern const struct sw_str sw_dashboard_page_gzip;

#endif
