/* fractal_engine.c - Runs the Python engines as a child and takes what they computed; see fractal_engine.h.
 *
 * The child writes the values to a file both know and one JSON object a line to its stdout: {"progress": 0.25} now and
 * then, and at the end what it measured.
 */
#include "cli/fractal_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_read.h"
#include "base/num.h"
#include "cli/fractal_text.h"

#define LINE_MAX_BYTES (1u << 20) /* of the child's report */
#define WORDS_MAX 40
#define LOOK_MS 100
#define GRACE_NS (3 * SW_NS_PER_S)

extern char **environ;

struct program {
    const struct sw_engine_task *task;
    struct sw_draw *draw;
    struct sw_draw_facts *facts;
    char values[PATH_MAX]; /* the file; empty: not made */
    char texts[WORDS_MAX][64];
    struct sw_buf texts_long; /* the centre, which may have any number of digits */
    char *words[WORDS_MAX + 1];
    unsigned word_count;
    pid_t pid;             /* and process group; 0: not running */
    int pipes[2];          /* its stdout and stderr */
    struct sw_buf said[2]; /* read and not yet used */
    int64_t start_mono_ns;
    bool has_result;
};

static void word_add(struct program *program, const char *word) {
    program->words[program->word_count++] = (char *)(uintptr_t)word;
}

static char *word_room(struct program *program) {
    char *text = program->texts[program->word_count];
    word_add(program, text);
    return text;
}

static void number_add(struct program *program, const char *option, uint64_t number) {
    word_add(program, option);
    char *text = word_room(program);
    snprintf(text, sizeof program->texts[0], "%llu", (unsigned long long)number);
}

/* "--name=RE,IM", as a number may begin with a dash. */
static void pair_add(struct program *program, const char *option, double re, double im) {
    char *text = word_room(program);
    int length = snprintf(text, sizeof program->texts[0], "%s=", option);
    char *end = text + length;
    end += sw_num_format_f64(re, end);
    *end++ = ',';
    end += sw_num_format_f64(im, end);
    *end = '\0';
}

static enum sw_status center_add(struct program *program) {
    const struct sw_fractal_view *view = program->draw->view;
    enum sw_status status = sw_buf_append_format(&program->texts_long, "--center=%.*s,%.*s",
                                                 SW_STR_ARG(view->center_re), SW_STR_ARG(view->center_im));
    word_add(program, program->texts_long.ptr);
    return status;
}

static enum sw_status words_make(struct program *program) {
    const struct sw_engine_task *task = program->task;
    const struct sw_fractal_view *view = program->draw->view;
    word_add(program, task->request->python ? task->request->python : "python3");
    word_add(program, "-m");
    word_add(program, "sidewinder.fractal");
    word_add(program, "--engine");
    word_add(program, sw_fractal_engine_name(task->engine));
    if (task->pool) {
        word_add(program, "--pool");
        word_add(program, task->pool);
    }
    word_add(program, "--kind");
    word_add(program, sw_fractal_kind_name(view->kind));
    if (view->kind == SW_FRACTAL_JULIA)
        pair_add(program, "--julia", view->julia_re, view->julia_im);
    snprintf(word_room(program), sizeof program->texts[0], "--size=%ux%u", view->width, view->height);
    char *zoom = word_room(program);
    memcpy(zoom, "--zoom=", 7);
    zoom[7 + sw_num_format_f64(view->zoom, zoom + 7)] = '\0';
    number_add(program, "--workers", program->draw->worker_count);
    number_add(program, "--iterations", view->iterations);
    number_add(program, "--supersample", view->supersample);
    number_add(program, "--rounds", task->rounds);
    if (view->is_flat)
        word_add(program, "--no-smooth");
    word_add(program, "--json");
    word_add(program, "--values");
    word_add(program, program->values);
    return center_add(program);
}

static enum sw_status values_make(struct program *program, struct sw_error *err) {
    const char *folder = getenv("TMPDIR");
    snprintf(program->values, sizeof program->values, "%s/sidewinder-fractal.XXXXXX",
             folder && folder[0] && strlen(folder) < PATH_MAX - 40 ? folder : "/tmp");
    int fd = mkostemp(program->values, O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return SW_OK;
    }
    enum sw_status status = sw_fail_errno(err, errno, "cannot make a temporary file %s", program->values);
    program->values[0] = '\0';
    return status;
}

static int child_spawn(struct program *program, const int ends[2]) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigemptyset(&none);
    sigfillset(&all);
    int reason = posix_spawn_file_actions_init(&actions);
    if (reason)
        return reason;
    reason = posix_spawnattr_init(&attributes);
    if (reason) {
        posix_spawn_file_actions_destroy(&actions);
        return reason;
    }
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[0], 1);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    reason = posix_spawnp(&program->pid, program->words[0], &actions, &attributes, program->words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return reason;
}

static enum sw_status child_start(struct program *program, struct sw_error *err) {
    int out[2], errors[2];
    if (pipe2(out, O_CLOEXEC) != 0)
        return sw_fail_errno(err, errno, "cannot start %s", program->words[0]);
    if (pipe2(errors, O_CLOEXEC) != 0) {
        enum sw_status status = sw_fail_errno(err, errno, "cannot start %s", program->words[0]);
        close(out[0]);
        close(out[1]);
        return status;
    }
    int reason = child_spawn(program, (const int[]){out[1], errors[1]});
    close(out[1]);
    close(errors[1]);
    program->pipes[0] = out[0];
    program->pipes[1] = errors[0];
    if (!reason)
        return SW_OK;
    program->pid = 0;
    if (reason == ENOENT)
        return sw_fail(err, SW_NOTFOUND, "there is no interpreter %s; name one with --python", program->words[0]);
    return sw_fail_errno(err, reason, "cannot start %s", program->words[0]);
}

static void progress_tell(const struct program *program, double share) {
    char left[24];
    int64_t elapsed_ns = sw_clock_mono_ns() - program->start_mono_ns;
    if (program->task->request->is_quiet || !isatty(STDERR_FILENO) || !(share > 0 && share <= 1))
        return;
    fprintf(stderr, "\r\033[K%s%s%s, %u worker%s: %.1f %%, %s left", sw_fractal_engine_name(program->task->engine),
            program->task->pool ? ", " : "", program->task->pool ? program->task->pool : "",
            program->draw->worker_count, program->draw->worker_count == 1 ? "" : "s", 100 * share,
            sw_fractal_time_text((double)elapsed_ns * (1 - share) / share, left));
}

static bool number_read(struct sw_json_reader *reader, double *number) {
    struct sw_json_token token;
    if (sw_json_read(reader, &token) != SW_OK || token.kind != SW_JSON_NUMBER)
        return false;
    return sw_num_parse_f64(token.text.ptr, token.text.ptr + token.text.len, number) && *number >= 0;
}

/* One worker's object, behind its brace. */
static bool worker_read(struct program *program, struct sw_json_reader *reader, unsigned index) {
    struct sw_json_token token;
    double number;
    while (sw_json_read(reader, &token) == SW_OK && token.kind == SW_JSON_KEY) {
        if (!number_read(reader, &number))
            return false;
        if (index >= program->draw->worker_count)
            continue;
        struct sw_draw_worker *worker = &program->draw->workers[index];
        if (sw_str_eq(token.text, SW_STR("tiles")))
            atomic_store(&worker->tiles, (uint64_t)number);
        else if (sw_str_eq(token.text, SW_STR("busy_ns")))
            atomic_store(&worker->busy_ns, (int64_t)number);
        else if (sw_str_eq(token.text, SW_STR("cpu_ns")))
            worker->cpu_ns = (int64_t)number;
        else if (sw_str_eq(token.text, SW_STR("pixels")))
            atomic_store(&worker->pixels, (uint64_t)number);
        else if (sw_str_eq(token.text, SW_STR("iterations")))
            atomic_store(&worker->iterations, worker->computed = (uint64_t)number);
    }
    return token.kind == SW_JSON_OBJECT_END;
}

static bool workers_read(struct program *program, struct sw_json_reader *reader) {
    struct sw_json_token token;
    if (sw_json_read(reader, &token) != SW_OK || token.kind != SW_JSON_ARRAY)
        return false;
    for (unsigned i = 0; i < SW_FRACTAL_WORKERS_MAX * 4; i++) { /* more than were asked for: some were replaced */
        if (sw_json_read(reader, &token) != SW_OK)
            return false;
        if (token.kind == SW_JSON_ARRAY_END)
            return true;
        if (token.kind != SW_JSON_OBJECT || !worker_read(program, reader, i))
            return false;
    }
    return false;
}

static bool member_read(struct program *program, struct sw_json_reader *reader, struct sw_str key) {
    struct sw_draw_facts *facts = program->facts;
    struct sw_json_token token;
    double number;
    if (sw_str_eq(key, SW_STR("per_worker")))
        return workers_read(program, reader);
    if (sw_str_eq(key, SW_STR("pool"))) {
        if (sw_json_read(reader, &token) != SW_OK || token.kind != SW_JSON_STRING)
            return false;
        snprintf(facts->pool, sizeof facts->pool, "%.*s", SW_STR_ARG(token.text));
        return true;
    }
    if (!number_read(reader, &number))
        return false;
    if (sw_str_eq(key, SW_STR("progress")))
        progress_tell(program, number);
    else if (sw_str_eq(key, SW_STR("start_ns")))
        facts->start_ns = (int64_t)number;
    else if (sw_str_eq(key, SW_STR("tiles_ns")))
        facts->render_ns = (int64_t)number;
    else if (sw_str_eq(key, SW_STR("rounds")))
        facts->rounds = (unsigned)number;
    else if (sw_str_eq(key, SW_STR("iterations"))) {
        facts->iterations = (uint64_t)number;
        program->has_result = true;
    }
    return true; /* others are for other readers */
}

static bool line_read(struct program *program, struct sw_str line) {
    struct sw_json_reader reader;
    struct sw_json_token token;
    sw_json_reader_init(&reader, line);
    if (sw_json_read(&reader, &token) != SW_OK || token.kind != SW_JSON_OBJECT)
        return false;
    while (sw_json_read(&reader, &token) == SW_OK && token.kind == SW_JSON_KEY)
        if (!member_read(program, &reader, token.text))
            return false;
    return token.kind == SW_JSON_OBJECT_END;
}

static enum sw_status lines_read(struct program *program, struct sw_error *err) {
    struct sw_buf *said = &program->said[0];
    for (;;) {
        struct sw_str text = sw_buf_view(said);
        size_t length = sw_str_find(text, '\n');
        if (length == text.len)
            break;
        if (!line_read(program, sw_str_make(text.ptr, length)))
            return sw_fail(err, SW_MALFORMED,
                           "%s -m sidewinder.fractal said what is not understood here: %.*s; is its "
                           "package of the same version?",
                           program->words[0], (int)(length < 80 ? length : 80), text.ptr);
        sw_buf_consume(said, length + 1);
    }
    return said->len <= LINE_MAX_BYTES
               ? SW_OK
               : sw_fail(err, SW_LIMIT, "%s -m sidewinder.fractal wrote a line without end", program->words[0]);
}

/* False when the pipe is at its end. */
static bool pipe_read(struct program *program, int which) {
    char bytes[8192];
    ssize_t count = read(program->pipes[which], bytes, sizeof bytes);
    if (count < 0 && errno == EINTR)
        return true;
    if (count <= 0)
        return false;
    if (which == 1 && program->said[1].len > LINE_MAX_BYTES)
        sw_buf_clear(&program->said[1]); /* the last words count */
    return sw_buf_append(&program->said[which], sw_str_make(bytes, (size_t)count)) == SW_OK;
}

/* Reads until both pipes are at their end. */
static enum sw_status child_follow(struct program *program, struct sw_error *err) {
    struct pollfd polls[2] = {{program->pipes[0], POLLIN, 0}, {program->pipes[1], POLLIN, 0}};
    const atomic_bool *is_cancelled = program->draw->is_cancelled;
    enum sw_status status = SW_OK;
    while ((polls[0].fd >= 0 || polls[1].fd >= 0) && !status) {
        int ready = poll(polls, 2, LOOK_MS);
        if (is_cancelled && atomic_load(is_cancelled))
            return sw_fail(err, SW_INTERRUPTED, "interrupted");
        for (int i = 0; i < 2 && ready > 0; i++)
            if (polls[i].revents && !pipe_read(program, i))
                polls[i].fd = -1;
        status = lines_read(program, err);
    }
    return status;
}

/* Ends the child and all of its group, however far they are. */
static void child_end(struct program *program) {
    if (program->pid == 0)
        return;
    int64_t until_ns = sw_clock_mono_ns() + GRACE_NS;
    (void)kill(-program->pid, SIGTERM);
    while (waitpid(program->pid, NULL, WNOHANG) == 0 && sw_clock_mono_ns() < until_ns)
        sw_clock_sleep_ns(5 * SW_NS_PER_MS);
    (void)kill(-program->pid, SIGKILL);
    (void)waitpid(program->pid, NULL, 0);
    program->pid = 0;
}

/* The last line that is not empty. */
static struct sw_str last_words(const struct sw_buf *said) {
    struct sw_str rest = sw_buf_view(said), last = {NULL, 0};
    while (rest.ptr) {
        struct sw_str line = sw_str_trim(sw_str_cut(&rest, '\n'));
        if (line.len > 0)
            last = line;
    }
    last.len = last.len < 200 ? last.len : 200;
    return last;
}

static enum sw_status child_wait(struct program *program, struct sw_error *err) {
    int end = 0;
    while (waitpid(program->pid, &end, 0) < 0 && errno == EINTR)
        continue;
    program->pid = 0;
    struct sw_str words = last_words(&program->said[1]);
    if (WIFSIGNALED(end))
        return sw_fail(err, SW_CLOSED, "%s was ended by signal %d", program->words[0], WTERMSIG(end));
    if (WEXITSTATUS(end) == 0 && program->has_result)
        return SW_OK;
    if (words.len > 0 && memmem(words.ptr, words.len, "sidewinder", 10) && memmem(words.ptr, words.len, "module", 6))
        return sw_fail(err, SW_NOTFOUND,
                       "%s has no sidewinder package (%.*s); install it there (pip install .), or name another "
                       "interpreter with --python",
                       program->words[0], SW_STR_ARG(words));
    return sw_fail(err, SW_CLOSED, "%s -m sidewinder.fractal failed: %.*s", program->words[0], SW_STR_ARG(words));
}

/* The child's values as memory; *size is 0 on failure. */
static enum sw_status values_map(struct program *program, const float **values, size_t *size, struct sw_error *err) {
    const struct sw_fractal_view *view = program->draw->view;
    size_t wanted = (size_t)view->width * view->height * view->supersample * view->supersample * sizeof(float);
    struct stat is;
    int fd = open(program->values, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sw_fail_errno(err, errno, "cannot read %s", program->values);
    if (fstat(fd, &is) != 0 || (size_t)is.st_size != wanted) {
        close(fd);
        return sw_fail(err, SW_MALFORMED, "%s -m sidewinder.fractal wrote %lld bytes of values in place of %zu",
                       program->words[0], (long long)is.st_size, wanted);
    }
    void *map = mmap(NULL, wanted, PROT_READ, MAP_SHARED, fd, 0);
    int reason = errno;
    close(fd);
    if (map == MAP_FAILED)
        return sw_fail_errno(err, reason, "cannot map %s", program->values);
    *values = map;
    *size = wanted;
    return SW_OK;
}

/* Colours what the child computed. The workers' counters stay the child's. */
static enum sw_status values_draw(struct program *program, struct sw_draw_facts *facts, struct sw_error *err) {
    struct sw_draw draw = *program->draw;
    struct sw_draw_facts painted;
    size_t size = 0;
    draw.workers = NULL;
    draw.band = NULL;
    enum sw_status status = sw_draw_begin(&draw, err);
    if (status)
        return status;
    status = values_map(program, &draw.values, &size, err);
    if (!status)
        status = sw_draw_run(&draw, &painted, err);
    if (size > 0)
        (void)munmap((void *)(uintptr_t)draw.values, size);
    sw_draw_end(&draw);
    if (status)
        return status;
    facts->encode_ns = painted.total_ns - painted.write_ns;
    facts->write_ns = painted.write_ns;
    facts->file_bytes = painted.file_bytes;
    facts->total_ns = facts->start_ns + facts->render_ns + painted.total_ns;
    return SW_OK;
}

static void facts_sum(const struct program *program, struct sw_draw_facts *facts) {
    const struct sw_fractal_view *view = program->draw->view;
    facts->workers = program->draw->worker_count;
    facts->pixels = (uint64_t)view->width * view->height;
    facts->points = facts->pixels * view->supersample * view->supersample;
    facts->computed = facts->iterations;
    for (unsigned i = 0; i < facts->workers; i++) {
        int64_t busy_ns = atomic_load(&program->draw->workers[i].busy_ns);
        facts->tiles += atomic_load(&program->draw->workers[i].tiles);
        facts->busy_ns += busy_ns;
        facts->busiest_ns = busy_ns > facts->busiest_ns ? busy_ns : facts->busiest_ns;
        facts->cpu_ns += program->draw->workers[i].cpu_ns;
    }
}

enum sw_status sw_engine_draw(const struct sw_engine_task *task, struct sw_draw *draw, struct sw_draw_facts *facts,
                              struct sw_error *err) {
    struct sw_draw_facts taken = {0};
    struct program program = {.task = task, .draw = draw, .facts = &taken, .pipes = {-1, -1}};
    program.start_mono_ns = sw_clock_mono_ns();
    enum sw_status status = values_make(&program, err);
    if (!status && words_make(&program))
        status = sw_fail(err, SW_NOMEM, "cannot start a Python engine: out of memory");
    if (!status)
        status = child_start(&program, err);
    if (!status)
        status = child_follow(&program, err);
    if (!status)
        status = child_wait(&program, err);
    child_end(&program);
    if (!task->request->is_quiet && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (!status)
        status = values_draw(&program, &taken, err);
    if (!status) {
        facts_sum(&program, &taken);
        *facts = taken;
    }
    for (int i = 0; i < 2; i++) {
        if (program.pipes[i] >= 0)
            close(program.pipes[i]);
        sw_buf_release(&program.said[i]);
    }
    if (program.values[0])
        (void)unlink(program.values);
    sw_buf_release(&program.texts_long);
    return status;
}
