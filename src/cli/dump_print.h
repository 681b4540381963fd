/* dump_print.h - A dump as text for people and as JSON for programs. */
#ifndef SW_CLI_DUMP_PRINT_H
#define SW_CLI_DUMP_PRINT_H

#include "base/buf.h"
#include "probe/dump.h"

struct dump_print {
    struct sw_dump *dump;
    bool has_locals;
    struct sw_buf *out;
};

SW_MUST_USE enum sw_status dump_print_text(const struct dump_print *print);
SW_MUST_USE enum sw_status dump_print_json(const struct dump_print *print); /* docs/dump-json.md */

/* Whether all waits of a cycle of threads are certain. */
bool dump_is_certain(const struct sw_dump *dump, size_t cycle);

#endif
