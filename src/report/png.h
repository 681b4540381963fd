/* png.h - Writes pictures as PNG (RGB or RGBA, 8 bits a channel) from top to bottom, compressed on several threads.
 *
 * The rows of a call are cut into strips of about 256 KiB which are filtered and compressed apart; their deflate streams
 * are joined to the one that PNG wants. Strips lie where the rows lie, so the same calls give the same bytes on any number
 * of threads. One thread owns a writer.
 */
#ifndef SW_REPORT_PNG_H
#define SW_REPORT_PNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/parallel.h"
#include "base/status.h"
#include "base/str.h"

#define SW_PNG_SIDE_MAX 1000000u

struct sw_png;

/* Takes the file's bytes in order; what it returns ends the writing. */
typedef enum sw_status (*sw_png_write)(void *context, struct sw_str bytes, struct sw_error *err);

struct sw_png_options {
    uint32_t width, height; /* 1 to SW_PNG_SIDE_MAX */
    bool has_alpha;         /* four bytes a pixel, else three */
    int level;              /* of compression, 1 to 12; 0: 6 */
    struct sw_str comment;  /* kept in the picture as its "Comment", Latin-1; empty: none */
    sw_png_write write;
    void *context;
};

struct sw_png_facts {
    int64_t encode_ns, write_ns; /* so far: filtering and compressing; inside `write` */
    uint64_t file_bytes;
};

/* Begins the file. SW_INVALID when a size is out of bounds. */
SW_MUST_USE enum sw_status sw_png_open(struct sw_png **png, const struct sw_png_options *options, struct sw_error *err);
/* The next `count` rows, without gaps between them. SW_INVALID beyond the picture's height. */
SW_MUST_USE enum sw_status sw_png_rows(struct sw_png *png, const uint8_t *pixels, uint32_t count,
                                       struct sw_parallel *parallel, struct sw_error *err);
/* Ends the file. SW_INVALID when rows are missing. */
SW_MUST_USE enum sw_status sw_png_finish(struct sw_png *png, struct sw_error *err);
void sw_png_facts(const struct sw_png *png, struct sw_png_facts *facts);
void sw_png_close(struct sw_png *png); /* NULL is fine */

#endif
