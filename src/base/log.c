/* log.c - Formats log lines and hands them to the one sink. */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#define LINE_MAX_BYTES 1024

static struct {
    sw_log_sink sink;
    void *context;
    enum sw_log_level least;
} logger;

void sw_log_set(sw_log_sink sink, void *context, enum sw_log_level least) {
    logger.sink = sink;
    logger.context = context;
    logger.least = least;
}

void sw_log(enum sw_log_level level, const char *format, ...) {
    if (!logger.sink || level < logger.least) {
        return;
    }
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int printed = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (printed < 0) {
        return;
    }
    /* What strangers put into names must not forge further lines. */
    for (char *at = line; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = ' ';
        }
    }
    logger.sink(logger.context, level, line);
}

const char *sw_log_level_name(enum sw_log_level level) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return names[level];
}
