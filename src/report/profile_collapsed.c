/* profile_collapsed.c - Collapsed stacks, one a line: "frame;frame;... count", written and read. */
#include "base/mem.h"
#include "report/profile_format_impl.h"
#include "report/profile_impl.h"

#define LINE_LIMIT (1u << 24) /* bytes of one stack */

/* Frames are divided by semicolons and stacks by line ends, so neither may be inside of a frame. */
static enum sw_status clean_append(struct sw_str text, struct sw_buf *out) {
    enum sw_status status = sw_buf_reserve(out, text.len);
    for (size_t i = 0; i < text.len && status == SW_OK; i++) {
        char byte = text.ptr[i] == ';' ? ':' : text.ptr[i];
        status = sw_buf_append_byte(out, (unsigned char)byte < ' ' ? ' ' : byte);
    }
    return status;
}

enum sw_status sw_profile_frame_text(const struct sw_profile_frame *frame, struct sw_buf *out) {
    enum sw_status status = clean_append(frame->name.len ? frame->name : SW_STR("?"), out);
    if (status != SW_OK || (frame->file.len == 0 && frame->line == 0))
        return status;
    status = sw_buf_append(out, SW_STR(" ("));
    if (status == SW_OK)
        status = clean_append(frame->file, out);
    if (status == SW_OK && frame->line)
        status = sw_buf_append_format(out, ":%d", frame->line);
    return status == SW_OK ? sw_buf_append_byte(out, ')') : status;
}

static enum sw_status stack_write(const struct sw_profile *profile, const uint32_t *frames, uint32_t depth,
                                  struct sw_buf *out) {
    enum sw_status status = depth ? SW_OK : sw_buf_append(out, SW_STR("<no stack>"));
    for (uint32_t i = 0; i < depth && status == SW_OK; i++) {
        if (i)
            status = sw_buf_append_byte(out, ';');
        if (status == SW_OK)
            status = sw_profile_frame_text(&profile->frames[frames[i]], out);
    }
    return status;
}

/* The stacks of all tracks together, in the order in which they were met. */
enum sw_status sw_profile_write_collapsed(const struct sw_profile *profile, struct sw_buf *out) {
    uint64_t *counts = sw_alloc_array_zero(profile->node_count + 1, sizeof *counts);
    uint32_t *frames = sw_alloc_array((size_t)sw_profile_height(profile) + 1, sizeof *frames);
    enum sw_status status = counts && frames ? SW_OK : SW_NOMEM;
    for (size_t i = 0; i < profile->total_count && status == SW_OK; i++)
        counts[profile->totals[i].node] = sw_profile_sum_u64(counts[profile->totals[i].node], profile->totals[i].count);
    for (size_t i = 0; i < profile->total_count && status == SW_OK; i++) {
        uint32_t node = profile->totals[i].node;
        if (counts[node] == 0)
            continue; /* written already, with another track */
        sw_profile_stack(profile, node, frames);
        status = stack_write(profile, frames, profile->nodes[node].depth, out);
        if (status == SW_OK)
            status = sw_buf_append_format(out, " %llu\n", (unsigned long long)counts[node]);
        counts[node] = 0;
    }
    sw_free(counts);
    sw_free(frames);
    return status;
}

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_heading(struct sw_str name) {
    static const struct sw_str kinds[] = {{"process ", 8}, {"thread ", 7}};
    for (size_t i = 0; i < 2; i++)
        if (sw_str_starts(name, kinds[i]) && name.len > kinds[i].len && is_digit(name.ptr[kinds[i].len]))
            return true;
    return false;
}

/* The format does not say what a frame is. Python files and pseudo files ("<string>") are known by their ends; what
 * has no file is native, or a mark when it is in angle brackets or heads a thread. */
static enum sw_profile_frame_kind kind_guess(const struct sw_profile_frame *frame) {
    static const char *const native[] = {".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".rs", ".S", ".s", ".so"};
    if (frame->file.len == 0)
        return is_heading(frame->name) || (frame->name.len && frame->name.ptr[0] == '<') ? SW_PROFILE_MARK
                                                                                         : SW_PROFILE_NATIVE;
    for (size_t i = 0; i < sizeof native / sizeof native[0]; i++)
        if (sw_str_ends(frame->file, sw_str_from(native[i])))
            return SW_PROFILE_NATIVE;
    if (frame->line || sw_str_ends(frame->file, SW_STR(".py")) || frame->file.ptr[0] == '<')
        return SW_PROFILE_PYTHON;
    return memmem(frame->file.ptr, frame->file.len, ".so.", 4) || !memchr(frame->file.ptr, '.', frame->file.len)
               ? SW_PROFILE_NATIVE
               : SW_PROFILE_PYTHON;
}

/* Where the parenthesis that the last byte closes was opened, or 0. */
static size_t paren_open(struct sw_str text) {
    size_t depth = 0;
    for (size_t i = text.len; i-- > 1;) {
        depth += text.ptr[i] == ')';
        if (text.ptr[i] == '(' && --depth == 0)
            return text.ptr[i - 1] == ' ' ? i : 0;
    }
    return 0;
}

static struct sw_profile_frame frame_parse(struct sw_str text) {
    struct sw_profile_frame frame = {.name = text};
    size_t open = sw_str_ends(text, SW_STR(")")) ? paren_open(text) : 0;
    if (open > 1) {
        frame.name = sw_str_make(text.ptr, open - 1);
        struct sw_str place = sw_str_make(text.ptr + open + 1, text.len - open - 2);
        size_t digits = 0;
        while (digits < place.len && is_digit(place.ptr[place.len - 1 - digits]))
            digits++;
        int64_t line = 0;
        bool has_line = digits > 0 && digits < place.len && place.ptr[place.len - 1 - digits] == ':' &&
                        sw_str_to_i64(sw_str_skip(place, place.len - digits), &line) == SW_OK && line <= INT32_MAX;
        frame.line = has_line ? (int32_t)line : 0;
        frame.file = has_line ? sw_str_make(place.ptr, place.len - digits - 1) : place;
    }
    frame.kind = kind_guess(&frame);
    return frame;
}

static enum sw_status stack_read(struct sw_profile *profile, struct sw_str stack, uint32_t *node) {
    uint32_t at = SW_PROFILE_ROOT;
    enum sw_status status = SW_OK;
    if (sw_str_eq(stack, SW_STR("<no stack>")))
        stack.ptr = NULL;
    while (stack.ptr && status == SW_OK) {
        struct sw_profile_frame frame = frame_parse(sw_str_cut(&stack, ';'));
        uint32_t index;
        status = sw_profile_add_frame(profile, &frame, &index);
        if (status == SW_OK)
            status = sw_profile_add_node(profile, at, index, &at);
    }
    if (status == SW_OK)
        *node = at;
    return status;
}

static enum sw_status line_read(struct sw_profile *profile, struct sw_str line, uint64_t number, struct sw_error *err) {
    size_t space = line.len;
    while (space > 0 && line.ptr[space - 1] != ' ')
        space--;
    uint64_t count;
    if (line.len > LINE_LIMIT)
        return sw_fail(err, SW_MALFORMED, "line %llu of the collapsed stacks is longer than %u bytes",
                       (unsigned long long)number, LINE_LIMIT);
    if (space < 2 || sw_str_to_u64(sw_str_skip(line, space), &count) != SW_OK)
        return sw_fail(err, SW_MALFORMED,
                       "line %llu does not end with a blank and a count, as collapsed stacks do ('frame;frame 12')",
                       (unsigned long long)number);
    uint32_t node;
    enum sw_status status = stack_read(profile, sw_str_make(line.ptr, space - 1), &node);
    if (status == SW_OK && count > 0)
        status = sw_profile_add_total(profile, &(struct sw_profile_total){.node = node, .count = count});
    return status == SW_OK ? SW_OK
                           : sw_fail(err, status, "cannot keep line %llu of the collapsed stacks: %s",
                                     (unsigned long long)number, sw_status_text(status));
}

enum sw_status sw_profile_read_collapsed(struct sw_profile *profile, struct sw_str text, struct sw_error *err) {
    uint32_t track;
    enum sw_status status = sw_profile_add_track(profile, &(struct sw_profile_track){0}, &track);
    if (status != SW_OK)
        return sw_fail(err, status, "cannot read collapsed stacks: %s", sw_status_text(status));
    for (uint64_t number = 1; text.ptr && status == SW_OK; number++) {
        struct sw_str line = sw_str_cut(&text, '\n');
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len)
            status = line_read(profile, line, number, err);
    }
    return status;
}
