/* target_explain.c - Why another process may not be read, and what to do about it. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe/target_impl.h"

#define CAP_SYS_PTRACE_BIT 19

static uint64_t hex_value(struct sw_str text) {
    uint64_t value = 0;
    for (size_t i = 0; i < text.len && i < 16; i++) {
        char c = text.ptr[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            break;
    }
    return value;
}

/* "1000\t1000\t1000\t1000": real, effective, saved. */
static bool ids_parse(struct sw_str text, uint64_t ids[3]) {
    for (int i = 0; i < 3; i++)
        if (sw_str_to_u64(sw_str_cut(&text, '\t'), &ids[i]) != SW_OK)
            return false;
    return true;
}

/* At most `size` - 1 bytes of a small file, NUL-terminated; "" when it cannot be read. */
static void small_read(int dir, const char *path, char *bytes, size_t size) {
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, bytes, size - 1);
    if (fd >= 0)
        close(fd);
    bytes[got > 0 ? got : 0] = '\0';
}

/* May we read memory through process_vm_readv at all? A seccomp filter forbids it even of ourselves. */
static bool is_self_denied(void) {
    char from = 1, into = 0;
    struct iovec local = {&into, 1}, remote = {&from, 1};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1;
}

static bool is_other_namespace(const struct sw_target *target) {
    char ours[64], theirs[64];
    ssize_t our_length = readlink("/proc/self/ns/user", ours, sizeof ours);
    ssize_t their_length = readlinkat(target->proc_fd, "ns/user", theirs, sizeof theirs);
    if (our_length <= 0 || their_length <= 0)
        return false;
    return our_length != their_length || memcmp(ours, theirs, (size_t)our_length) != 0;
}

static bool is_initial_namespace(void) {
    char text[64];
    unsigned long long inside, outside, count;
    small_read(AT_FDCWD, "/proc/self/uid_map", text, sizeof text);
    return sscanf(text, "%llu %llu %llu", &inside, &outside, &count) == 3 && count == UINT32_MAX;
}

static void denial_gather(const struct sw_target *target, struct sw_denial *denial) {
    char text[8192];
    struct stat stat;
    *denial = (struct sw_denial){.pid = target->pid, .our_uid = getuid(), .our_gid = getgid(), .yama_scope = -1};
    small_read(AT_FDCWD, "/proc/self/status", text, sizeof text);
    denial->has_capability = hex_value(sw_status_value(sw_str_from(text), SW_STR("CapEff"))) >> CAP_SYS_PTRACE_BIT & 1;
    denial->our_capabilities = hex_value(sw_status_value(sw_str_from(text), SW_STR("CapPrm")));
    small_read(target->proc_fd, "status", text, sizeof text);
    denial->has_ids = ids_parse(sw_status_value(sw_str_from(text), SW_STR("Uid")), denial->uids) &&
                      ids_parse(sw_status_value(sw_str_from(text), SW_STR("Gid")), denial->gids);
    denial->target_capabilities = hex_value(sw_status_value(sw_str_from(text), SW_STR("CapPrm")));
    denial->is_undumpable =
        denial->has_ids && fstatat(target->proc_fd, "status", &stat, 0) == 0 && stat.st_uid != denial->uids[1];
    denial->is_self_denied = is_self_denied();
    denial->is_other_namespace = is_other_namespace(target);
    denial->is_initial_namespace = is_initial_namespace();
    small_read(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", text, sizeof text);
    if (text[0] >= '0' && text[0] <= '3')
        denial->yama_scope = text[0] - '0';
}

static void user_name(uint64_t uid, char out[64]) {
    const struct passwd *entry = getpwuid((uid_t)uid);
    if (entry && entry->pw_name)
        snprintf(out, 64, "%.32s (uid %llu)", entry->pw_name, (unsigned long long)uid);
    else
        snprintf(out, 64, "uid %llu", (unsigned long long)uid);
}

static bool is_same_user(const struct sw_denial *denial) {
    for (int i = 0; i < 3; i++)
        if (denial->uids[i] != denial->our_uid || denial->gids[i] != denial->our_gid)
            return false;
    return true;
}

static enum sw_status other_user_fail(const struct sw_denial *denial, struct sw_error *err) {
    char owner[64], us[64];
    user_name(denial->uids[1], owner);
    user_name(denial->our_uid, us);
    if (denial->uids[0] == denial->our_uid)
        return sw_fail(err, SW_PERM,
                       "cannot read process %d: it has changed its user or group (setuid, setgid) and only root may "
                       "read it; run sidewinder as root, such as with sudo",
                       denial->pid);
    return sw_fail(err, SW_PERM,
                   "cannot read process %d: it belongs to user %s and sidewinder runs as %s; run it as that user or as "
                   "root, such as with sudo",
                   denial->pid, owner, us);
}

static enum sw_status yama_fail(const struct sw_denial *denial, struct sw_error *err) {
    if (denial->yama_scope == 1)
        return sw_fail(
            err, SW_PERM,
            "cannot read process %d: kernel.yama.ptrace_scope is 1, so only a process that it descends from may; "
            "run as root, or set it to 0 (sudo sysctl kernel.yama.ptrace_scope=0), or start the program with "
            "`sidewinder record -- COMMAND`",
            denial->pid);
    if (denial->yama_scope == 2)
        return sw_fail(err, SW_PERM,
                       "cannot read process %d: kernel.yama.ptrace_scope is 2, so only root may; run as root, or set "
                       "it to 0 (sudo sysctl kernel.yama.ptrace_scope=0)",
                       denial->pid);
    return sw_fail(err, SW_PERM,
                   "cannot read process %d: kernel.yama.ptrace_scope is 3, so nobody may until the next boot; set it "
                   "to 0 or 1 in /etc/sysctl.d and reboot",
                   denial->pid);
}

static enum sw_status no_capability_fail(const struct sw_denial *denial, struct sw_error *err) {
    return sw_fail(
        err, SW_PERM,
        "cannot read process %d: sidewinder runs as root but without CAP_SYS_PTRACE, as in a container; start "
        "the container with --cap-add=SYS_PTRACE (Kubernetes: securityContext.capabilities.add: "
        "[SYS_PTRACE])",
        denial->pid);
}

static enum sw_status namespace_fail(const struct sw_denial *denial, struct sw_error *err) {
    return sw_fail(err, SW_PERM,
                   "cannot read process %d: it lives in another user namespace, in which sidewinder has no rights; run "
                   "sidewinder as root on the host, or in the same container",
                   denial->pid);
}

struct sw_str sw_status_value(struct sw_str text, struct sw_str name) {
    while (text.ptr) {
        struct sw_str line = sw_str_cut(&text, '\n');
        if (line.len > name.len && sw_str_starts(line, name) && line.ptr[name.len] == ':')
            return sw_str_trim(sw_str_skip(line, name.len + 1));
    }
    return (struct sw_str){0};
}

enum sw_status sw_denial_explain(const struct sw_denial *denial, struct sw_error *err) {
    if (denial->is_self_denied)
        return sw_fail(
            err, SW_PERM,
            "cannot read process %d: a seccomp filter forbids process_vm_readv, as in a container; start the "
            "container with --cap-add=SYS_PTRACE or --security-opt seccomp=unconfined",
            denial->pid);
    if (denial->yama_scope == 3)
        return yama_fail(denial, err);
    if (denial->has_capability && denial->is_initial_namespace)
        return sw_fail(err, SW_PERM,
                       "cannot read process %d although sidewinder has CAP_SYS_PTRACE: a security module (SELinux, "
                       "AppArmor) forbids it; see the kernel's audit log and allow ptrace for sidewinder",
                       denial->pid);
    if (denial->is_other_namespace || denial->has_capability)
        return namespace_fail(denial, err);
    if (denial->our_uid == 0 && !(denial->has_ids && is_same_user(denial) && denial->yama_scope > 0))
        return no_capability_fail(denial, err);
    if (!denial->has_ids)
        return sw_fail(err, SW_PERM, "cannot read process %d, nor see whose it is; run as root, such as with sudo",
                       denial->pid);
    if (!is_same_user(denial))
        return other_user_fail(denial, err);
    if (denial->is_undumpable || (denial->target_capabilities & ~denial->our_capabilities))
        return sw_fail(err, SW_PERM,
                       "cannot read process %d: it is protected (started from a setuid file or one with capabilities, "
                       "or prctl(PR_SET_DUMPABLE, 0)); run sidewinder as root, such as with sudo",
                       denial->pid);
    if (denial->yama_scope > 0)
        return yama_fail(denial, err);
    return sw_fail(err, SW_PERM,
                   "cannot read process %d although it is of the same user: a security module (SELinux, AppArmor) or "
                   "sandbox forbids it; run as root, or outside of the sandbox",
                   denial->pid);
}

enum sw_status sw_target_explain(const struct sw_target *target, struct sw_error *err) {
    char byte;
    struct iovec local = {&byte, 1}, remote = {(void *)(uintptr_t)1, 1};
    struct sw_denial denial;
    /* The kernel asks for permission before it looks for the page; at address 1 there is none. */
    if (process_vm_readv(target->pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT)
        return SW_OK;
    if (errno == ESRCH || !sw_target_is_alive(target))
        return sw_fail(err, SW_CLOSED, "process %d has ended", target->pid);
    denial_gather(target, &denial);
    return sw_denial_explain(&denial, err);
}
