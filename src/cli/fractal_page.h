/* fractal_page.h - The page of `sidewinder fractal --serve` as one HTML file, embedded by the build (tools/embed). */
#ifndef SW_CLI_FRACTAL_PAGE_H
#define SW_CLI_FRACTAL_PAGE_H

#include "base/str.h"

/* Text that lives as long as the program. A build without Node carries a page that says so. */
extern const struct sw_str sw_fractal_page;
extern const struct sw_str sw_fractal_page_gzip;

#endif
