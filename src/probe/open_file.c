/* open_file.c - File descriptors of a target in words, from /proc. */
#include "probe/open_file.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINK_BYTES 4096
#define LINE_BYTES 1024
#define LINES_MAX 1000000
#define PROCESSES_MAX 32768
#define FILES_MAX 65536 /* of one process */
#define PEERS_MAX 4     /* named */

/* A pipe end that is looked for. */
struct peers {
    const char *link; /* "pipe:[123]" */
    mode_t mode;      /* S_IRUSR or S_IWUSR: that the other end must have */
    int32_t pid;      /* the process asked about */
    int fd;
    size_t count;
    struct sw_buf *out;
};

static enum sw_status peer_add(struct peers *peers, int32_t pid, int fd) {
    if (peers->count++ >= PEERS_MAX)
        return SW_OK;
    const char *before = peers->count > 1 ? ", " : peers->mode == S_IWUSR ? ", written by " : ", read by ";
    if (pid == peers->pid)
        return sw_buf_append_format(peers->out, "%sitself (fd %d)", before, fd);
    return sw_buf_append_format(peers->out, "%sprocess %d (fd %d)", before, pid, fd);
}

/* Adds the descriptors of one process that are the pipe's other end. */
static enum sw_status peers_of_process(struct peers *peers, int32_t pid) {
    char path[64];
    char link[128];
    struct stat info;
    enum sw_status status = SW_OK;
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return SW_OK; /* gone, or someone else's */
    struct dirent *item;
    for (size_t i = 0; i < FILES_MAX && status == SW_OK && (item = readdir(dir)) != NULL; i++) {
        ssize_t len = readlinkat(dirfd(dir), item->d_name, link, sizeof link - 1);
        if (len <= 0)
            continue;
        link[len] = '\0';
        int fd = atoi(item->d_name);
        if (strcmp(link, peers->link) == 0 && !(pid == peers->pid && fd == peers->fd) &&
            fstatat(dirfd(dir), item->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_mode & peers->mode)
            status = peer_add(peers, pid, fd);
    }
    closedir(dir);
    return status;
}

static enum sw_status pipe_describe(const struct sw_target *target, int fd, const char *link, struct sw_buf *out) {
    char name[32];
    struct stat info;
    struct peers peers = {.link = link, .pid = target->pid, .fd = fd, .out = out};
    snprintf(name, sizeof name, "fd/%d", fd);
    enum sw_status status = sw_buf_append(out, SW_STR("pipe"));
    if (status != SW_OK || fstatat(target->proc_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return status;
    peers.mode = info.st_mode & S_IRUSR ? S_IWUSR : S_IRUSR;
    DIR *dir = opendir("/proc");
    struct dirent *item;
    for (size_t i = 0; dir && i < PROCESSES_MAX && status == SW_OK && (item = readdir(dir)) != NULL; i++)
        if (item->d_name[0] >= '1' && item->d_name[0] <= '9')
            status = peers_of_process(&peers, atoi(item->d_name));
    if (dir)
        closedir(dir);
    if (status == SW_OK && peers.count > PEERS_MAX)
        status = sw_buf_append_format(out, " and %zu more", peers.count - PEERS_MAX);
    else if (status == SW_OK && peers.count == 0)
        status = sw_buf_append(out, SW_STR(", other end not found"));
    return status;
}

/* "0100007F:1F90", in the byte order of the machine, four bytes at a time. */
static bool address_text(const char *hex, bool is_v6, char out[80]) {
    unsigned words[4] = {0};
    unsigned port;
    char text[INET6_ADDRSTRLEN];
    int got = is_v6 ? sscanf(hex, "%8x%8x%8x%8x:%x", &words[0], &words[1], &words[2], &words[3], &port)
                    : sscanf(hex, "%8x:%x", &words[0], &port);
    if (got != (is_v6 ? 5 : 2) || !inet_ntop(is_v6 ? AF_INET6 : AF_INET, words, text, sizeof text))
        return false;
    snprintf(out, 80, is_v6 ? "[%s]:%u" : "%s:%u", text, port);
    return true;
}

/* One line of /proc/net/tcp and its like: sl, local, remote, state, ..., the tenth field is the inode. */
static bool socket_line(const char *line, unsigned long inode, const char *file, struct sw_buf *out,
                        enum sw_status *status) {
    char local_hex[64];
    char remote_hex[64];
    char local[80];
    char remote[80];
    unsigned state;
    unsigned long found;
    if (sscanf(line, " %*d: %63s %63s %x %*s %*s %*s %*s %*s %lu", local_hex, remote_hex, &state, &found) != 4 ||
        found != inode)
        return false;
    bool is_v6 = strchr(file, '6') != NULL;
    if (!address_text(local_hex, is_v6, local) || !address_text(remote_hex, is_v6, remote))
        return false;
    bool is_tcp = strstr(file, "tcp") != NULL;
    if (is_tcp && state == 10)
        *status = sw_buf_append_format(out, "TCP socket that listens on %s", local);
    else
        *status = sw_buf_append_format(out, "%s %s -> %s", is_tcp ? "TCP" : "UDP", local, remote);
    return true;
}

/* Num, RefCount, Protocol, Flags, Type, St, Inode, Path */
static bool unix_line(const char *line, unsigned long inode, struct sw_buf *out, enum sw_status *status) {
    unsigned long found;
    char path[256] = "";
    if (sscanf(line, "%*s %*s %*s %*s %*s %*s %lu %255s", &found, path) < 1 || found != inode)
        return false;
    *status = sw_buf_append_format(out, "Unix socket%s%s", path[0] ? " " : "", path);
    return true;
}

static bool socket_find(const struct sw_target *target, unsigned long inode, const char *file, struct sw_buf *out,
                        enum sw_status *status) {
    char line[LINE_BYTES];
    bool is_found = false;
    int fd = openat(target->proc_fd, file, O_RDONLY | O_CLOEXEC);
    FILE *lines = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!lines) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    for (size_t i = 0; i < LINES_MAX && !is_found && fgets(line, sizeof line, lines); i++)
        is_found =
            strstr(file, "unix") ? unix_line(line, inode, out, status) : socket_line(line, inode, file, out, status);
    fclose(lines);
    return is_found;
}

static enum sw_status socket_describe(const struct sw_target *target, unsigned long inode, struct sw_buf *out) {
    static const char *const files[] = {"net/tcp", "net/tcp6", "net/unix", "net/udp", "net/udp6"};
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (socket_find(target, inode, files[i], out, &status))
            return status;
    return sw_buf_append(out, SW_STR("socket"));
}

enum sw_status sw_open_file_describe(const struct sw_target *target, int fd, struct sw_buf *out) {
    char name[32];
    char link[LINK_BYTES];
    unsigned long inode;
    if (fd < 0)
        return SW_NOTFOUND;
    snprintf(name, sizeof name, "fd/%d", fd);
    ssize_t len = readlinkat(target->proc_fd, name, link, sizeof link - 1);
    if (len < 0)
        return errno == EACCES || errno == EPERM ? SW_PERM : SW_NOTFOUND;
    link[len] = '\0';
    for (ssize_t i = 0; i < len; i++)
        if ((unsigned char)link[i] < 0x20 || link[i] == 0x7f)
            link[i] = '?';
    if (sw_str_starts(sw_str_from(link), SW_STR("pipe:[")))
        return pipe_describe(target, fd, link, out);
    if (sscanf(link, "socket:[%lu]", &inode) == 1)
        return socket_describe(target, inode, out);
    return sw_buf_append(out, sw_str_from(link));
}
