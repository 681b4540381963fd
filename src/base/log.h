/* log.h - The library's one voice: it hands lines to a sink and never prints by itself.
 *
 * Without a sink the lines are dropped. Any thread may log; the sink is called under no lock and must be thread-safe.
 */
#ifndef SW_BASE_LOG_H
#define SW_BASE_LOG_H

#include "base/status.h"

enum sw_log_level { SW_LOG_DEBUG, SW_LOG_INFO, SW_LOG_WARN, SW_LOG_ERROR };

typedef void (*sw_log_sink)(void *context, enum sw_log_level level, const char *line);

/* Set before threads start. Lines below `least` are not formatted. */
void sw_log_set(sw_log_sink sink, void *context, enum sw_log_level least);
void sw_log(enum sw_log_level level, const char *format, ...) SW_PRINTF(2, 3);
const char *sw_log_level_name(enum sw_log_level level);

#endif
