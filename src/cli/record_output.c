/* record_output.c - Writes beside the file and renames; see record_output.h. */
#include "cli/record_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SUFFIX_ROOM 16
#define SUBJECT_MAX 64
#define WRITE_BYTES_MAX ((size_t)1 << 30) /* one write takes at most 2 GiB */

/* The file beside `path`; its descriptor, or -1 with errno. */
static int temporary_open(const char *path, char beside[PATH_MAX + SUFFIX_ROOM]) {
    snprintf(beside, PATH_MAX + SUFFIX_ROOM, "%s.XXXXXX", path);
    int fd = mkostemp(beside, O_CLOEXEC);
    if (fd >= 0) {
        mode_t mask = umask(0);
        umask(mask);
        (void)fchmod(fd, 0666 & ~mask); /* mkstemp makes it private */
    }
    return fd;
}

static int bytes_write(int fd, struct sw_str bytes) {
    while (bytes.len) {
        ssize_t put = write(fd, bytes.ptr, bytes.len < WRITE_BYTES_MAX ? bytes.len : WRITE_BYTES_MAX);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno;
        bytes = sw_str_skip(bytes, (size_t)put);
    }
    return 0;
}

static enum sw_status stream_write(const struct sw_record_output *output, struct sw_str bytes, struct sw_error *err) {
    bool is_stdout = sw_str_eq(sw_str_from(output->path), SW_STR("-"));
    int fd = is_stdout ? STDOUT_FILENO : open(output->path, O_WRONLY | O_CLOEXEC);
    int error_number = fd < 0 ? errno : bytes_write(fd, bytes);
    if (!is_stdout && fd >= 0)
        close(fd);
    if (is_stdout && error_number == EPIPE)
        return SW_OK; /* the reader had enough, as `head` does */
    return error_number ? sw_fail_errno(err, error_number, "cannot write %s", is_stdout ? "stdout" : output->path)
                        : SW_OK;
}

void sw_record_output_name(char name[NAME_MAX], struct sw_str subject, const char *ending) {
    time_t now = time(NULL);
    struct tm local;
    char when[32] = "";
    if (localtime_r(&now, &local))
        (void)strftime(when, sizeof when, "-%Y%m%d-%H%M%S", &local);
    if (subject.len > SUBJECT_MAX)
        subject.len = SUBJECT_MAX;
    snprintf(name, NAME_MAX, "sidewinder-%.*s%s%s", SW_STR_ARG(subject), when, ending);
}

enum sw_status sw_record_output_open(struct sw_record_output *output, struct sw_str path, struct sw_error *err) {
    char beside[PATH_MAX + SUFFIX_ROOM], whole[PATH_MAX];
    struct stat stat_of;
    *output = (struct sw_record_output){0};
    if (path.len >= PATH_MAX)
        return sw_fail(err, SW_INVALID, "the name of the output is longer than %d bytes", PATH_MAX - 1);
    memcpy(output->path, path.ptr, path.len);
    output->is_stream = sw_str_eq(path, SW_STR("-"));
    if (!output->is_stream && stat(output->path, &stat_of) == 0) {
        if (S_ISDIR(stat_of.st_mode))
            return sw_fail(err, SW_INVALID, "cannot write %s: it is a directory", output->path);
        output->is_stream = !S_ISREG(stat_of.st_mode);
        if (access(output->path, W_OK))
            return sw_fail_errno(err, errno, "cannot write %s", output->path);
        if (lstat(output->path, &stat_of) == 0 && S_ISLNK(stat_of.st_mode) && realpath(output->path, whole))
            memcpy(output->path, whole, sizeof whole); /* the link stays one */
    }
    if (output->is_stream)
        return SW_OK;
    int fd = temporary_open(output->path, beside);
    if (fd < 0)
        return sw_fail_errno(err, errno, "cannot write %s", output->path);
    close(fd);
    unlink(beside);
    return SW_OK;
}

enum sw_status sw_record_output_write(const struct sw_record_output *output, struct sw_str bytes,
                                      struct sw_error *err) {
    char beside[PATH_MAX + SUFFIX_ROOM];
    if (output->is_stream)
        return stream_write(output, bytes, err);
    int fd = temporary_open(output->path, beside);
    int error_number = fd < 0 ? errno : bytes_write(fd, bytes);
    if (fd >= 0 && !error_number && fsync(fd) && errno != EINVAL)
        error_number = errno;
    if (fd >= 0 && close(fd) && !error_number)
        error_number = errno;
    if (!error_number && rename(beside, output->path))
        error_number = errno;
    if (!error_number)
        return SW_OK;
    if (fd >= 0)
        unlink(beside);
    return sw_fail_errno(err, error_number, "cannot write %s (%zu bytes)", output->path, bytes.len);
}
