/* fractal_file.c - A file that is there when it is whole; see fractal_file.h. */
#include "cli/fractal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where stdin, stdout or stderr are closed, a file must not take their place: what is written there would be in it. */
static int fd_lift(int fd) {
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int lifted = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), reason = errno;
    close(fd);
    errno = reason;
    return lifted;
}

static mode_t mode_of_new(void) {
    mode_t mask = umask(0);
    (void)umask(mask);
    return 0666 & ~mask;
}

static enum sw_status temp_open(struct sw_fractal_file *file, mode_t mode, struct sw_error *err) {
    snprintf(file->temp, sizeof file->temp, "%s.XXXXXX", file->path);
    int fd = mkostemp(file->temp, O_CLOEXEC);
    file->fd = fd_lift(fd);
    if (file->fd < 0) {
        int reason = errno;
        if (fd >= 0)
            (void)unlink(file->temp);
        return sw_fail_errno(err, reason, "cannot write %s", file->path);
    }
    (void)fchmod(file->fd, mode);
    return SW_OK;
}

enum sw_status sw_fractal_file_open(struct sw_fractal_file *file, const char *path, struct sw_error *err) {
    struct stat is;
    *file = (struct sw_fractal_file){.fd = -1};
    if (strcmp(path, "-") == 0) {
        snprintf(file->path, sizeof file->path, "stdout");
        file->fd = STDOUT_FILENO;
        file->is_stdout = true;
        return SW_OK;
    }
    char *real = realpath(path, NULL); /* a link keeps pointing where it does */
    int length = snprintf(file->path, sizeof file->path, "%s", real ? real : path);
    free(real);
    if (length >= (int)sizeof file->path)
        return sw_fail_errno(err, ENAMETOOLONG, "cannot write %s", path);
    if (stat(file->path, &is) != 0)
        return temp_open(file, mode_of_new(), err);
    if (S_ISREG(is.st_mode))
        return temp_open(file, is.st_mode & 0777, err);
    file->fd = fd_lift(open(file->path, O_WRONLY | O_CLOEXEC));
    return file->fd >= 0 ? SW_OK : sw_fail_errno(err, errno, "cannot write %s", path);
}

enum sw_status sw_fractal_file_write(void *context, struct sw_str bytes, struct sw_error *err) {
    struct sw_fractal_file *file = context;
    while (bytes.len > 0) {
        ssize_t written = write(file->fd, bytes.ptr, bytes.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return sw_fail_errno(err, errno, "cannot write %s", file->path);
        bytes = sw_str_skip(bytes, (size_t)written);
    }
    return SW_OK;
}

void sw_fractal_file_discard(struct sw_fractal_file *file) {
    if (file->fd >= 0 && !file->is_stdout)
        close(file->fd);
    if (file->temp[0] && file->fd >= 0)
        (void)unlink(file->temp);
    file->fd = -1;
}

enum sw_status sw_fractal_file_commit(struct sw_fractal_file *file, struct sw_error *err) {
    int fd = file->fd;
    enum sw_status status = SW_OK;
    if (file->is_stdout)
        return SW_OK;
    file->fd = -1;
    if (close(fd) != 0 || (file->temp[0] && rename(file->temp, file->path) != 0)) {
        status = sw_fail_errno(err, errno, "cannot write %s", file->path);
        if (file->temp[0])
            (void)unlink(file->temp);
    }
    return status;
}
