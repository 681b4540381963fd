/* jsonl_shape.c - Learning the shape of a JSON row; see jsonl_shape.h. */
#include "engine/jsonl_shape.h"

void sw_shape_begin(struct sw_shape *shape, const char *line) {
    shape->value_count = 0;
    shape->is_learning = true;
    shape->at = line;
}

static void gap_learn(struct sw_shape *shape, const char *end) {
    size_t len = (size_t)(end - shape->at);
    if (len > SW_SHAPE_GAP_MAX) {
        shape->is_learning = false;
        return;
    }
    struct sw_shape_gap *gap = &shape->gaps[shape->value_count];
    gap->len = (uint32_t)len;
    memset(gap->bytes, 0, sizeof gap->bytes);
    memcpy(gap->bytes, shape->at, len);
    memcpy(gap->head, gap->bytes, sizeof gap->head);
    for (size_t i = 0; i < 2; i++) {
        size_t rest = len > i * 8 ? len - i * 8 : 0;
        gap->mask[i] = rest >= 8 ? ~UINT64_C(0) : ~(~UINT64_C(0) << (rest * 8));
    }
}

void sw_shape_value(struct sw_shape *shape, const char *start, const char *end, const struct sw_field *field) {
    if (shape->is_learning && shape->value_count < SW_SHAPE_VALUES)
        gap_learn(shape, start);
    else
        shape->is_learning = false;
    if (!shape->is_learning)
        return;
    shape->fields[shape->value_count++] = field;
    shape->at = end;
}

void sw_shape_end(struct sw_shape *shape, const char *line_end) {
    if (shape->is_learning)
        gap_learn(shape, line_end);
    if (!shape->is_learning)
        shape->value_count = 0;
    shape->is_learning = false;
}
