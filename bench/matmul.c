/* matmul.c - GFLOP/s of the matrix product beside OpenBLAS, in one process, round about, best of several rounds.
 *
 * Peers: the OpenBLAS inside NumPy's wheel, the system's libopenblas, and any library named by --openblas. Bars: n =
 * 1000 at least 0.97 of the peers at 1 and 2 threads; n = 128 to 512 at 2 threads at least 1.1; n <= 64 at least 0.8.
 */
#include <dlfcn.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "kernels/matmul.h"
#include "pool/team.h"

enum { PEERS_MAX = 4, SIZES_MAX = 32, ROUNDS = 7, SAMPLE_NS = 4000000 };

/* OpenBLAS's threads spin after a call, those of 0.3.31 for 2^28 cycles: who is next waits until they sleep. */
enum { QUIET_NS = 130000000 };

enum { ROW_MAJOR = 101, NO_TRANS = 111 };

typedef void (*gemm_f64_long)(int, int, int, int64_t, int64_t, int64_t, double, const double *, int64_t, const double *,
                              int64_t, double, double *, int64_t);
typedef void (*gemm_f64_int)(int, int, int, int, int, int, double, const double *, int, const double *, int, double,
                             double *, int);
typedef void (*gemm_f32_long)(int, int, int, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *,
                              int64_t, float, float *, int64_t);
typedef void (*gemm_f32_int)(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                             float *, int);

struct peer {
    const char *name;
    void *gemm[2]; /* by dtype; NULL: ours */
    bool is_long;  /* integers of 64 bits */
    void (*set_threads)(int);
    const char *(*config)(void);
};

struct task {
    size_t size;
    enum sw_dtype dtype;
    unsigned threads;
    struct sw_parallel *parallel; /* NULL: 1 thread */
    void *a, *b, *out;
};

static struct sw_array matrix_of(const struct task *task, void *data) {
    ptrdiff_t item = (ptrdiff_t)sw_dtype_size(task->dtype);
    return (struct sw_array){.data = data,
                             .dtype = task->dtype,
                             .dims = 2,
                             .shape = {task->size, task->size},
                             .strides = {(ptrdiff_t)task->size * item, item}};
}

static void multiply_ours(const struct task *task) {
    struct sw_array a = matrix_of(task, task->a), b = matrix_of(task, task->b), out = matrix_of(task, task->out);
    if (sw_matmul(&a, &b, &out, task->parallel) != SW_OK)
        abort();
}

static void multiply_long(const struct peer *peer, const struct task *task) {
    int64_t n = (int64_t)task->size;
    void *gemm = peer->gemm[task->dtype];
    if (task->dtype == SW_F64)
        ((gemm_f64_long)gemm)(ROW_MAJOR, NO_TRANS, NO_TRANS, n, n, n, 1.0, task->a, n, task->b, n, 0.0, task->out, n);
    else
        ((gemm_f32_long)gemm)(ROW_MAJOR, NO_TRANS, NO_TRANS, n, n, n, 1.0f, task->a, n, task->b, n, 0.0f, task->out, n);
}

static void multiply_int(const struct peer *peer, const struct task *task) {
    int n = (int)task->size;
    void *gemm = peer->gemm[task->dtype];
    if (task->dtype == SW_F64)
        ((gemm_f64_int)gemm)(ROW_MAJOR, NO_TRANS, NO_TRANS, n, n, n, 1.0, task->a, n, task->b, n, 0.0, task->out, n);
    else
        ((gemm_f32_int)gemm)(ROW_MAJOR, NO_TRANS, NO_TRANS, n, n, n, 1.0f, task->a, n, task->b, n, 0.0f, task->out, n);
}

static void multiply(const struct peer *peer, const struct task *task) {
    if (!peer->gemm[task->dtype])
        multiply_ours(task);
    else if (peer->is_long)
        multiply_long(peer, task);
    else
        multiply_int(peer, task);
}

/* A symbol of OpenBLAS: "", or SciPy's prefix and suffix. */
static void *symbol(void *library, const char *name, bool is_long) {
    char text[64];
    snprintf(text, sizeof(text), is_long ? "scipy_%s64_" : "%s", name);
    return dlsym(library, text);
}

/* False when `path` is no OpenBLAS. */
static bool peer_open(struct peer *peer, const char *name, const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return false;
    bool is_long = symbol(library, "cblas_dgemm", true) != NULL;
    *peer = (struct peer){
        .name = name,
        .gemm = {symbol(library, "cblas_dgemm", is_long), symbol(library, "cblas_sgemm", is_long)},
        .is_long = is_long,
        .set_threads = (void (*)(int))symbol(library, "openblas_set_num_threads", is_long),
        .config = (const char *(*)(void))symbol(library, "openblas_get_config", is_long),
    };
    return peer->gemm[SW_F64] && peer->gemm[SW_F32] && peer->set_threads;
}

/* The library inside the wheel of the NumPy that `python` imports. */
static bool numpy_library(char path[1024]) {
    FILE *pipe = popen("${PYTHON:-.venv/bin/python} -c 'import glob, os, numpy\n"
                       "print(glob.glob(os.path.dirname(numpy.__file__) + \".libs/libscipy_openblas*\")[0])' 2>&1",
                       "r");
    bool is_found = pipe && fgets(path, 1024, pipe) && path[0] == '/';
    if (pipe)
        pclose(pipe);
    path[strcspn(path, "\n")] = '\0';
    return is_found;
}

#if defined(__x86_64__)
#include <immintrin.h>

enum { CHAINS = 24, FUSED = 20000, PARTS = 32 };

/* FUSED rounds of CHAINS independent multiply-adds for each iteration. */
__attribute__((target("avx512f"))) static void fuse_avx512(void *context, size_t first, size_t last, unsigned lane) {
    __m512d sums[CHAINS], x = _mm512_set1_pd(1e-9), y = _mm512_set1_pd(0.999);
#pragma GCC unroll 24
    for (int c = 0; c < CHAINS; c++)
        sums[c] = _mm512_set1_pd(c);
    for (size_t i = 0; i < FUSED * (last - first); i++) {
#pragma GCC unroll 24
        for (int c = 0; c < CHAINS; c++)
            sums[c] = _mm512_fmadd_pd(sums[c], y, x);
    }
#pragma GCC unroll 24
    for (int c = 0; c < CHAINS; c++)
        ((volatile double *)context)[lane] = _mm512_reduce_add_pd(sums[c]);
}

__attribute__((target("avx2,fma"))) static void fuse_avx2(void *context, size_t first, size_t last, unsigned lane) {
    enum { YMM_CHAINS = CHAINS / 2 };
    __m256d sums[YMM_CHAINS], x = _mm256_set1_pd(1e-9), y = _mm256_set1_pd(0.999);
#pragma GCC unroll 12
    for (int c = 0; c < YMM_CHAINS; c++)
        sums[c] = _mm256_set1_pd(c);
    for (size_t i = 0; i < 2 * FUSED * (last - first); i++) {
#pragma GCC unroll 12
        for (int c = 0; c < YMM_CHAINS; c++)
            sums[c] = _mm256_fmadd_pd(sums[c], y, x);
    }
#pragma GCC unroll 12
    for (int c = 0; c < YMM_CHAINS; c++)
        ((volatile double *)context)[lane] = _mm256_cvtsd_f64(sums[c]);
}

/* GFLOP/s that multiply-adds alone reach; 0: not measured. */
static double ceiling(struct sw_parallel *parallel, enum sw_dtype dtype) {
    double sink[SW_TEAM_LANES];
    bool is_wide = sw_cpu_level() >= SW_CPU_AVX512;
    if (sw_cpu_level() < SW_CPU_AVX2)
        return 0;
    struct sw_parallel_loop loop = {PARTS, 1, is_wide ? fuse_avx512 : fuse_avx2, sink};
    int64_t best_ns = INT64_MAX;
    sw_clock_sleep_ns(QUIET_NS);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin_ns = sw_clock_mono_ns();
        sw_parallel_run(parallel, &loop);
        int64_t spent_ns = sw_clock_mono_ns() - begin_ns;
        best_ns = spent_ns < best_ns ? spent_ns : best_ns;
    }
    double flops = (double)PARTS * FUSED * CHAINS * (is_wide ? 16.0 : 8.0) * (dtype == SW_F32 ? 2.0 : 1.0);
    return flops / (double)best_ns;
}
#else
static double ceiling(struct sw_parallel *parallel, enum sw_dtype dtype) {
    return 0;
}
#endif

/* GFLOP/s of one sample: as many products as take SAMPLE_NS. */
static double sample(const struct peer *peer, const struct task *task, int repeats) {
    if (task->threads > 1)
        sw_clock_sleep_ns(QUIET_NS);
    multiply(peer, task);
    multiply(peer, task);
    int64_t begin_ns = sw_clock_mono_ns();
    for (int i = 0; i < repeats; i++)
        multiply(peer, task);
    double spent_ns = (double)(sw_clock_mono_ns() - begin_ns), n = (double)task->size;
    return 2.0 * n * n * n * repeats / spent_ns;
}

static int repeats_for(const struct task *task) {
    double flops = 2.0 * (double)task->size * (double)task->size * (double)task->size;
    double repeats = SAMPLE_NS * 100.0 * task->threads / flops;
    return repeats < 1 ? 1 : repeats > 100000 ? 100000 : (int)repeats;
}

static void run_task(const struct task *task, const struct peer *peers, int count, double ceiling_gflops) {
    double best[PEERS_MAX] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < count; i++) {
            double gflops = sample(&peers[i], task, repeats_for(task));
            best[i] = gflops > best[i] ? gflops : best[i];
        }
    }
    printf("%5zu %7u %8.1f", task->size, task->threads, best[0]);
    if (ceiling_gflops > 0)
        printf("  %5.1f %%", 100 * best[0] / ceiling_gflops);
    else
        printf("        -");
    for (int i = 1; i < count; i++)
        printf("  %8.1f %6.2f", best[i], best[0] / best[i]);
    printf("\n");
    fflush(stdout);
}

static void fill(void *data, size_t count, enum sw_dtype dtype) {
    for (size_t i = 0; i < count; i++) {
        double value = (double)(i * 7919 % 1000) / 1000 - 0.5;
        if (dtype == SW_F64)
            ((double *)data)[i] = value;
        else
            ((float *)data)[i] = (float)value;
    }
}

static void run_threads(unsigned threads, enum sw_dtype dtype, const size_t *sizes, struct peer *peers) {
    struct task task = {.dtype = dtype, .threads = threads, .parallel = threads > 1 ? sw_team_shared(threads) : NULL};
    double most = ceiling(task.parallel, dtype);
    int count = 1;
    printf("\n%s, %u thread%s", dtype == SW_F64 ? "float64" : "float32", threads, threads == 1 ? "" : "s");
    if (most > 0)
        printf("; multiply-adds alone reach %.1f GFLOP/s", most);
    printf("\n    n threads  GFLOP/s  of FMA");
    for (; count < PEERS_MAX && peers[count].name; count++) {
        peers[count].set_threads((int)threads);
        printf("  %15s", peers[count].name);
    }
    printf("\n");
    for (; *sizes > 0; sizes++) {
        size_t items = *sizes * *sizes;
        task.size = *sizes;
        task.a = sw_alloc_aligned(64, items * sw_dtype_size(dtype));
        task.b = sw_alloc_aligned(64, items * sw_dtype_size(dtype));
        task.out = sw_alloc_aligned(64, items * sw_dtype_size(dtype));
        if (!task.a || !task.b || !task.out)
            abort();
        fill(task.a, items, dtype);
        fill(task.b, items, dtype);
        fill(task.out, items, dtype);
        run_task(&task, peers, count, most);
        sw_free(task.a);
        sw_free(task.b);
        sw_free(task.out);
    }
}

/* Comma-separated numbers; ends with a 0. */
static void parse_sizes(const char *text, size_t sizes[SIZES_MAX]) {
    size_t count = 0;
    char *end = NULL;
    for (; count + 1 < SIZES_MAX && *text; text = *end == ',' ? end + 1 : end) {
        sizes[count] = strtoul(text, &end, 10);
        if (end == text || sizes[count] == 0 || sizes[count] > 20000) {
            fprintf(stderr, "matmul: \"%s\" is not a list of sizes from 1 to 20000, such as 64,1000\n", text);
            exit(2);
        }
        count++;
    }
    sizes[count] = 0;
}

static void usage(FILE *to) {
    fputs("usage: matmul [--float32] [--sizes N,N,...] [--threads N,N,...] [--openblas LIBRARY]\n"
          "$PYTHON (.venv/bin/python) is asked for NumPy's OpenBLAS.\n",
          to);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"float32", no_argument, NULL, 'f'},
                                            {"sizes", required_argument, NULL, 's'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"openblas", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    size_t sizes[SIZES_MAX] = {32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1000, 1500, 2000},
           threads[SIZES_MAX] = {1, 2};
    struct peer peers[PEERS_MAX + 1] = {{.name = "sidewinder"}};
    enum sw_dtype dtype = SW_F64;
    char path[1024];
    int count = 1;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'f')
            dtype = SW_F32;
        else if (option == 's')
            parse_sizes(optarg, sizes);
        else if (option == 't')
            parse_sizes(optarg, threads);
        else if (option == 'o' && count < PEERS_MAX && peer_open(&peers[count], "given", optarg))
            count++;
        else if (option == 'o')
            fprintf(stderr, "matmul: %s is not an OpenBLAS, or one too many\n", optarg);
        else {
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (count < PEERS_MAX && numpy_library(path) && peer_open(&peers[count], "NumPy's OpenBLAS", path))
        count++;
    if (count < PEERS_MAX && peer_open(&peers[count], "libopenblas.so.0", "libopenblas.so.0"))
        count++;
    for (int i = 1; i < count; i++)
        printf("%s: %s\n", peers[i].name, peers[i].config ? peers[i].config() : "");
    if (count == 1)
        printf("no OpenBLAS found; --openblas names one\n");
    printf("instructions: %s\n", sw_cpu_level_name(sw_cpu_level()));
    for (size_t i = 0; threads[i] > 0; i++)
        run_threads((unsigned)threads[i], dtype, sizes, peers);
    return 0;
}
