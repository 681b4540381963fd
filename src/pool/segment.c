/* segment.c - All the shared memory of a pool: one anonymous file, mapped once, gone with the last process that has it. */
#include "pool/segment.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_BYTES 4096u
#define ALIGN_BYTES (UINT64_C(2) << 20) /* arenas may have huge pages */
#define ARENA_MIN_BYTES (UINT64_C(64) << 20)
#define ARENA_MAX_BYTES (UINT64_C(1) << 40)
#define SPACE_BYTES (UINT64_C(1) << 44) /* of 2^47 that a process has; shared by the arenas */
#define MAGIC UINT64_C(0x31676573776473)

struct head {
    uint64_t magic;
    uint64_t arena_bytes;
    uint64_t workers;
};

static uint64_t align_up(uint64_t value) {
    return (value + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

static uint64_t slabs_at(unsigned workers) {
    return align_up(HEAD_BYTES + (uint64_t)workers * sizeof(struct sw_lane_shared));
}

static uint64_t arenas_at(unsigned workers) {
    return align_up(slabs_at(workers) + (uint64_t)(workers + 1) * sizeof(struct sw_slab_shared));
}

/* Twice the memory of the machine, as blocks of different sizes do not stand in for each other. */
static uint64_t first_arena_bytes(unsigned workers) {
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t bytes = 2 * memory;
    uint64_t share = SPACE_BYTES / (workers + 1);
    bytes = bytes < share ? bytes : share;
    bytes = bytes < ARENA_MAX_BYTES ? bytes : ARENA_MAX_BYTES;
    return align_up(bytes < ARENA_MIN_BYTES ? ARENA_MIN_BYTES : bytes);
}

static void *map(int fd, uint64_t size) {
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base != MAP_FAILED)
        madvise(base, size, MADV_DONTDUMP); /* a core file of a worker needs none of it */
    return base;
}

enum sw_status sw_segment_create(unsigned workers, struct sw_segment *segment, struct sw_error *err) {
    if (workers == 0 || workers > SW_SEGMENT_WORKERS)
        return sw_fail(err, SW_INVALID, "cannot make a pool of %u workers: 1 to %u are possible", workers,
                       SW_SEGMENT_WORKERS);
    int fd = memfd_create("sidewinder-pool", MFD_CLOEXEC);
    if (fd < 0)
        return sw_fail_errno(err, errno, "cannot create the shared memory of a pool");
    uint64_t arena = first_arena_bytes(workers);
    uint64_t size = arenas_at(workers) + (workers + 1) * arena;
    void *base = MAP_FAILED;
    /* Where address space is limited (ulimit -v), smaller arenas will do. */
    while (ftruncate(fd, (off_t)size) != 0 || (base = map(fd, size)) == MAP_FAILED) {
        int reason = errno;
        if (arena <= ARENA_MIN_BYTES) {
            close(fd);
            return sw_fail_errno(err, reason, "cannot map %llu MiB of shared memory for a pool of %u workers",
                                 (unsigned long long)(size >> 20), workers);
        }
        arena = align_up(arena / 2);
        size = arenas_at(workers) + (workers + 1) * arena;
    }
    *(struct head *)base = (struct head){.magic = MAGIC, .arena_bytes = arena, .workers = workers};
    *segment = (struct sw_segment){.base = base, .size = size, .fd = fd, .workers = workers, .arena_bytes = arena};
    return SW_OK;
}

enum sw_status sw_segment_attach(int fd, struct sw_segment *segment, struct sw_error *err) {
    struct stat stat;
    if (fstat(fd, &stat) != 0 || stat.st_size < (off_t)HEAD_BYTES)
        return sw_fail(err, SW_INVALID, "file descriptor %d is not the shared memory of a pool", fd);
    void *base = map(fd, (uint64_t)stat.st_size);
    if (base == MAP_FAILED)
        return sw_fail_errno(err, errno, "cannot map the shared memory of a pool");
    struct head head = *(struct head *)base;
    if (head.magic != MAGIC || head.workers == 0 || head.workers > SW_SEGMENT_WORKERS ||
        head.arena_bytes > ARENA_MAX_BYTES ||
        arenas_at((unsigned)head.workers) + (head.workers + 1) * head.arena_bytes != (uint64_t)stat.st_size) {
        munmap(base, (size_t)stat.st_size);
        return sw_fail(err, SW_INVALID, "file descriptor %d is not the shared memory of a pool", fd);
    }
    *segment = (struct sw_segment){.base = base,
                                   .size = (size_t)stat.st_size,
                                   .fd = fd,
                                   .workers = (unsigned)head.workers,
                                   .arena_bytes = head.arena_bytes};
    return SW_OK;
}

void sw_segment_release(struct sw_segment *segment) {
    if (!segment->base)
        return;
    munmap(segment->base, segment->size);
    close(segment->fd);
    *segment = (struct sw_segment){.fd = -1};
}

struct sw_lane_shared *sw_segment_lane(const struct sw_segment *segment, unsigned worker) {
    return (struct sw_lane_shared *)(void *)(segment->base + HEAD_BYTES) + worker;
}

struct sw_slab_shared *sw_segment_slabs(const struct sw_segment *segment, unsigned arena) {
    return (struct sw_slab_shared *)(void *)(segment->base + slabs_at(segment->workers)) + arena;
}

unsigned char *sw_segment_arena(const struct sw_segment *segment, unsigned arena) {
    return segment->base + arenas_at(segment->workers) + arena * segment->arena_bytes;
}
