/* team.c - A team of threads that share a loop, with work stealing.
 *
 * A loop is cut into chunks of `grain` iterations. What a lane has left of its part is one 64-bit word, first chunk and
 * end, so that taking from the front and stealing the back half are one compare-and-swap each. Within a loop no word
 * ever has the same value twice, since its chunks were then done twice: there is no ABA.
 *
 * A lane joins a loop only while it is open (`state`), so the caller, which closes it when no chunk is left, waits for
 * those that joined and never for one that still sleeps.
 */
#include "pool/team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/thread.h"

#define SPINS 2000 /* some 40 us of pauses: the next loop of a caller that computes between loops comes sooner */
#define CHUNKS_MAX UINT32_MAX
#define CACHE_LINE 64

#define STATE_OPEN (UINT64_C(1) << 31)
#define STATE_ACTIVE (STATE_OPEN - 1) /* lanes that joined, besides the caller; above OPEN: the loop's number */

struct lane {
    _Alignas(CACHE_LINE) _Atomic uint64_t part; /* first chunk << 32 | end */
    struct sw_team *team;
    unsigned index;
    struct sw_thread thread;
    struct sw_parker parker;
    _Atomic int cpu; /* on which it left its last loop */
};

struct sw_team {
    struct sw_parallel parallel; /* first: a team is what its loops run on */
    pthread_mutex_t turn;        /* one loop at a time */
    struct sw_parallel_loop loop;
    struct sw_parker caller;
    _Alignas(CACHE_LINE) _Atomic uint64_t state;
    _Atomic bool is_closing;
    struct lane lanes[];
};

static void pause_cpu(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint64_t part_make(uint64_t first, uint64_t end) {
    return first << 32 | end;
}

static bool take(struct lane *lane, uint64_t *chunk) {
    uint64_t part = atomic_load_explicit(&lane->part, memory_order_relaxed);
    do {
        if (part >> 32 >= (part & UINT32_MAX))
            return false;
    } while (!atomic_compare_exchange_weak(&lane->part, &part, part + (UINT64_C(1) << 32)));
    *chunk = part >> 32;
    return true;
}

/* Moves the back half of the victim's part, at least one chunk, to the thief, whose own part is empty. */
static bool steal_from(struct lane *victim, struct lane *thief, uint64_t *chunk) {
    uint64_t part = atomic_load_explicit(&victim->part, memory_order_relaxed);
    uint64_t first, middle, end;
    do {
        first = part >> 32;
        end = part & UINT32_MAX;
        if (first >= end)
            return false;
        middle = first + (end - first) / 2;
    } while (!atomic_compare_exchange_weak(&victim->part, &part, part_make(first, middle)));
    atomic_store(&thief->part, part_make(middle + 1, end));
    *chunk = middle;
    return true;
}

static bool steal(struct sw_team *team, struct lane *thief, uint64_t *chunk) {
    for (unsigned i = 1; i < team->parallel.lanes; i++) {
        if (steal_from(&team->lanes[(thief->index + i) % team->parallel.lanes], thief, chunk))
            return true;
    }
    return false;
}

static void work(struct sw_team *team, struct lane *lane) {
    const struct sw_parallel_loop *loop = &team->loop;
    uint64_t chunk;
    while (take(lane, &chunk) || steal(team, lane, &chunk)) {
        size_t first = (size_t)chunk * loop->grain;
        size_t last = loop->count - first > loop->grain ? first + loop->grain : loop->count;
        loop->body(loop->context, first, last, lane->index);
    }
}

static uint32_t loop_number(const struct sw_team *team) {
    return (uint32_t)(atomic_load(&team->state) >> 32);
}

static bool join_loop(struct sw_team *team, uint32_t number) {
    uint64_t state = atomic_load(&team->state);
    do {
        if (state >> 32 != number || !(state & STATE_OPEN))
            return false;
    } while (!atomic_compare_exchange_weak(&team->state, &state, state + 1));
    return true;
}

static void leave_loop(struct sw_team *team) {
    uint64_t before = atomic_fetch_sub(&team->state, 1);
    if ((before & STATE_ACTIVE) == 1 && !(before & STATE_OPEN))
        sw_parker_wake(&team->caller);
}

static bool has_news(struct sw_team *team, uint32_t seen) {
    return loop_number(team) != seen || atomic_load(&team->is_closing);
}

static void await_news(struct lane *lane, uint32_t seen) {
    for (unsigned i = 0; i < SPINS; i++) {
        if (has_news(lane->team, seen))
            return;
        pause_cpu();
    }
    while (!has_news(lane->team, seen)) {
        uint32_t ticket = sw_parker_prepare(&lane->parker);
        if (has_news(lane->team, seen))
            sw_parker_cancel(&lane->parker);
        else
            sw_parker_wait(&lane->parker, ticket, -1);
    }
}

static void lane_main(void *context) {
    struct lane *lane = context;
    struct sw_team *team = lane->team;
    uint32_t seen = 0;
    for (;;) {
        await_news(lane, seen);
        if (atomic_load(&team->is_closing))
            return;
        seen = loop_number(team);
        if (join_loop(team, seen)) {
            work(team, lane);
            atomic_store_explicit(&lane->cpu, sched_getcpu(), memory_order_relaxed);
            leave_loop(team);
        }
    }
}

static void await_lanes(struct sw_team *team) {
    for (unsigned i = 0; i < SPINS; i++) {
        if (!(atomic_load(&team->state) & STATE_ACTIVE))
            return;
        pause_cpu();
    }
    while (atomic_load(&team->state) & STATE_ACTIVE) {
        uint32_t ticket = sw_parker_prepare(&team->caller);
        if (atomic_load(&team->state) & STATE_ACTIVE)
            sw_parker_wait(&team->caller, ticket, -1);
        else
            sw_parker_cancel(&team->caller);
    }
}

/* Equal, contiguous parts; returns the chunks there are. */
static uint64_t deal(struct sw_team *team, const struct sw_parallel_loop *loop) {
    unsigned lanes = team->parallel.lanes;
    size_t grain = loop->grain > 0 ? loop->grain : 1;
    if (loop->count / grain >= CHUNKS_MAX)
        grain = loop->count / CHUNKS_MAX + 1;
    uint64_t chunks = loop->count / grain + (loop->count % grain != 0);
    team->loop = *loop;
    team->loop.grain = grain;
    uint64_t first = 0;
    for (unsigned i = 0; i < lanes; i++) {
        uint64_t end = first + chunks / lanes + (i < chunks % lanes);
        atomic_store(&team->lanes[i].part, part_make(first, end));
        first = end;
    }
    return chunks;
}

/* Of the CPUs that the caller may use, those but `cpu`; false where there are none, or more than a set holds. */
static bool find_others(int cpu, cpu_set_t *allowed, cpu_set_t *others) {
    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(*allowed), allowed))
        return false;
    *others = *allowed;
    CPU_CLR((size_t)cpu, others);
    return CPU_COUNT(others) > 0;
}

/* Wakes the lanes before `end`, away from the caller's CPU. A kernel may put a sleeper on the CPU of whoever wakes it,
 * so a lane on the caller's and the caller on a lane's; there the one waits for milliseconds while the other computes.
 * Forbidding a lane that CPU for a moment moves it. */
static void wake_lanes(struct sw_team *team, unsigned end) {
    int cpu = sched_getcpu();
    for (unsigned i = 1; i < end; i++) {
        struct lane *lane = &team->lanes[i];
        cpu_set_t allowed, others;
        bool must_move =
            atomic_load(&lane->parker.is_waiting) || atomic_load_explicit(&lane->cpu, memory_order_relaxed) == cpu;
        bool is_moved = must_move && find_others(cpu, &allowed, &others) &&
                        pthread_setaffinity_np(lane->thread.handle, sizeof(others), &others) == 0;
        sw_parker_wake(&lane->parker);
        if (is_moved)
            pthread_setaffinity_np(lane->thread.handle, sizeof(allowed), &allowed);
    }
}

static void run(struct sw_parallel *parallel, const struct sw_parallel_loop *loop) {
    struct sw_team *team = (struct sw_team *)parallel;
    pthread_mutex_lock(&team->turn);
    uint64_t chunks = deal(team, loop);
    uint64_t number = (loop_number(team) + UINT64_C(1)) & UINT32_MAX;
    atomic_store(&team->state, number << 32 | STATE_OPEN);
    wake_lanes(team, chunks < parallel->lanes ? (unsigned)chunks : parallel->lanes);
    work(team, &team->lanes[0]);
    atomic_fetch_and(&team->state, ~STATE_OPEN);
    await_lanes(team);
    pthread_mutex_unlock(&team->turn);
}

static enum sw_status start_lanes(struct sw_team *team, struct sw_error *err) {
    for (unsigned i = 0; i < team->parallel.lanes; i++) {
        team->lanes[i].team = team;
        team->lanes[i].index = i;
    }
    for (unsigned i = 1; i < team->parallel.lanes; i++) {
        char name[32];
        snprintf(name, sizeof(name), "sw-team-%u", i);
        enum sw_status status = sw_thread_start(&team->lanes[i].thread, name, -1, lane_main, &team->lanes[i], err);
        if (status)
            return status;
    }
    return SW_OK;
}

enum sw_status sw_team_open(unsigned lanes, struct sw_team **out, struct sw_error *err) {
    if (lanes < 1 || lanes > SW_TEAM_LANES)
        return sw_fail(err, SW_INVALID, "cannot make a team of %u threads: 1 to %d are possible", lanes, SW_TEAM_LANES);
    struct sw_team *team = sw_alloc_aligned(CACHE_LINE, sizeof(*team) + lanes * sizeof(team->lanes[0]));
    if (!team)
        return sw_fail(err, SW_NOMEM, "cannot make a team of %u threads: out of memory", lanes);
    *team = (struct sw_team){.parallel = {.lanes = lanes, .run = run}};
    for (unsigned i = 0; i < lanes; i++)
        team->lanes[i] = (struct lane){.cpu = -1};
    pthread_mutex_init(&team->turn, NULL);
    enum sw_status status = start_lanes(team, err);
    if (status) {
        sw_team_close(team);
        return status;
    }
    *out = team;
    return SW_OK;
}

void sw_team_close(struct sw_team *team) {
    if (!team)
        return;
    atomic_store(&team->is_closing, true);
    for (unsigned i = 1; i < team->parallel.lanes; i++)
        sw_parker_wake(&team->lanes[i].parker);
    for (unsigned i = 1; i < team->parallel.lanes; i++)
        sw_thread_join(&team->lanes[i].thread);
    pthread_mutex_destroy(&team->turn);
    sw_free(team);
}

struct sw_parallel *sw_team_parallel(struct sw_team *team) {
    return &team->parallel;
}

/* The process's teams by their number of lanes. A forked child has none of their threads: it forgets them. */
static struct {
    pthread_once_t once;
    pthread_mutex_t mutex;
    struct sw_team *teams[SW_TEAM_LANES + 1];
} shared = {.once = PTHREAD_ONCE_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER};

static void lock_shared(void) {
    pthread_mutex_lock(&shared.mutex);
}

static void unlock_shared(void) {
    pthread_mutex_unlock(&shared.mutex);
}

static void forget_shared(void) {
    for (unsigned i = 0; i <= SW_TEAM_LANES; i++)
        shared.teams[i] = NULL;
    pthread_mutex_unlock(&shared.mutex);
}

static void prepare_forks(void) {
    pthread_atfork(lock_shared, unlock_shared, forget_shared);
}

struct sw_parallel *sw_team_shared(unsigned lanes) {
    if (lanes == 0)
        lanes = (unsigned)sw_cpu_count();
    if (lanes > SW_TEAM_LANES)
        lanes = SW_TEAM_LANES;
    if (lanes == 1)
        return NULL;
    pthread_once(&shared.once, prepare_forks);
    pthread_mutex_lock(&shared.mutex);
    if (!shared.teams[lanes] && sw_team_open(lanes, &shared.teams[lanes], NULL) != SW_OK)
        shared.teams[lanes] = NULL;
    struct sw_team *team = shared.teams[lanes];
    pthread_mutex_unlock(&shared.mutex);
    return team ? &team->parallel : NULL;
}
