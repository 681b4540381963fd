/* fractal_report.h - What drawing a picture took, as text and as JSON. */
#ifndef SW_CLI_FRACTAL_REPORT_H
#define SW_CLI_FRACTAL_REPORT_H

#include "base/json.h"
#include "cli/fractal_draw.h"
#include "cli/fractal_options.h"

struct sw_fractal_summary {
    const struct sw_fractal_request *request;
    const struct sw_draw *draw;
    const struct sw_draw_facts *facts;
};

SW_MUST_USE enum sw_status sw_fractal_report_text(const struct sw_fractal_summary *summary, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_fractal_report_json(const struct sw_fractal_summary *summary, struct sw_buf *out);
/* The view's members, within an object. */
void sw_fractal_view_json(const struct sw_fractal_view *view, struct sw_json *json);
/* The command that draws the same picture again. */
SW_MUST_USE enum sw_status sw_fractal_command_text(const struct sw_fractal_request *request, struct sw_buf *out);

#endif
