/* options.c - Parses and prints option tables; see options.h. */
#include "cli/options.h"

#include <stdio.h>

#define HELP_COLUMN 30
#define LINE_WIDTH 100

static const struct sw_option *option_find(const struct sw_option *options, struct sw_str name) {
    for (const struct sw_option *option = options; option->name; option++)
        if (option->help && sw_str_eq(sw_str_from(option->name), name))
            return option;
    return NULL;
}

static size_t prefix_len(struct sw_str a, struct sw_str b) {
    size_t i = 0;
    while (i < a.len && i < b.len && a.ptr[i] == b.ptr[i])
        i++;
    return i;
}

/* The option that shares the longest beginning with `name`, for the error message. */
static const char *option_nearest(const struct sw_option *options, struct sw_str name) {
    const char *nearest = "help";
    size_t best = 0;
    for (const struct sw_option *option = options; option->name; option++) {
        size_t shared = option->help ? prefix_len(sw_str_from(option->name), name) : 0;
        if (shared > best) {
            best = shared;
            nearest = option->name;
        }
    }
    return nearest;
}

static const struct sw_option *option_by_letter(const struct sw_option *options, char letter) {
    for (const struct sw_option *option = options; option->name; option++)
        if (option->help && option->letter && option->letter == letter)
            return option;
    return NULL;
}

/* Splits a word that begins with a dash into the option and the value written with it; value->ptr is NULL without one. */
static const struct sw_option *option_of_word(const struct sw_option *options, struct sw_str word, struct sw_str *value,
                                              struct sw_error *err) {
    const struct sw_option *option;
    if (!sw_str_starts(word, SW_STR("--"))) {
        option = option_by_letter(options, word.ptr[1]);
        *value = word.len > 2 ? sw_str_skip(word, 2) : (struct sw_str){NULL, 0};
        if (!option)
            (void)sw_fail(err, SW_INVALID, "unknown option '-%c'; see --help", word.ptr[1]);
        return option;
    }
    *value = sw_str_skip(word, 2);
    struct sw_str name = sw_str_cut(value, '=');
    option = option_find(options, name);
    if (!option)
        (void)sw_fail(err, SW_INVALID, "unknown option '--%.*s'; did you mean --%s? See --help", SW_STR_ARG(name),
                      option_nearest(options, name));
    return option;
}

/* Takes the option at *words, moving it to the last word used. */
static enum sw_status option_take(const struct sw_option *options, char ***words, sw_option_fn fn, void *context,
                                  struct sw_error *err) {
    struct sw_str value;
    const struct sw_option *option = option_of_word(options, sw_str_from(**words), &value, err);
    if (!option)
        return SW_INVALID;
    if (option->argument && !value.ptr) {
        if (!(*words)[1])
            return sw_fail(err, SW_INVALID, "option --%s wants %s behind it", option->name, option->argument);
        value = sw_str_from(*++*words);
    }
    if (option->argument && value.len == 0)
        return sw_fail(err, SW_INVALID, "option --%s is empty: it wants %s", option->name, option->argument);
    if (!option->argument && value.ptr)
        return sw_fail(err, SW_INVALID, "option --%s takes no value", option->name);
    return fn(context, (unsigned)(option - options), value, err);
}

enum sw_status sw_options_parse(const struct sw_option_syntax *syntax, char **words, sw_option_fn fn, void *context,
                                struct sw_error *err) {
    enum sw_status status = SW_OK;
    for (; *words && !status; words++) {
        struct sw_str word = sw_str_from(*words);
        if (sw_str_eq(word, SW_STR("--")) && syntax->rest) {
            words++;
            break;
        }
        if (word.len > 1 && word.ptr[0] == '-' && !sw_str_eq(word, SW_STR("--")))
            status = option_take(syntax->options, &words, fn, context, err);
        else if (syntax->words_are)
            status = fn(context, SW_OPTION_WORD, word, err);
        else
            status = sw_fail(err, SW_INVALID, "unexpected argument '%s'; options begin with --, see --help", *words);
    }
    if (syntax->rest)
        *syntax->rest = words;
    return status;
}

enum sw_status sw_option_duration(const struct sw_option *option, struct sw_str value, int64_t *duration_ns,
                                  struct sw_error *err) {
    char with_unit[32];
    bool is_plain = value.len > 0 && value.len < sizeof with_unit - 1;
    for (size_t i = 0; i < value.len && is_plain; i++)
        is_plain = (value.ptr[i] >= '0' && value.ptr[i] <= '9') || value.ptr[i] == '.';
    if (is_plain) {
        memcpy(with_unit, value.ptr, value.len);
        with_unit[value.len] = 's';
        value = sw_str_make(with_unit, value.len + 1);
    }
    if (sw_str_to_duration_ns(value, duration_ns) == SW_OK)
        return SW_OK;
    return sw_fail(err, SW_INVALID, "--%s %.*s: expected a time such as 500ms, 10s, 5m or a number of seconds",
                   option->name, SW_STR_ARG(value));
}

/* Wraps `text` at LINE_WIDTH, each line at the help column. */
static void help_print(const char *text) {
    int column = HELP_COLUMN;
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column > HELP_COLUMN && column + (int)len + 1 > LINE_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += printf("%s%.*s", column > HELP_COLUMN ? " " : "", (int)len, text);
        text += len + strspn(text + len, " ");
    }
    putchar('\n');
}

void sw_options_print(const struct sw_option *options) {
    for (const struct sw_option *option = options; option->name; option++) {
        if (!option->help) {
            printf("\n%s:\n", option->name);
            continue;
        }
        int width = option->letter ? printf("  -%c, ", option->letter) : printf("  ");
        width +=
            printf("--%s%s%s", option->name, option->argument ? " " : "", option->argument ? option->argument : "");
        if (width >= HELP_COLUMN - 1) {
            putchar('\n');
            width = 0;
        }
        printf("%*s", HELP_COLUMN - width, "");
        help_print(option->help);
    }
}
