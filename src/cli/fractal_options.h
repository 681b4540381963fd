/* fractal_options.h - What `sidewinder fractal` was asked for. */
#ifndef SW_CLI_FRACTAL_OPTIONS_H
#define SW_CLI_FRACTAL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/fractal_palette.h"
#include "cli/fractal_view.h"
#include "cli/options.h"

#define SW_FRACTAL_COUNTS_MAX 16 /* worker counts in one benchmark */
#define SW_FRACTAL_WORKERS_MAX 256
#define SW_FRACTAL_ROUNDS_MAX 1000

enum sw_fractal_engine { SW_ENGINE_C, SW_ENGINE_PYTHON, SW_ENGINE_NUMPY, SW_ENGINE_COUNT };

struct sw_fractal_request {
    struct sw_fractal_view view;
    const struct sw_palette_plan *palette;
    uint32_t inside; /* 0xRRGGBB */
    unsigned workers[SW_FRACTAL_COUNTS_MAX];
    unsigned worker_count; /* of `workers`; at least 1 */
    enum sw_fractal_engine engines[SW_ENGINE_COUNT];
    unsigned engine_count;                        /* at least 1 */
    const char *python, *output, *chart, *listen; /* NULL: not given */
    unsigned rounds;
    bool is_benchmark, is_serving, is_json, is_quiet, has_rounds, wants_help;
    bool has_view;            /* an option says what to see */
    const char *picture_only; /* the name of an option that was given and that a page cannot follow; NULL: none */
};

extern const struct sw_option sw_fractal_options[];

/* SW_INVALID names what does not fit together. `words` must outlive the request. */
SW_MUST_USE enum sw_status sw_fractal_parse(struct sw_fractal_request *request, char **words, struct sw_error *err);
const char *sw_fractal_engine_name(enum sw_fractal_engine engine);

#endif
