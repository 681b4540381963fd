/* host_disk.c - Throughput, latency and utilisation of whole block devices, from /proc/diskstats. */
#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe/host_impl.h"

#define SECTOR_BYTES 512 /* the unit of diskstats, whatever the device's own */

/* Major, minor, name, then: reads, merged, sectors, ms, writes, merged, sectors, ms, in flight, busy ms, ... */
static bool parse_disk(struct sw_str line, struct sw_host_disk_counts *out) {
    sw_host_next_word(&line);
    sw_host_next_word(&line);
    struct sw_str name = sw_host_next_word(&line);
    double field[10];
    for (size_t i = 0; i < 10; i++) {
        field[i] = sw_host_next_number(&line);
    }
    if (name.len == 0 || isnan(field[9])) {
        return false; /* no name, or the four fields that partitions had before Linux 2.6.25 */
    }
    *out = (struct sw_host_disk_counts){
        .reads = field[0],
        .sectors_read = field[2],
        .read_ms = field[3],
        .writes = field[4],
        .sectors_written = field[6],
        .write_ms = field[7],
        .in_flight = field[8],
        .io_ms = field[9],
    };
    sw_host_copy_name(out->name, name);
    return true;
}

size_t sw_host_parse_disks(struct sw_str text, struct sw_host_disk_counts *out, size_t cap) {
    size_t count = 0;
    struct sw_str line;
    while (sw_host_next_line(&text, &line)) {
        struct sw_host_disk_counts parsed;
        if (parse_disk(line, &parsed)) {
            if (count < cap) {
                out[count] = parsed;
            }
            count++;
        }
    }
    return count;
}

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

/* The kernel's own naming rule: "sda" has "sda1", but a name that ends in a digit puts a "p" between: "nvme0n1p1". */
static bool is_partition_of(const char *name, const char *disk) {
    size_t len = strlen(disk);
    if (len == 0 || strncmp(name, disk, len) != 0) {
        return false;
    }
    const char *rest = name + len;
    if (is_digit(disk[len - 1]) && *rest++ != 'p') {
        return false;
    }
    return is_digit(*rest) && rest[strspn(rest, "0123456789")] == '\0';
}

static bool is_whole_in_sys(int block_fd, const char *name) {
    char path[SW_HOST_NAME_MAX];
    size_t len = strlen(name);
    memcpy(path, name, len + 1);
    for (size_t i = 0; i < len; i++) {
        path[i] = path[i] == '/' ? '!' : path[i]; /* as sysfs writes "cciss/c0d0" */
    }
    return path[0] != '.' && faccessat(block_fd, path, F_OK, 0) == 0;
}

/* Whether the device is a whole one: sysfs knows; without it the name tells, a disk standing before its parts. */
static void classify(const struct sw_host *host, struct sw_host_disk_counts *disks, size_t index) {
    struct sw_host_disk_counts *disk = &disks[index];
    disk->is_known = true;
    disk->is_whole = host->block_fd < 0 || is_whole_in_sys(host->block_fd, disk->name);
    for (size_t i = 0; host->block_fd < 0 && disk->is_whole && i < index; i++) {
        disk->is_whole = !is_partition_of(disk->name, disks[i].name);
    }
    static const char *const virtual_names[] = {"loop", "ram", "zram"};
    for (size_t i = 0; i < sizeof virtual_names / sizeof *virtual_names; i++) {
        size_t len = strlen(virtual_names[i]);
        disk->is_virtual |= strncmp(disk->name, virtual_names[i], len) == 0 && is_digit(disk->name[len]);
    }
}

static const struct sw_host_disk_counts *find_before(const struct sw_host_disk_state *state, size_t guess,
                                                     const char *name) {
    if (guess < state->before_count && strcmp(state->before[guess].name, name) == 0) {
        return &state->before[guess];
    }
    for (size_t i = 0; i < state->before_count; i++) {
        if (strcmp(state->before[i].name, name) == 0) {
            return &state->before[i];
        }
    }
    return NULL;
}

static double mean_ms(double count, double ms) {
    return count > 0 && ms >= 0 ? ms / count : (double)NAN;
}

static void set_rates(struct sw_host_disk *disk, const struct sw_host_disk_counts *before,
                      const struct sw_host_disk_counts *now, double elapsed_s) {
    memcpy(disk->name, now->name, sizeof disk->name);
    disk->in_flight = now->in_flight;
    disk->reads_per_s = sw_host_rate(before->reads, now->reads, elapsed_s);
    disk->writes_per_s = sw_host_rate(before->writes, now->writes, elapsed_s);
    disk->read_bytes_per_s = SECTOR_BYTES * sw_host_rate(before->sectors_read, now->sectors_read, elapsed_s);
    disk->write_bytes_per_s = SECTOR_BYTES * sw_host_rate(before->sectors_written, now->sectors_written, elapsed_s);
    disk->read_latency_ms = mean_ms(now->reads - before->reads, now->read_ms - before->read_ms);
    disk->write_latency_ms = mean_ms(now->writes - before->writes, now->write_ms - before->write_ms);
    double percent = sw_host_rate(before->io_ms, now->io_ms, elapsed_s) / 10;
    disk->utilisation = percent > 100 ? 100 : percent;
}

static enum sw_status reserve(struct sw_host_disk_state *state, size_t count) {
    struct sw_host_disk_counts *now = sw_host_grown(state->now, count, &state->now_cap, sizeof *now);
    struct sw_host_disk *disks = sw_host_grown(state->disks, count, &state->disk_cap, sizeof *disks);
    state->now = now ? now : state->now;
    state->disks = disks ? disks : state->disks;
    return now && disks ? SW_OK : SW_NOMEM;
}

static void classify_all(const struct sw_host *host, struct sw_host_disk_counts *now, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct sw_host_disk_counts *before = find_before(&host->disk, i, now[i].name);
        if (before && before->is_known) {
            now[i].is_known = true;
            now[i].is_whole = before->is_whole;
            now[i].is_virtual = before->is_virtual;
        } else {
            classify(host, now, i);
        }
    }
}

static void fill(struct sw_host_disk_state *state, size_t count, double elapsed_s) {
    bool has_real = false;
    for (size_t i = 0; i < count; i++) {
        has_real |= state->now[i].is_whole && !state->now[i].is_virtual;
    }
    static const struct sw_host_disk_counts unknown = {
        .reads = NAN,
        .sectors_read = NAN,
        .read_ms = NAN,
        .writes = NAN,
        .sectors_written = NAN,
        .write_ms = NAN,
        .in_flight = NAN,
        .io_ms = NAN,
    };
    state->disk_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sw_host_disk_counts *now = &state->now[i];
        if (now->is_whole && !(now->is_virtual && has_real)) {
            const struct sw_host_disk_counts *before = find_before(state, i, now->name);
            set_rates(&state->disks[state->disk_count++], before ? before : &unknown, now, elapsed_s);
        }
    }
}

enum sw_status sw_host_disk_read(struct sw_host *host, int64_t now_ns) {
    struct sw_host_disk_state *state = &host->disk;
    struct sw_str text = sw_host_read_text(host->fds[SW_HOST_DISKSTATS], &host->text);
    size_t count = sw_host_parse_disks(text, state->now, state->now_cap);
    if (count > state->now_cap || count > state->disk_cap) {
        if (reserve(state, count)) {
            return SW_NOMEM;
        }
        sw_host_parse_disks(text, state->now, state->now_cap);
    }
    classify_all(host, state->now, count);
    fill(state, count, sw_host_elapsed_s(state->at_ns, now_ns));
    struct sw_host_disk_counts *swap = state->before;
    size_t swap_cap = state->before_cap;
    state->before = state->now;
    state->before_cap = state->now_cap;
    state->before_count = count;
    state->now = swap;
    state->now_cap = swap_cap;
    state->at_ns = now_ns;
    return SW_OK;
}

void sw_host_disk_release(struct sw_host_disk_state *state) {
    sw_free(state->before);
    sw_free(state->now);
    sw_free(state->disks);
}
