/* test_open_file.c - This process's own descriptors in words. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe/open_file.h"

static void assert_described(int fd, const char *words) {
    struct sw_target target = {.proc_fd = -1};
    struct sw_buf text = {0};
    assert_int_equal(sw_target_open(&target, getpid(), NULL), SW_OK);
    assert_int_equal(sw_open_file_describe(&target, fd, &text), SW_OK);
    assert_int_equal(sw_buf_append_byte(&text, '\0'), SW_OK);
    assert_string_equal(text.ptr, words);
    sw_buf_release(&text);
    sw_target_close(&target);
}

static void test_path(void **state) {
    (void)state;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_described(fd, "/dev/null");
    close(fd);
}

static void test_pipe(void **state) {
    (void)state;
    int ends[2];
    char words[64];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    snprintf(words, sizeof words, "pipe, written by itself (fd %d)", ends[1]);
    assert_described(ends[0], words);
    snprintf(words, sizeof words, "pipe, read by itself (fd %d)", ends[0]);
    assert_described(ends[1], words);
    close(ends[1]);
    assert_described(ends[0], "pipe, other end not found");
    close(ends[0]);
}

static void test_sockets(void **state) {
    (void)state;
    char words[128];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&address, &len), 0);
    unsigned port = ntohs(address.sin_port);
    snprintf(words, sizeof words, "TCP socket that listens on 127.0.0.1:%u", port);
    assert_described(server, words);
    assert_int_equal(connect(client, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(client, (struct sockaddr *)&address, &len), 0);
    snprintf(words, sizeof words, "TCP 127.0.0.1:%u -> 127.0.0.1:%u", (unsigned)ntohs(address.sin_port), port);
    assert_described(client, words);
    close(client);
    close(server);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_described(pair[0], "Unix socket");
    close(pair[0]);
    close(pair[1]);
}

static void test_no_such_descriptor(void **state) {
    (void)state;
    struct sw_target target = {.proc_fd = -1};
    struct sw_buf text = {0};
    assert_int_equal(sw_target_open(&target, getpid(), NULL), SW_OK);
    assert_int_equal(sw_open_file_describe(&target, 1000000, &text), SW_NOTFOUND);
    assert_int_equal(sw_open_file_describe(&target, -1, &text), SW_NOTFOUND);
    assert_int_equal(text.len, 0);
    sw_buf_release(&text);
    sw_target_close(&target);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_no_such_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
