/* test_run_options.c - From words to a job: what follows from what, and what is refused, with the remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/options.c"
#include "cli/run_options.c"

enum { WORDS_MAX = 48, WORD_BYTES = 2048 };

struct words {
    char text[WORD_BYTES];
    char *items[WORDS_MAX + 1];
};

/* Words are separated by single blanks. */
static void words_split(struct words *words, const char *text) {
    unsigned count = 0;
    assert_true(strlen(text) < WORD_BYTES);
    memcpy(words->text, text, strlen(text) + 1);
    for (char *at = words->text; at && *at; count++) {
        assert_true(count < WORDS_MAX);
        words->items[count] = at;
        at = strchr(at, ' ');
        if (at)
            *at++ = '\0';
    }
    words->items[count] = NULL;
}

static struct words words;
static struct sw_run run;

static void parse(const char *text) {
    struct sw_error err = {0};
    words_split(&words, text);
    if (sw_run_parse(&run, words.items, &err) != SW_OK)
        fail_msg("'%s': %s", text, err.text);
}

static void assert_str(struct sw_str text, const char *expected) {
    if (!sw_str_eq(text, sw_str_from(expected)))
        fail_msg("got '%.*s', expected '%s'", SW_STR_ARG(text), expected);
}

static int setup(void **state) {
    unsetenv("SIDEWINDER_TOKEN");
    return 0;
}

static int teardown(void **state) {
    sw_run_release(&run);
    return 0;
}

static void nothing_is_this_machine(void **state) {
    parse("");
    assert_str(run.job.name, "host");
    assert_int_equal(run.job.source_count, 2);
    assert_str(run.job.sources[0].uri, "host://");
    assert_str(run.job.sources[1].uri, "python://");
    assert_int_equal(run.job.stream_count, 6);
    assert_int_equal(run.job.sources[1].stream, 5);
    assert_str(run.job.streams[5].name, "python");
    assert_int_equal(run.job.workers, 1);
    assert_str(run.listen, "127.0.0.1:8080");
    assert_true(run.job.has_views);
    assert_int_equal(run.token.len, 0);
    assert_int_equal(run.duration_ns, 0);
}

static void sensors_go_alone_or_together(void **state) {
    parse("--source python://?pid=42 --sink jsonl:-");
    assert_str(run.job.name, "python");
    assert_int_equal(run.job.stream_count, 1);
    assert_int_equal(run.job.source_count, 1);
    assert_str(run.job.sources[0].uri, "python://?pid=42");
    assert_int_equal(run.job.sources[0].stream, 0);
    assert_str(run.job.streams[0].keys[0], "process");
    sw_run_release(&run);
    parse("--source host://?hz=5");
    assert_int_equal(run.job.stream_count, 5);
    assert_int_equal(run.job.source_count, 1);
    sw_run_release(&run);
    parse("--source python://?hz=2 --source host:// --window 5s");
    assert_str(run.job.sources[0].uri, "host://");
    assert_str(run.job.sources[1].uri, "python://?hz=2");
    assert_int_equal(run.job.streams[5].window_ns, 5 * SW_NS_PER_S);
}

static void a_file_and_the_defaults(void **state) {
    parse("--source /data/ticks.csv.gz");
    const struct sw_stream *stream = &run.job.streams[0];
    assert_int_equal(run.job.stream_count, 1);
    assert_str(run.job.name, "ticks");
    assert_str(stream->name, "ticks");
    assert_int_equal(stream->window_ns, SW_NS_PER_S);
    assert_int_equal(stream->key_count, 0);
    assert_int_equal(stream->time_column.len, 0);
    assert_int_equal(stream->aggregate_count, 1);
    assert_str(stream->aggregates[0].name, "rows");
    assert_int_equal(stream->aggregates[0].fn, SW_AGG_COUNT);
    assert_int_equal(run.job.sources[0].decoder.format, SW_FORMAT_CSV);
    assert_true(run.job.sources[0].replay == 0);
    sw_run_release(&run);
}

static void names_and_formats_follow_from_the_source(void **state) {
    static const struct {
        const char *uri, *name;
        enum sw_format format;
    } rows[] = {
        {"a.csv", "a", SW_FORMAT_CSV},
        {"dir.d/b.jsonl", "b", SW_FORMAT_JSONL},
        {"/x/c.ndjson.gz", "c", SW_FORMAT_JSONL},
        {"d.lp.zst", "d", SW_FORMAT_INFLUX},
        {"e", "e", SW_FORMAT_CSV},
        {"/x/.hidden", "stream", SW_FORMAT_CSV},
        {"-", "stream", SW_FORMAT_CSV},
        {"tcp://127.0.0.1:9000", "stream", SW_FORMAT_CSV},
        {"udp://127.0.0.1:9000", "stream", SW_FORMAT_CSV},
        {"ingest://ticks", "ticks", SW_FORMAT_CSV},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "--source %s", rows[i].uri);
        parse(text);
        assert_str(run.job.streams[0].name, rows[i].name);
        assert_int_equal(run.job.sources[0].decoder.format, rows[i].format);
        sw_run_release(&run);
    }
}

static void everything_said(void **state) {
    parse("--source a.csv --source=b.jsonl --columns t,k,x --delimiter \\t --time t:ms --replay 2.5x --name n "
          "--key k,l --window 5m --aggregate s=sum(x),median(x) --disorder 250ms --late late.txt --idle 2s "
          "--max-keys 7 --workers 3 --sink jsonl:- --sink csv:out.csv --listen 0.0.0.0:1 --keep 9 --no-auth "
          "--host one --host two --for 1h --quiet --verbose");
    const struct sw_job *job = &run.job;
    const struct sw_stream *stream = &job->streams[0];
    assert_str(job->name, "n");
    assert_int_equal(job->source_count, 2);
    assert_int_equal(job->sources[0].decoder.format, SW_FORMAT_CSV);
    assert_int_equal(job->sources[1].decoder.format, SW_FORMAT_JSONL);
    assert_int_equal(job->sources[0].decoder.column_count, 3);
    assert_str(job->sources[0].decoder.columns[1], "k");
    assert_int_equal(job->sources[0].decoder.delimiter, '\t');
    assert_true(job->sources[1].replay == 2.5);
    assert_str(stream->time_column, "t");
    assert_int_equal(stream->time_unit, SW_TIME_MS);
    assert_int_equal(stream->key_count, 2);
    assert_str(stream->keys[1], "l");
    assert_int_equal(stream->window_ns, 300 * SW_NS_PER_S);
    assert_int_equal(stream->disorder_ns, 250 * SW_NS_PER_MS);
    assert_int_equal(stream->aggregate_count, 2);
    assert_str(job->late_path, "late.txt");
    assert_int_equal(job->idle_ns, 2 * SW_NS_PER_S);
    assert_int_equal(job->max_keys, 7);
    assert_int_equal(job->workers, 3);
    assert_int_equal(job->sink_count, 2);
    assert_str(job->sinks[1].uri, "csv:out.csv");
    assert_str(run.listen, "0.0.0.0:1");
    assert_int_equal(job->keep_windows, 9);
    assert_true(run.is_open_to_all && run.is_quiet && run.is_verbose && job->has_views);
    assert_int_equal(run.host_count, 2);
    assert_str(run.hosts[1], "two");
    assert_int_equal(run.duration_ns, 3600 * SW_NS_PER_S);
}

static void time_columns(void **state) {
    static const struct {
        const char *text, *column;
        enum sw_time_unit unit;
    } rows[] = {{"t:s", "t", SW_TIME_S},
                {"a:b:us", "a:b", SW_TIME_US},
                {"t:ns", "t", SW_TIME_NS},
                {"when:rfc3339", "when", SW_TIME_RFC3339}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "--source a.csv --time %s", rows[i].text);
        parse(text);
        assert_str(run.job.streams[0].time_column, rows[i].column);
        assert_int_equal(run.job.streams[0].time_unit, rows[i].unit);
        sw_run_release(&run);
    }
}

static void what_formats_bring_along(void **state) {
    parse("--source udp://:8125 --format statsd");
    assert_str(run.job.streams[0].keys[0], "metric");
    assert_int_equal(run.job.streams[0].aggregate_count, 6);
    assert_str(run.job.streams[0].aggregates[4].name, "p99");
    sw_run_release(&run);
    parse("--source udp://:8125 --format statsd --key host --aggregate n=count()");
    assert_int_equal(run.job.streams[0].key_count, 1);
    assert_str(run.job.streams[0].keys[0], "host");
    assert_int_equal(run.job.streams[0].aggregate_count, 1);
    sw_run_release(&run);
    parse("--source a.lp");
    assert_str(run.job.streams[0].time_column, "time");
    assert_int_equal(run.job.streams[0].time_unit, SW_TIME_NS);
    sw_run_release(&run);
    parse("--source a.lp --time other:ms");
    assert_str(run.job.streams[0].time_column, "other");
    assert_int_equal(run.job.streams[0].time_unit, SW_TIME_MS);
}

static void who_gets_a_dashboard(void **state) {
    static const struct {
        const char *text, *listen;
    } rows[] = {{"--source a.csv", "127.0.0.1:8080"},
                {"--source a.csv --sink jsonl:-", ""},
                {"--source a.csv --sink jsonl:- --listen :1", ":1"},
                {"--source ingest://a --sink jsonl:-", "127.0.0.1:8080"},
                {"--source ingest://a --sink jsonl:- --listen 127.0.0.1:0", "127.0.0.1:0"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        parse(rows[i].text);
        assert_str(run.listen, rows[i].listen);
        assert_int_equal(run.job.has_views, rows[i].listen[0] != '\0');
        sw_run_release(&run);
    }
}

static void refused(void **state) {
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"file", "unexpected argument 'file'"},
        {"--", "unexpected argument '--'"},
        {"--sourc x", "unknown option '--sourc'; did you mean --source?"},
        {"--source", "option --source wants URI behind it"},
        {"--source=", "option --source is empty"},
        {"--quiet=yes", "option --quiet takes no value"},
        {"--Input x", "unknown option '--Input'"},
        {"--source a.csv --format xml", "--format xml: expected csv, jsonl, influx or statsd"},
        {"--source a.csv --delimiter ab", "--delimiter ab: expected one character"},
        {"--source a.csv --delimiter \"", "expected one character other than a quote"},
        {"--source a.csv --time t", "--time t: expected COLUMN:UNIT"},
        {"--source a.csv --time t:h", "--time t:h: expected COLUMN:UNIT"},
        {"--source a.csv --time :s", "--time :s: expected COLUMN:UNIT"},
        {"--source a.csv --window 0", "--window must be longer than 0"},
        {"--source a.csv --window 5", "--window 5: expected a duration"},
        {"--source a.csv --window -1s", "--window -1s: expected a duration"},
        {"--source a.csv --idle 0", "--idle must be longer than 0"},
        {"--for 0", "--for must be longer than 0"},
        {"--source a.csv --replay 2", "--replay 2: expected a speed"},
        {"--source a.csv --time t:s --replay 0x", "--replay 0x: expected a speed"},
        {"--source a.csv --time t:s --replay -1x", "--replay -1x: expected a speed"},
        {"--source a.csv --time t:s --replay 1e10x", "--replay 1e10x: expected a speed"},
        {"--source a.csv --time t:s --replay x", "--replay x: expected a speed"},
        {"--source a.csv --replay 2x", "--replay needs the event time: give --time COLUMN:UNIT"},
        {"--source a.csv --key a,,b", "--key: expected one to 8 column names"},
        {"--source a.csv --key a,b,c,d,e,f,g,h,i", "--key: expected one to 8 column names"},
        {"--source a.csv --key a,b,a", "--key names 'a' twice"},
        {"--source a.csv --key anomaly", "--key anomaly: every row has a column of this name already"},
        {"--source a.csv --aggregate sum", "'sum': expected name=function(column)"},
        {"--source a.csv --key k --aggregate k=sum(x)", "two output columns are called 'k'"},
        {"--source a.csv --max-keys 0", "--max-keys 0: expected a number from 1 to 100000000"},
        {"--source a.csv --workers 65", "--workers 65: expected a number from 1 to 64"},
        {"--source a.csv --keep x", "--keep x: expected a number from 1 to 1000000"},
        {"--source a.jsonl --columns a", "--columns and --delimiter go with csv; jsonl names its fields itself"},
        {"--source a.lp --delimiter ;", "--columns and --delimiter go with csv; influx names"},
        {"--source ingest://", "--source ingest:// lacks the name"},
        {"--source ingest://a --source ingest://a", "--source ingest://a is given twice"},
        {"--key a", "host:// brings its own streams"},
        {"--source a.csv --source host://", "host:// brings its own streams"},
        {"--source python:// --key a", "python:// brings its own streams"},
        {"--source python:// --source a.csv", "python:// brings its own streams"},
        {"--source python:// --source python://?pid=1", "python:// go once each"},
        {"--source a.csv --sink jsonl:- --keep 5", "--keep is about the dashboard"},
        {"--source a.csv --sink jsonl:- --host h", "--host is about the dashboard"},
        {"--source a.csv --sink jsonl:- --no-auth", "--no-auth is about the dashboard"},
        {"--source a.csv --no-auth --token-file t", "--no-auth lets anyone in, --token-file does not"},
        {"--source a.csv --token-file /nowhere/at/all", "cannot read the token from /nowhere/at/all: No such file"},
        {"--source a.csv --token-file /dev/null", "the first line of /dev/null must be the token"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_error err = {0};
        words_split(&words, rows[i].text);
        enum sw_status status = sw_run_parse(&run, words.items, &err);
        if (status == SW_OK || !strstr(err.text, rows[i].said))
            fail_msg("'%s' gave %d '%s'", rows[i].text, status, err.text);
        sw_run_release(&run);
    }
}

static void more_than_fit(void **state) {
    static const struct {
        const char *word, *said;
        unsigned most;
    } rows[] = {{"--sink=jsonl:-", "more than 8 sinks", SW_MAX_SINKS},
                {"--host=h", "more than 8 names of --host", SW_RUN_HOSTS_MAX},
                {"--source=a.csv", "more than 64 sources", SW_MAX_SOURCES}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned more = 0; more < 2; more++) {
            char *items[SW_MAX_SOURCES + 4] = {NULL};
            char word[32];
            char source[] = "--source=b.csv";
            char listen_at[] = "--listen=:1";
            struct sw_error err = {0};
            snprintf(word, sizeof word, "%s", rows[i].word);
            for (unsigned k = 0; k < rows[i].most + more; k++)
                items[k] = word;
            if (i < 2) {
                items[rows[i].most + more] = source;
                items[rows[i].most + more + 1] = listen_at;
            }
            enum sw_status status = sw_run_parse(&run, items, &err);
            assert_int_equal(status, more ? SW_LIMIT : SW_OK);
            assert_true(!more || strstr(err.text, rows[i].said));
            sw_run_release(&run);
        }
}

static void help_needs_nothing_else(void **state) {
    parse("--help");
    assert_true(run.wants_help);
}

static void tokens(void **state) {
    static const struct {
        const char *file, *token;
    } rows[] = {{"secret\n", "secret"}, {" secret\r\nmore", "secret"},
                {"secret", "secret"},   {"\tx \n", "x"},
                {"\nsecret", NULL},     {"", NULL},
                {"  \n", NULL}};
    char path[] = "/tmp/sw-token-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[96];
        struct sw_error err = {0};
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, rows[i].file, strlen(rows[i].file), 0), (ssize_t)strlen(rows[i].file));
        snprintf(text, sizeof text, "--source a.csv --token-file %s", path);
        words_split(&words, text);
        assert_int_equal(sw_run_parse(&run, words.items, &err), rows[i].token ? SW_OK : SW_INVALID);
        if (rows[i].token)
            assert_str(run.token, rows[i].token);
        sw_run_release(&run);
    }
    close(fd);
    unlink(path);
    setenv("SIDEWINDER_TOKEN", "from outside", 1);
    parse("--source a.csv");
    assert_str(run.token, "from outside");
    sw_run_release(&run);
    parse("--source a.csv --no-auth");
    assert_int_equal(run.token.len, 0);
    sw_run_release(&run);
    parse("--source a.csv --sink jsonl:-");
    assert_int_equal(run.token.len, 0);
    unsetenv("SIDEWINDER_TOKEN");
}

static void every_allocation_may_fail(void **state) {
    static const char *const texts[] = {"",
                                        "--source a.csv --columns a,b,c --key a --aggregate sum(b),quantile(c,0.5)"};
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        enum sw_status status = SW_NOMEM;
        for (size_t nth = 1; status != SW_OK; nth++) {
            struct sw_error err = {0};
            assert_true(nth < 1000);
            words_split(&words, texts[t]);
            sw_mem_fail_at(nth);
            status = sw_run_parse(&run, words.items, &err);
            sw_mem_fail_at(0);
            assert_true(status == SW_OK || (status == SW_NOMEM && strstr(err.text, "out of memory")));
            sw_run_release(&run);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_this_machine, setup, teardown),
        cmocka_unit_test_setup_teardown(sensors_go_alone_or_together, setup, teardown),
        cmocka_unit_test_setup(a_file_and_the_defaults, setup),
        cmocka_unit_test_setup(names_and_formats_follow_from_the_source, setup),
        cmocka_unit_test_setup_teardown(everything_said, setup, teardown),
        cmocka_unit_test_setup(time_columns, setup),
        cmocka_unit_test_setup_teardown(what_formats_bring_along, setup, teardown),
        cmocka_unit_test_setup(who_gets_a_dashboard, setup),
        cmocka_unit_test_setup(refused, setup),
        cmocka_unit_test_setup(more_than_fit, setup),
        cmocka_unit_test_setup_teardown(help_needs_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(tokens, setup, teardown),
        cmocka_unit_test_setup(every_allocation_may_fail, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
