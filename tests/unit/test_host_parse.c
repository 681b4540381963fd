/* test_host_parse.c - The host reader's parsers: known texts, texts cut at every byte, and garbage. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe/host_impl.h"

#define STAT_LINE "4242 (a (b) c) R 1 4242 4242 34816 -1 4194304 102 5 3 6 70 30 1 2 -20 -5 17 0 84499 3133440 413 0\n"

/* A text that ends where an unreadable page begins, so that reading past it faults. */
struct flush {
    char *map;
    size_t size;
    struct sw_str text;
};

static struct flush flush_make(struct sw_str text) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (text.len + page - 1) / page * page;
    struct flush flush = {.size = body + page};
    flush.map = mmap(NULL, flush.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(flush.map, MAP_FAILED);
    assert_int_equal(mprotect(flush.map + body, page, PROT_NONE), 0);
    flush.text = sw_str_make(flush.map + body - text.len, text.len);
    memcpy(flush.map + body - text.len, text.ptr, text.len);
    return flush;
}

static void parse_with_all(struct sw_str text) {
    struct sw_host_machine machine;
    struct sw_host_pid_stat stat;
    struct sw_host_cpu_ticks cpus[2];
    struct sw_host_disk_counts disks[2];
    struct sw_host_net_counts nets[2];
    double values[SW_HOST_STAT_KEYS + SW_HOST_VM_KEYS];
    sw_host_parse_cpus(text, cpus, 2);
    sw_host_parse_stat(text, values);
    sw_host_parse_meminfo(text, &machine);
    sw_host_parse_vmstat(text, values);
    sw_host_parse_loadavg(text, &machine);
    sw_host_parse_pressure(text);
    sw_host_parse_disks(text, disks, 2);
    sw_host_parse_nets(text, nets, 2);
    sw_host_parse_pid_stat(text, &stat);
    sw_host_parse_schedstat(text);
    sw_host_parse_status(text);
    sw_host_parse_pid_io(text, &values[0], &values[1]);
}

static void pid_stat_reads_names_with_brackets(void **state) {
    struct sw_host_pid_stat stat;
    assert_true(sw_host_parse_pid_stat(SW_STR(STAT_LINE), &stat));
    assert_int_equal(stat.pid, 4242);
    assert_string_equal(stat.name, "a (b) c");
    assert_int_equal(stat.state, 'R');
    assert_true(stat.minor_faults == 102 && stat.major_faults == 3);
    assert_true(stat.cpu_ticks == 100 && stat.threads == 17 && stat.rss_pages == 413);
    assert_int_equal(stat.start_ticks, 84499);
}

static void pid_stat_reads_names_with_line_ends(void **state) {
    struct sw_host_pid_stat stat;
    assert_true(
        sw_host_parse_pid_stat(SW_STR("7 (two\nlines) S 1 7 7 0 -1 0 1 0 0 0 2 3 0 0 20 0 1 0 5 0 9\n"), &stat));
    assert_string_equal(stat.name, "two\nlines");
    assert_int_equal(stat.state, 'S');
    assert_int_equal(stat.start_ticks, 5);
}

static void pid_stat_refuses_what_is_cut_or_garbage(void **state) {
    static const char *const rows[] = {
        "",
        "\n",
        "1\n",
        "1 (x\n",
        "1 )x(\n",
        "1 () R\n",
        "x (y) R 1 1 1 0 -1 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
        "99999999999 (y) R 1 1 1 0 -1 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
        "1 (y) RR 1 1 1 0 -1 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
        "1 (y) R 1 1 1 0 -1 0 1 1 1 1 1 1 1 1 1 1 1 1 -1 1 1 1\n",
    };
    struct sw_host_pid_stat stat = {.pid = 77};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_false(sw_host_parse_pid_stat(sw_str_from(rows[i]), &stat));
    }
    for (size_t len = 0; len < sizeof STAT_LINE - 1; len++) {
        struct flush flush = flush_make(sw_str_make(STAT_LINE, len));
        assert_false(sw_host_parse_pid_stat(flush.text, &stat));
        munmap(flush.map, flush.size);
    }
    assert_int_equal(stat.pid, 77); /* untouched */
}

static void long_names_are_cut(void **state) {
    char text[400];
    char name[200];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(text, sizeof text, "1 (%s) S 1 1 1 0 -1 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", name);
    struct sw_host_pid_stat stat;
    assert_true(sw_host_parse_pid_stat(sw_str_from(text), &stat));
    assert_int_equal(strlen(stat.name), SW_HOST_NAME_MAX - 1);
}

static void a_line_cut_short_gives_no_number(void **state) {
    double values[2];
    static const struct sw_str keys[] = {{"one", 3}, {"two", 3}};
    sw_host_parse_keys(SW_STR("one: 12 kB\ntwo: 345"), keys, 2, values);
    assert_true(values[0] == 12 && isnan(values[1]));
    sw_host_parse_keys(SW_STR("onetwo 1\none x\none 5\none 6\n\n:\n"), keys, 2, values);
    assert_true(values[0] == 5 && isnan(values[1]));
}

static void numbers_too_large_are_absent(void **state) {
    struct sw_str line = SW_STR("18446744073709551615 18446744073709551616 7");
    assert_true(sw_host_next_number(&line) == 18446744073709551615.0);
    assert_true(isnan(sw_host_next_number(&line)));
    assert_true(sw_host_next_number(&line) == 7);
    assert_true(isnan(sw_host_next_number(&line)));
}

static void cpus_of_old_kernels_lack_kinds(void **state) {
    struct sw_host_cpu_ticks before, now;
    assert_int_equal(sw_host_parse_cpus(SW_STR("cpu 1 2 3 4\n"), &before, 1), 1);
    assert_int_equal(sw_host_parse_cpus(SW_STR("cpu 11 12 13 74\nctxt 1\ncpu9 1 2 3 4\n"), &now, 1), 1);
    struct sw_host_cpu cpu;
    sw_host_cpu_percent(&before, &now, &cpu);
    assert_string_equal(cpu.name, "all");
    assert_true(cpu.user == 10 && cpu.nice == 10 && cpu.system == 10 && cpu.idle == 70 && cpu.busy == 30);
    assert_true(isnan(cpu.iowait) && isnan(cpu.steal) && isnan(cpu.guest));
    sw_host_cpu_percent(&now, &now, &cpu); /* no tick passed */
    assert_true(isnan(cpu.busy) && isnan(cpu.idle));
}

static void lists_longer_than_the_room_are_counted(void **state) {
    struct sw_host_cpu_ticks cpus[1];
    assert_int_equal(sw_host_parse_cpus(SW_STR("cpu 1 1 1 1\ncpu0 1 1 1 1\ncpux 1 1 1 1\ncpu1 2 2 2\n"), cpus, 1), 2);
    struct sw_host_net_counts nets[1];
    struct sw_str text =
        SW_STR("a: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\nb:1 2 3\neth0:1:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    assert_int_equal(sw_host_parse_nets(text, nets, 1), 2);
    assert_string_equal(nets[0].name, "a");
    assert_true(nets[0].rx_bytes == 1 && nets[0].tx_bytes == 9 && nets[0].errors == 14 && nets[0].drops == 16);
}

static void loadavg_and_pressure_tolerate_garbage(void **state) {
    struct sw_host_machine machine;
    sw_host_parse_loadavg(SW_STR("0.25 nan 1e999 3/9 1\n"), &machine);
    assert_true(machine.load1 == 0.25 && isnan(machine.load5) && isnan(machine.load15) && machine.threads_running == 3);
    sw_host_parse_loadavg(SW_STR("0.25 0.5 0.75 3/9 1"), &machine);
    assert_true(isnan(machine.load1));
    struct sw_host_pressure pressure =
        sw_host_parse_pressure(SW_STR("some avg10=1 total=9\nfull total=x\nmore total=3\n"));
    assert_true(pressure.some == 9 && isnan(pressure.full));
}

static void ids_are_plain_numbers(void **state) {
    static const struct {
        const char *name;
        int32_t id;
    } rows[] = {{"1", 1},          {"2147483647", INT32_MAX},
                {"2147483648", 0}, {"0", 0},
                {"", 0},           {"self", 0},
                {"12a", 0},        {"-1", 0},
                {"01", 0},         {"99999999999999999999", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(sw_host_parse_id(rows[i].name), rows[i].id);
    }
}

static void schedstat_without_statistics_is_absent(void **state) {
    assert_true(sw_host_parse_schedstat(SW_STR("174 157 438\n")) == 438);
    assert_true(isnan(sw_host_parse_schedstat(SW_STR("0 0 0\n"))));
    assert_true(isnan(sw_host_parse_schedstat(SW_STR("174 157 438"))));
}

/* Every prefix, and random bytes, flush against an unreadable page. */
static void no_parser_reads_past_its_text(void **state) {
    static const char text[] = "cpu  1 2 3 4 5\ncpu0 1 2 3 4\nintr 1 2\nMemTotal: 5 kB\nsome avg10=0.00 total=8\n"
                               " 8 0 sda 1 2 3 4 5 6 7 8 9 10\n lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n" STAT_LINE
                               "read_bytes: 1\nvoluntary_ctxt_switches:\t3\n0.1 0.2 0.3 4/5 6\n";
    for (size_t len = 0; len < sizeof text; len++) {
        for (size_t start = 0; start < len && len - start < 90; start += 7) {
            struct flush flush = flush_make(sw_str_make(text + start, len - start));
            parse_with_all(flush.text);
            munmap(flush.map, flush.size);
        }
    }
    unsigned seed = 20240601;
    print_message("seed %u\n", seed);
    srand(seed);
    static const char alphabet[] = " \t\n:()=/0123456789.cpuintr-\xff";
    for (int round = 0; round < 500; round++) {
        char noise[300];
        size_t len = (size_t)rand() % sizeof noise;
        for (size_t i = 0; i < len; i++) {
            noise[i] = alphabet[(size_t)rand() % sizeof alphabet];
        }
        struct flush flush = flush_make(sw_str_make(noise, len));
        parse_with_all(flush.text);
        munmap(flush.map, flush.size);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(pid_stat_reads_names_with_brackets),
        cmocka_unit_test(pid_stat_reads_names_with_line_ends),
        cmocka_unit_test(pid_stat_refuses_what_is_cut_or_garbage),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(a_line_cut_short_gives_no_number),
        cmocka_unit_test(numbers_too_large_are_absent),
        cmocka_unit_test(cpus_of_old_kernels_lack_kinds),
        cmocka_unit_test(lists_longer_than_the_room_are_counted),
        cmocka_unit_test(loadavg_and_pressure_tolerate_garbage),
        cmocka_unit_test(ids_are_plain_numbers),
        cmocka_unit_test(schedstat_without_statistics_is_absent),
        cmocka_unit_test(no_parser_reads_past_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
