/* test_profile_format.c - Each format of a small profile, byte for byte where it is text; reading; no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#include <cmocka.h>

#include "base/json_read.h"
#include "base/mem.h"
#include "guard_page.h"
#include "report/profile_assets_impl.h"
#include "report/profile_format.h"

#define MS INT64_C(1000000)

static uint32_t stack_add(struct sw_profile *profile, const struct sw_profile_frame *frames, size_t count) {
    uint32_t node = SW_PROFILE_ROOT, frame;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(sw_profile_add_frame(profile, &frames[i], &frame), SW_OK);
        assert_int_equal(sw_profile_add_node(profile, node, frame, &node), SW_OK);
    }
    return node;
}

/* Two threads; main:3 calls work:7 or work:8, which call C. */
static void sample_profile(struct sw_profile *profile) {
    static const struct sw_profile_frame main3 = {{"main", 4}, {"app.py", 6}, 3, SW_PROFILE_PYTHON};
    static const struct sw_profile_frame work7 = {{"work", 4}, {"app.py", 6}, 7, SW_PROFILE_PYTHON};
    static const struct sw_profile_frame work8 = {{"work", 4}, {"app.py", 6}, 8, SW_PROFILE_PYTHON};
    static const struct sw_profile_frame copy = {{"memcpy", 6}, {"libc.so.6", 9}, 0, SW_PROFILE_NATIVE};
    static const struct sw_profile_track tracks[2] = {{10, 10, {"app", 3}, {"MainThread", 10}},
                                                      {10, 11, {"app", 3}, {NULL, 0}}};
    uint32_t track[2];
    profile->keeps_samples = true;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(sw_profile_add_track(profile, &tracks[i], &track[i]), SW_OK);
    uint32_t seven = stack_add(profile, (struct sw_profile_frame[]){main3, work7}, 2);
    uint32_t eight = stack_add(profile, (struct sw_profile_frame[]){main3, work8}, 2);
    uint32_t deep = stack_add(profile, (struct sw_profile_frame[]){main3, work8, copy}, 3);
    const struct sw_profile_sample samples[] = {
        {1000 * MS, MS, track[0], seven}, {1001 * MS, MS, track[0], eight}, {1001 * MS, MS, track[1], seven},
        {1002 * MS, MS, track[0], deep},  {1009 * MS, MS, track[0], deep},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        assert_int_equal(sw_profile_add_sample(profile, &samples[i]), SW_OK);
    struct sw_profile_about about = {.start_epoch_ns = 1000 * MS,
                                     .duration_ns = 10 * MS,
                                     .rate_hz = 1000,
                                     .exact = 4,
                                     .partial = 1,
                                     .what = SW_STR("cpu"),
                                     .command = SW_STR("app")};
    assert_int_equal(sw_profile_describe(profile, &about), SW_OK);
}

static char *written(const struct sw_profile *profile, enum sw_profile_format format, struct sw_profile_view view) {
    static struct sw_buf out;
    sw_buf_clear(&out);
    assert_int_equal(sw_profile_write(profile, format, &view, &out), SW_OK);
    assert_int_equal(sw_buf_append_byte(&out, '\0'), SW_OK);
    return out.ptr;
}

static void collapsed_is_a_line_for_each_stack(void **state) {
    struct sw_profile profile = {0};
    sample_profile(&profile);
    assert_string_equal(written(&profile, SW_PROFILE_COLLAPSED, (struct sw_profile_view){0}),
                        "main (app.py:3);work (app.py:7) 2\n"
                        "main (app.py:3);work (app.py:8) 1\n"
                        "main (app.py:3);work (app.py:8);memcpy (libc.so.6) 2\n");
    assert_string_equal(written(&profile, SW_PROFILE_COLLAPSED, (struct sw_profile_view){.by_function = true}),
                        "main (app.py);work (app.py) 3\n"
                        "main (app.py);work (app.py);memcpy (libc.so.6) 2\n");
    assert_string_equal(written(&profile, SW_PROFILE_COLLAPSED, (struct sw_profile_view){true, true}),
                        "thread 10 MainThread;main (app.py);work (app.py) 2\n"
                        "thread 10 MainThread;main (app.py);work (app.py);memcpy (libc.so.6) 2\n"
                        "thread 11;main (app.py);work (app.py) 1\n");
    sw_profile_release(&profile);
}

static void several_processes_are_headed(void **state) {
    struct sw_profile profile = {0};
    sample_profile(&profile);
    struct sw_profile_track other = {20, 21, SW_STR("b"), SW_STR("t")};
    struct sw_profile_sample sample = {1010 * MS, MS, 0, 1};
    assert_int_equal(sw_profile_add_track(&profile, &other, &sample.track), SW_OK);
    assert_int_equal(sw_profile_add_sample(&profile, &sample), SW_OK);
    const char *text = written(&profile, SW_PROFILE_COLLAPSED, (struct sw_profile_view){true, true});
    assert_non_null(strstr(text, "process 10 app;thread 10 MainThread;main (app.py);work (app.py) 2\n"));
    assert_non_null(strstr(text, "process 20 b;thread 21 t;main (app.py) 1\n"));
    sw_profile_release(&profile);
}

static void names_cannot_break_collapsed_lines(void **state) {
    struct sw_profile profile = {0};
    static const struct sw_profile_frame frame = {{"a;b\nc 5", 7}, {"x;\r.py", 6}, 1, SW_PROFILE_PYTHON};
    struct sw_profile_total total = {.count = 9};
    total.node = stack_add(&profile, &frame, 1);
    assert_int_equal(sw_profile_add_track(&profile, &(struct sw_profile_track){0}, &total.track), SW_OK);
    assert_int_equal(sw_profile_add_total(&profile, &total), SW_OK);
    assert_string_equal(written(&profile, SW_PROFILE_COLLAPSED, (struct sw_profile_view){0}), "a:b c 5 (x: .py:1) 9\n");
    sw_profile_release(&profile);
}

static const char json_golden[] =
    "{\"format\":\"sidewinder-profile\",\"version\":1,\"about\":{\"start_epoch_ns\":1000000000,\"duration_ns\":10000000,"
    "\"rate_hz\":1000,\"exact\":4,\"partial\":1,\"failed\":0,\"what\":\"cpu\",\"command\":\"app\"},"
    "\"frames\":[{\"name\":\"main\",\"file\":\"app.py\",\"line\":3,\"kind\":\"python\"},"
    "{\"name\":\"work\",\"file\":\"app.py\",\"line\":7,\"kind\":\"python\"},"
    "{\"name\":\"work\",\"file\":\"app.py\",\"line\":8,\"kind\":\"python\"},"
    "{\"name\":\"memcpy\",\"file\":\"libc.so.6\",\"kind\":\"native\"}],"
    "\"nodes\":[[0,0],[1,1],[1,2],[3,3]],"
    "\"tracks\":[{\"pid\":10,\"tid\":10,\"process\":\"app\",\"thread\":\"MainThread\"},"
    "{\"pid\":10,\"tid\":11,\"process\":\"app\"}],"
    "\"totals\":[[0,2,1,1000000],[0,3,1,1000000],[1,2,1,1000000],[0,4,2,2000000]],"
    "\"samples\":[[1000000000,1000000,0,2],[1001000000,1000000,0,3],[1001000000,1000000,1,2],"
    "[1002000000,1000000,0,4],[1009000000,1000000,0,4]]}\n";

static void json_holds_everything_and_is_read_back_whole(void **state) {
    struct sw_profile profile = {0}, again = {0};
    struct sw_error err;
    sample_profile(&profile);
    assert_string_equal(written(&profile, SW_PROFILE_JSON, (struct sw_profile_view){0}), json_golden);
    assert_int_equal(sw_profile_read(&again, guard_place(sw_str_from(json_golden)), &err), SW_OK);
    assert_string_equal(written(&again, SW_PROFILE_JSON, (struct sw_profile_view){0}), json_golden);
    assert_true(again.keeps_samples);
    sw_profile_release(&profile);
    sw_profile_release(&again);
}

static void speedscope_has_a_profile_for_each_thread(void **state) {
    struct sw_profile profile = {0};
    sample_profile(&profile);
    assert_string_equal(
        written(&profile, SW_PROFILE_SPEEDSCOPE, (struct sw_profile_view){0}),
        "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"sidewinder\",\"name\":\"app\","
        "\"activeProfileIndex\":0,\"shared\":{\"frames\":[{\"name\":\"main\",\"file\":\"app.py\",\"line\":3},"
        "{\"name\":\"work\",\"file\":\"app.py\",\"line\":7},{\"name\":\"work\",\"file\":\"app.py\",\"line\":8},"
        "{\"name\":\"memcpy\",\"file\":\"libc.so.6\"}]},\"profiles\":["
        "{\"type\":\"sampled\",\"name\":\"10/10 app: MainThread\",\"unit\":\"nanoseconds\","
        "\"samples\":[[0,1],[0,2],[0,2,3]],\"weights\":[1000000,1000000,2000000],\"startValue\":0,\"endValue\":4000000},"
        "{\"type\":\"sampled\",\"name\":\"10/11 app\",\"unit\":\"nanoseconds\",\"samples\":[[0,1]],"
        "\"weights\":[1000000],\"startValue\":0,\"endValue\":1000000}]}\n");
    sw_profile_release(&profile);
}

/* A gap of 6 ms ends all calls; what two samples in a row share goes on. */
static void chrome_shows_calls_in_time(void **state) {
    struct sw_profile profile = {0};
    sample_profile(&profile);
    const char *text = written(&profile, SW_PROFILE_CHROME, (struct sw_profile_view){.by_function = true});
    static const char *const events[] = {
        "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":10,\"tid\":10,\"args\":{\"name\":\"MainThread\"}}",
        "{\"ph\":\"X\",\"name\":\"main\",\"cat\":\"python\",\"pid\":10,\"tid\":10,\"ts\":0,\"dur\":3000,",
        "{\"ph\":\"X\",\"name\":\"work\",\"cat\":\"python\",\"pid\":10,\"tid\":10,\"ts\":0,\"dur\":3000,",
        "{\"ph\":\"X\",\"name\":\"memcpy\",\"cat\":\"native\",\"pid\":10,\"tid\":10,\"ts\":2000,\"dur\":1000,",
        "{\"ph\":\"X\",\"name\":\"main\",\"cat\":\"python\",\"pid\":10,\"tid\":10,\"ts\":9000,\"dur\":1000,",
        "{\"ph\":\"X\",\"name\":\"main\",\"cat\":\"python\",\"pid\":10,\"tid\":11,\"ts\":1000,\"dur\":1000,",
    };
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        assert_non_null(strstr(text, events[i]));
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, "\"X\"")); at++)
        count++;
    assert_int_equal(count, 8);
    sw_profile_release(&profile);
}

static void chrome_needs_kept_samples(void **state) {
    struct sw_profile profile = {0};
    struct sw_buf out = {0};
    struct sw_error err;
    assert_int_equal(sw_profile_read(&profile, SW_STR("a 1\n"), &err), SW_OK);
    assert_int_equal(sw_profile_write(&profile, SW_PROFILE_CHROME, NULL, &out), SW_INVALID);
    assert_int_equal(out.len, 0);
    assert_true(sw_profile_format_needs_samples(SW_PROFILE_CHROME));
    assert_false(sw_profile_format_needs_samples(SW_PROFILE_SPEEDSCOPE));
    sw_profile_release(&profile);
}

/* A reader of the wire format, enough to look a profile.proto over. */
struct wire {
    const uint8_t *ptr, *end;
};

static uint64_t wire_varint(struct wire *wire) {
    uint64_t value = 0;
    for (unsigned shift = 0; wire->ptr < wire->end; shift += 7) {
        uint8_t byte = *wire->ptr++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    fail_msg("a number is cut off");
    return 0;
}

/* The next field: its number, and its value or its bytes. */
static unsigned wire_field(struct wire *wire, uint64_t *value, struct wire *inner) {
    uint64_t key = wire_varint(wire);
    *inner = (struct wire){0};
    *value = wire_varint(wire);
    if ((key & 7) == 2) {
        assert_true(*value <= (uint64_t)(wire->end - wire->ptr));
        *inner = (struct wire){wire->ptr, wire->ptr + *value};
        wire->ptr += *value;
    } else
        assert_int_equal(key & 7, 0);
    return (unsigned)(key >> 3);
}

static size_t inflated(const char *bytes, size_t len, uint8_t *out, size_t room) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)len, .next_out = out};
    stream.avail_out = (uInt)room;
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    inflateEnd(&stream);
    return stream.total_out;
}

struct pprof {
    struct sw_str strings[64];
    size_t string_count;
    uint64_t function_names[64];
    uint64_t location_functions[64], location_lines[64];
    struct pprof_sample {
        uint64_t locations[8], values[2], label_keys[4], label_values[4];
        size_t location_count, label_count;
    } samples[16];
    size_t sample_count;
    uint64_t types[2], duration_ns, period;
    size_t type_count;
};

static void pprof_sample_read(struct wire wire, struct pprof_sample *sample) {
    uint64_t value;
    struct wire inner, label;
    while (wire.ptr < wire.end) {
        unsigned field = wire_field(&wire, &value, &inner);
        size_t values = 0;
        while (field == 1 && inner.ptr < inner.end)
            sample->locations[sample->location_count++] = wire_varint(&inner);
        while (field == 2 && inner.ptr < inner.end)
            sample->values[values++] = wire_varint(&inner);
        if (field == 3) {
            size_t at = sample->label_count++;
            while (inner.ptr < inner.end) {
                unsigned part = wire_field(&inner, &value, &label);
                *(part == 1 ? &sample->label_keys[at] : &sample->label_values[at]) = value;
            }
        }
    }
}

static void pprof_location_read(struct wire wire, struct pprof *pprof) {
    uint64_t value, id = 0;
    struct wire line, none;
    while (wire.ptr < wire.end) {
        unsigned field = wire_field(&wire, &value, &line);
        id = field == 1 ? value : id;
        while (field == 4 && line.ptr < line.end) {
            unsigned part = wire_field(&line, &value, &none);
            *(part == 1 ? &pprof->location_functions[id] : &pprof->location_lines[id]) = value;
        }
    }
}

static void pprof_function_read(struct wire wire, struct pprof *pprof) {
    uint64_t value, id = 0;
    struct wire none;
    while (wire.ptr < wire.end) {
        unsigned field = wire_field(&wire, &value, &none);
        id = field == 1 ? value : id;
        assert_int_not_equal(field, 3); /* a system name would have pprof demangle "<lambda>" */
        if (field == 2)
            pprof->function_names[id] = value;
    }
}

static void pprof_read(struct wire wire, struct pprof *pprof) {
    uint64_t value;
    struct wire inner, none;
    while (wire.ptr < wire.end) {
        switch (wire_field(&wire, &value, &inner)) {
        case 1:
            (void)wire_field(&inner, &pprof->types[pprof->type_count++], &none);
            break;
        case 2:
            pprof_sample_read(inner, &pprof->samples[pprof->sample_count++]);
            break;
        case 4:
            pprof_location_read(inner, pprof);
            break;
        case 5:
            pprof_function_read(inner, pprof);
            break;
        case 6:
            pprof->strings[pprof->string_count++] =
                sw_str_make((const char *)inner.ptr, (size_t)(inner.end - inner.ptr));
            break;
        case 10:
            pprof->duration_ns = value;
            break;
        case 12:
            pprof->period = value;
            break;
        default:
            break;
        }
    }
}

static void assert_names(const struct pprof *pprof, uint64_t index, const char *name) {
    assert_true(index < pprof->string_count && sw_str_eq(pprof->strings[index], sw_str_from(name)));
}

static void pprof_is_what_its_proto_says(void **state) {
    struct sw_profile profile = {0};
    struct sw_buf out = {0};
    static uint8_t plain[4096];
    static struct pprof pprof;
    sample_profile(&profile);
    assert_int_equal(sw_profile_write(&profile, SW_PROFILE_PPROF, NULL, &out), SW_OK);
    size_t len = inflated(out.ptr, out.len, plain, sizeof plain);
    pprof_read((struct wire){plain, plain + len}, &pprof);
    assert_int_equal(pprof.strings[0].len, 0);
    assert_int_equal(pprof.type_count, 2);
    assert_names(&pprof, pprof.types[0], "samples");
    assert_names(&pprof, pprof.types[1], "cpu");
    assert_int_equal(pprof.sample_count, 4);
    const struct pprof_sample *deep = &pprof.samples[3];
    assert_int_equal(deep->location_count, 3);
    static const char *const names[] = {"memcpy", "work", "main"}; /* the innermost first */
    static const uint64_t lines[] = {0, 8, 3};
    for (size_t i = 0; i < 3; i++) {
        assert_names(&pprof, pprof.function_names[pprof.location_functions[deep->locations[i]]], names[i]);
        assert_int_equal(pprof.location_lines[deep->locations[i]], lines[i]);
    }
    assert_int_equal(deep->values[0], 2);
    assert_int_equal(deep->values[1], 2 * MS);
    assert_int_equal(deep->label_count, 4);
    assert_names(&pprof, deep->label_keys[1], "tid");
    assert_int_equal(deep->label_values[1], 10);
    assert_names(&pprof, deep->label_keys[3], "thread");
    assert_names(&pprof, deep->label_values[3], "MainThread");
    assert_int_equal(pprof.duration_ns, 10 * MS);
    assert_int_equal(pprof.period, MS);
    sw_buf_release(&out);
    sw_profile_release(&profile);
}

static void hostile_profile(struct sw_profile *profile) {
    static const struct sw_profile_frame frames[] = {
        {{"</script><script>alert(1)</script>", 34}, {"<b>&amp;\"'.py", 13}, 1, SW_PROFILE_PYTHON},
        {{"]]><!--\x01\x02\xff\xfe\xed\xa0\x80", 14}, {NULL, 0}, 0, SW_PROFILE_NATIVE},
    };
    struct sw_profile_sample sample = {1, MS, 0, stack_add(profile, frames, 2)};
    struct sw_profile_track track = {1, 2, SW_STR("<img onerror=x>"), SW_STR("\"><i>")};
    assert_int_equal(sw_profile_add_track(profile, &track, &sample.track), SW_OK);
    assert_int_equal(sw_profile_add_sample(profile, &sample), SW_OK);
    struct sw_profile_about about = {.command = SW_STR("</title><script>"), .reason = SW_STR("<x>"), .rate_hz = 1};
    about.what = SW_STR("\"<y>");
    assert_int_equal(sw_profile_describe(profile, &about), SW_OK);
}

static size_t occurrences(const char *text, const char *part) {
    size_t count = 0;
    while ((text = strstr(text, part))) {
        count++;
        text++;
    }
    return count;
}

static void names_cannot_leave_their_place_in_pictures(void **state) {
    struct sw_profile profile = {0};
    hostile_profile(&profile);
    for (int is_page = 0; is_page < 2; is_page++) {
        enum sw_profile_format format = is_page ? SW_PROFILE_HTML : SW_PROFILE_SVG;
        const char *text = written(&profile, format, (struct sw_profile_view){.by_thread = true});
        assert_int_equal(occurrences(text, "<script"), is_page ? 3 : 2);
        assert_int_equal(occurrences(text, "</script"), is_page ? 3 : 2);
        assert_int_equal(occurrences(text, "]]>"), is_page ? 0 : 1);
        assert_int_equal(occurrences(text, "<!--"), 0);
        static const char *const never[] = {"<img", "<b>&", "<i>", "<x>", "<y>", "</title><script", "\xff", "\x01"};
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
            assert_null(strstr(text, never[i]));
        assert_non_null(strstr(text, "&lt;/script&gt;&lt;script&gt;alert(1)"));
    }
    sw_profile_release(&profile);
}

/* The scripts stand in elements, and in XML in CDATA, that nothing in them may end. */
static void scripts_fit_their_elements(void **state) {
    const struct sw_str *const assets[] = {&sw_profile_flame_js, &sw_profile_flame_css, &sw_profile_page_js,
                                           &sw_profile_page_css};
    for (size_t i = 0; i < 4; i++) {
        struct sw_str text = *assets[i];
        assert_true(text.len > 100);
        assert_null(memmem(text.ptr, text.len, "</", 2));
        assert_null(memmem(text.ptr, text.len, "]]>", 3));
        assert_null(memmem(text.ptr, text.len, "<!--", 4));
    }
    assert_null(memchr(sw_profile_flame_css.ptr, '<', sw_profile_flame_css.len)); /* it is no CDATA */
    assert_null(memchr(sw_profile_flame_css.ptr, '&', sw_profile_flame_css.len));
}

static void the_data_of_a_picture_is_json(void **state) {
    struct sw_profile profile = {0};
    struct sw_json_token token;
    struct sw_json_reader reader;
    hostile_profile(&profile);
    char *text = strstr(written(&profile, SW_PROFILE_SVG, (struct sw_profile_view){0}), "application/json\">");
    assert_non_null(text);
    text += strlen("application/json\">");
    sw_json_reader_init(&reader, sw_str_make(text, (size_t)(strstr(text, "</script>") - text)));
    bool has_name = false;
    do {
        assert_int_equal(sw_json_read(&reader, &token), SW_OK);
        has_name |= token.kind == SW_JSON_STRING && memmem(token.text.ptr, token.text.len, "alert(1)", 8);
    } while (token.kind != SW_JSON_END);
    assert_true(has_name);
    sw_profile_release(&profile);
}

static void narrow_frames_are_counted_not_drawn(void **state) {
    struct sw_profile profile = {0};
    struct sw_error err;
    struct sw_str text = SW_STR("a;b 9990\na;c 5\na;c;d 3\na;e 1\n");
    assert_int_equal(sw_profile_read(&profile, text, &err), SW_OK);
    const char *svg = written(&profile, SW_PROFILE_SVG, (struct sw_profile_view){0});
    assert_non_null(strstr(svg, ">3 frames narrower than 0.1 % not drawn<"));
    assert_non_null(strstr(svg, "<title>b\n99.91 %, 9,990 samples</title>"));
    assert_null(strstr(svg, "<title>c"));
    sw_profile_release(&profile);
}

static void html_lists_functions_and_threads(void **state) {
    struct sw_profile profile = {0};
    sample_profile(&profile);
    const char *text = written(&profile, SW_PROFILE_HTML, (struct sw_profile_view){.by_function = true});
    const char *work = strstr(text, "data-search=\"work\"");
    const char *copy = strstr(text, "data-search=\"memcpy\"");
    assert_true(work && copy && work < copy); /* the greater self time first */
    assert_non_null(
        strstr(text, "60.00 %</td><td data-value=\"3000000\">3.00 ms</td><td class=\"share\" data-value=\"1\""));
    assert_non_null(strstr(text, "MainThread</td>"));
    sw_profile_release(&profile);
}

static void empty_profiles_are_written(void **state) {
    struct sw_profile profile = {0};
    for (enum sw_profile_format format = SW_PROFILE_COLLAPSED; format <= SW_PROFILE_JSON; format++) {
        struct sw_buf out = {0};
        assert_int_equal(sw_profile_write(&profile, format, NULL, &out), SW_OK);
        assert_int_equal(out.len == 0, format == SW_PROFILE_COLLAPSED);
        sw_buf_release(&out);
    }
    sw_profile_release(&profile);
}

static void formats_are_known_by_name_and_ending(void **state) {
    static const struct {
        const char *path;
        enum sw_profile_format format;
    } rows[] = {{"a.svg", SW_PROFILE_SVG},           {"a.html", SW_PROFILE_HTML},
                {"a.json", SW_PROFILE_JSON},         {"a.speedscope.json", SW_PROFILE_SPEEDSCOPE},
                {"a.trace.json", SW_PROFILE_CHROME}, {"a.chrome.json", SW_PROFILE_CHROME},
                {"a.pb.gz", SW_PROFILE_PPROF},       {"a.pprof", SW_PROFILE_PPROF},
                {"a.folded", SW_PROFILE_COLLAPSED},  {"a.txt", SW_PROFILE_COLLAPSED}};
    enum sw_profile_format format;
    struct sw_error err;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(sw_profile_format_by_path(sw_str_from(rows[i].path), &format, &err), SW_OK);
        assert_int_equal(format, rows[i].format);
    }
    assert_int_equal(sw_profile_format_by_path(SW_STR("a.png"), &format, &err), SW_INVALID);
    assert_non_null(strstr(err.text, "a.png"));
    assert_int_equal(sw_profile_format_by_name(SW_STR("pprof"), &format, &err), SW_OK);
    assert_int_equal(format, SW_PROFILE_PPROF);
    assert_int_equal(sw_profile_format_by_name(SW_STR("gif"), &format, &err), SW_INVALID);
    assert_non_null(strstr(err.text, "speedscope"));
}

static void collapsed_is_read_as_others_write_it(void **state) {
    static const struct {
        const char *line, *name, *file;
        int32_t line_number;
        enum sw_profile_frame_kind kind;
    } rows[] = {
        {"main (app.py:3) 5", "main", "app.py", 3, SW_PROFILE_PYTHON},
        {"<module> (<string>:1) 5", "<module>", "<string>", 1, SW_PROFILE_PYTHON},
        {"f (/a (b)/c.py:7) 5\r", "f", "/a (b)/c.py", 7, SW_PROFILE_PYTHON},
        {"f (c.py) 5", "f", "c.py", 0, SW_PROFILE_PYTHON},
        {"memcpy (libc.so.6) 5", "memcpy", "libc.so.6", 0, SW_PROFILE_NATIVE},
        {"loop (kernel.c:12) 5", "loop", "kernel.c", 12, SW_PROFILE_NATIVE},
        {"do_syscall_64 5", "do_syscall_64", "", 0, SW_PROFILE_NATIVE},
        {"operator new(unsigned long) 5", "operator new(unsigned long)", "", 0, SW_PROFILE_NATIVE},
        {"<GC> 5", "<GC>", "", 0, SW_PROFILE_MARK},
        {"thread 12 worker 5", "thread 12 worker", "", 0, SW_PROFILE_MARK},
        {"f (c.py:99999999999) 5", "f", "c.py:99999999999", 0, SW_PROFILE_PYTHON},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_profile profile = {0};
        struct sw_error err = {0};
        assert_int_equal(sw_profile_read(&profile, guard_place(sw_str_from(rows[i].line)), &err), SW_OK);
        assert_int_equal(profile.frame_count, 1);
        assert_true(sw_str_eq(profile.frames[0].name, sw_str_from(rows[i].name)));
        assert_true(sw_str_eq(profile.frames[0].file, sw_str_from(rows[i].file)));
        assert_int_equal(profile.frames[0].line, rows[i].line_number);
        assert_int_equal(profile.frames[0].kind, rows[i].kind);
        assert_int_equal(profile.totals[0].count, 5);
        sw_profile_release(&profile);
    }
}

static void what_is_malformed_is_told(void **state) {
#define HEAD "{\"format\":\"sidewinder-profile\",\"version\":1,"
    static const struct {
        const char *text, *reason;
        enum sw_status status;
    } rows[] = {
        {"main", "line 1", SW_MALFORMED},
        {"a;b 3\n\nno count\n", "line 3", SW_MALFORMED},
        {"a -3\n", "line 1", SW_MALFORMED},
        {" 3\n", "line 1", SW_MALFORMED},
        {"{", "byte 1", SW_MALFORMED},
        {"{}", "not a profile", SW_MALFORMED},
        {"{\"a\":1}", "does not begin", SW_MALFORMED},
        {"{\"format\":\"speedscope\"}", "another format", SW_MALFORMED},
        {"{\"format\":\"sidewinder-profile\",\"version\":2}", "version 2", SW_UNSUPPORTED},
        {HEAD "\"nodes\":[[0,0]]}", "nothing that came before", SW_MALFORMED},
        {HEAD "\"frames\":[{\"name\":\"f\"}],\"nodes\":[[1,0]]}", "nothing that came before", SW_MALFORMED},
        {HEAD "\"frames\":[{\"name\":\"f\"}],\"nodes\":[[-1,0]]}", "nothing that came before", SW_MALFORMED},
        {HEAD "\"frames\":[{\"name\":\"f\"}],\"nodes\":[[0]]}", "[parent, frame]", SW_MALFORMED},
        {HEAD "\"frames\":[{\"name\":\"f\",\"kind\":\"x\"}]}", "python, native or mark", SW_MALFORMED},
        {HEAD "\"frames\":[{\"name\":1}]}", "a string", SW_MALFORMED},
        {HEAD "\"frames\":[{\"name\":\"f\",\"line\":4294967296}]}", "32 bits", SW_MALFORMED},
        {HEAD "\"tracks\":[{}],\"totals\":[[0,0,-1]]}", "none negative", SW_MALFORMED},
        {HEAD "\"tracks\":[{}],\"totals\":[[0,1,1]]}", "nothing that came before", SW_MALFORMED},
        {HEAD "\"tracks\":[{}],\"totals\":[[1,0,1]]}", "nothing that came before", SW_MALFORMED},
        {HEAD "\"tracks\":[{}],\"totals\":[[0,0,1,2,3]]}", "too many", SW_MALFORMED},
        {HEAD "\"tracks\":[{}],\"totals\":[[0,0,1.5]]}", "an integer", SW_MALFORMED},
        {HEAD "\"tracks\":[{}],\"samples\":[[2,0,0,0],[1,0,0,0]]}", "order of time", SW_MALFORMED},
        {HEAD "\"about\":{\"duration_ns\":-1}}", "negative", SW_MALFORMED},
        {HEAD "\"about\":[]}", "an object", SW_MALFORMED},
        {HEAD "\"tracks\":[]} x", "byte", SW_MALFORMED},
    };
#undef HEAD
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_profile profile = {0};
        struct sw_error err = {0};
        assert_int_equal(sw_profile_read(&profile, guard_place(sw_str_from(rows[i].text)), &err), rows[i].status);
        if (!strstr(err.text, rows[i].reason))
            fail_msg("%s: %s", rows[i].text, err.text);
        assert_int_equal(profile.node_count, 0);
    }
}

static void every_cut_of_a_file_is_refused(void **state) {
    for (size_t len = 1; len + 2 < sizeof json_golden - 1; len++) {
        struct sw_profile profile = {0};
        struct sw_error err = {0};
        assert_int_equal(sw_profile_read(&profile, guard_place(sw_str_make(json_golden, len)), &err), SW_MALFORMED);
        assert_true(err.text[0]);
    }
}

static void running_out_of_memory_writes_nothing(void **state) {
    struct sw_profile profile = {0};
    sample_profile(&profile);
    for (enum sw_profile_format format = SW_PROFILE_COLLAPSED; format <= SW_PROFILE_JSON; format++) {
        enum sw_status status = SW_NOMEM;
        size_t nth = 1;
        for (; status == SW_NOMEM; nth++) {
            struct sw_buf out = {0};
            sw_mem_fail_at(nth);
            status = sw_profile_write(&profile, format, &(struct sw_profile_view){true, true}, &out);
            sw_mem_fail_at(0);
            assert_int_equal(out.len == 0, status != SW_OK);
            sw_buf_release(&out);
        }
        assert_int_equal(status, SW_OK);
        assert_true(nth > 20);
    }
    sw_profile_release(&profile);
}

static void running_out_of_memory_reads_nothing(void **state) {
    static const char collapsed[] = "a (x.py:1);b (x.py:2) 3\na (x.py:1) 2\n";
    const struct sw_str texts[2] = {sw_str_from(json_golden), sw_str_from(collapsed)};
    for (size_t i = 0; i < 2; i++) {
        enum sw_status status = SW_NOMEM;
        for (size_t nth = 1; status == SW_NOMEM; nth++) {
            struct sw_profile profile = {0};
            struct sw_error err = {0};
            sw_mem_fail_at(nth);
            status = sw_profile_read(&profile, texts[i], &err);
            sw_mem_fail_at(0);
            assert_int_equal(profile.node_count > 0, status == SW_OK);
            assert_int_equal(err.text[0] == '\0', status == SW_OK);
            sw_profile_release(&profile);
        }
        assert_int_equal(status, SW_OK);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collapsed_is_a_line_for_each_stack),
        cmocka_unit_test(several_processes_are_headed),
        cmocka_unit_test(names_cannot_break_collapsed_lines),
        cmocka_unit_test(json_holds_everything_and_is_read_back_whole),
        cmocka_unit_test(speedscope_has_a_profile_for_each_thread),
        cmocka_unit_test(chrome_shows_calls_in_time),
        cmocka_unit_test(chrome_needs_kept_samples),
        cmocka_unit_test(pprof_is_what_its_proto_says),
        cmocka_unit_test(names_cannot_leave_their_place_in_pictures),
        cmocka_unit_test(scripts_fit_their_elements),
        cmocka_unit_test(the_data_of_a_picture_is_json),
        cmocka_unit_test(narrow_frames_are_counted_not_drawn),
        cmocka_unit_test(html_lists_functions_and_threads),
        cmocka_unit_test(empty_profiles_are_written),
        cmocka_unit_test(formats_are_known_by_name_and_ending),
        cmocka_unit_test(collapsed_is_read_as_others_write_it),
        cmocka_unit_test(what_is_malformed_is_told),
        cmocka_unit_test(every_cut_of_a_file_is_refused),
        cmocka_unit_test(running_out_of_memory_writes_nothing),
        cmocka_unit_test(running_out_of_memory_reads_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
