/* fractal_serve.h - `sidewinder fractal --serve`: the page, and the tiles it asks for. */
#ifndef SW_CLI_FRACTAL_SERVE_H
#define SW_CLI_FRACTAL_SERVE_H

#include "cli/fractal_options.h"

/* Serves until SIGINT or SIGTERM. SW_INVALID: the address is none, or not of the loopback. */
SW_MUST_USE enum sw_status sw_fractal_serve(const struct sw_fractal_request *request, struct sw_error *err);

#endif
