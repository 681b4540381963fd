/* test_cpu.c - Processor features, and the cap on them; each answer in a process of its own, because it is cached. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cpu.h"

static enum sw_cpu_level level_under(const char *cap) {
    pid_t child = fork();
    if (child == 0) {
        if (cap) {
            setenv("SIDEWINDER_CPU", cap, 1);
        } else {
            unsetenv("SIDEWINDER_CPU");
        }
        enum sw_cpu_level first = sw_cpu_level();
        setenv("SIDEWINDER_CPU", "scalar", 1);
        _exit(sw_cpu_level() == first ? (int)first : 99); /* cached */
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    return (enum sw_cpu_level)WEXITSTATUS(how);
}

static void the_environment_caps_but_never_raises(void **state) {
    enum sw_cpu_level best = level_under(NULL);
    assert_in_range(best, SW_CPU_SCALAR, SW_CPU_AVX512);
    for (int cap = SW_CPU_SCALAR; cap <= SW_CPU_AVX512; cap++) {
        enum sw_cpu_level expected = cap < (int)best ? (enum sw_cpu_level)cap : best;
        assert_int_equal(level_under(sw_cpu_level_name((enum sw_cpu_level)cap)), expected);
    }
    assert_int_equal(level_under("pentium"), best);
    assert_int_equal(level_under(""), best);
}

static void the_level_agrees_with_the_processor(void **state) {
    enum sw_cpu_level best = level_under(NULL);
#if defined(__x86_64__)
    __builtin_cpu_init();
    assert_int_equal(best >= SW_CPU_AVX2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
                                              __builtin_cpu_supports("bmi") && __builtin_cpu_supports("fma"));
    assert_int_equal(best >= SW_CPU_SSE42, __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"));
#elif defined(__aarch64__)
    assert_int_equal(best, SW_CPU_NEON);
#else
    assert_int_equal(best, SW_CPU_SCALAR);
#endif
}

static void names(void **state) {
    assert_string_equal(sw_cpu_level_name(SW_CPU_SCALAR), "scalar");
    assert_string_equal(sw_cpu_level_name(SW_CPU_NEON), "neon");
    assert_string_equal(sw_cpu_level_name(SW_CPU_SSE42), "sse42");
    assert_string_equal(sw_cpu_level_name(SW_CPU_AVX2), "avx2");
    assert_string_equal(sw_cpu_level_name(SW_CPU_AVX512), "avx512");
}

static void the_count_follows_the_affinity(void **state) {
    int count = sw_cpu_count();
    assert_true(count >= 1 && count <= sysconf(_SC_NPROCESSORS_CONF));
    pid_t child = fork();
    if (child == 0) {
        cpu_set_t set;
        sched_getaffinity(0, sizeof(set), &set);
        size_t cpu = 0;
        while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &set)) {
            cpu++;
        }
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        _exit(sched_setaffinity(0, sizeof(set), &set) == 0 ? sw_cpu_count() : 99);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(WEXITSTATUS(how), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_caps_but_never_raises),
        cmocka_unit_test(the_level_agrees_with_the_processor),
        cmocka_unit_test(names),
        cmocka_unit_test(the_count_follows_the_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
