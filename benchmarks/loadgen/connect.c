/* Mode connect: TCP, handshake, CONNECT, CONNACK, DISCONNECT, close; again and again. */
#include "loadgen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void connect_once(SSL_CTX *context, int number)
{
    int fd = tcp_connect(number);
    SSL *ssl = tls_connect(context, fd, number);
    if (!opt.tls_only) {
        mqtt_connect(ssl, number);
        if (SSL_write(ssl, DISCONNECT, sizeof DISCONNECT) != sizeof DISCONNECT)
            die("cannot send DISCONNECT");
    }
    SSL_shutdown(ssl);
    if (opt.tls_only) {
        /* In TLS 1.3 the client is done before the server has looked at its certificate: wait for
           the server's end, so that no handshake is counted that the server has not finished. */
        uint8_t byte;
        while (SSL_read(ssl, &byte, 1) > 0)
            ;
    }
    SSL_free(ssl);
    close(fd);
}

/* A child: connect until the time is over, then send the count up the pipe. */
static void connect_child(int slot, int start_fd, int result_fd)
{
    SSL_CTX *context = make_context();
    int per_process = opt.clients / opt.processes;
    if (per_process < 1)
        per_process = 1;
    char byte;
    if (read(start_fd, &byte, 1) < 0)
        die("pipe: %s", strerror(errno));
    long count = 0;
    double end = now_s() + opt.seconds;
    while (now_s() < end) {
        int number = opt.first + slot * per_process + (int)(count % per_process);
        connect_once(context, number);
        count++;
    }
    if (write(result_fd, &count, sizeof count) != sizeof count)
        die("pipe: %s", strerror(errno));
    exit(0);
}

int run_connect(void)
{
    int start[2], result[2];
    if (pipe(start) != 0 || pipe(result) != 0)
        die("pipe: %s", strerror(errno));
    for (int slot = 0; slot < opt.processes; slot++) {
        pid_t child = fork();
        if (child < 0)
            die("fork: %s", strerror(errno));
        if (child == 0) {
            close(start[1]);
            close(result[0]);
            connect_child(slot, start[0], result[1]);
        }
    }
    close(start[0]);
    close(result[1]);
    printf("{\"ready\":%d}\n", opt.processes);
    wait_for_go();
    double began = now_s();
    close(start[1]); /* every child reads end-of-file: go */
    long total = 0, count;
    int reports = 0;
    while (read(result[0], &count, sizeof count) == sizeof count) {
        total += count;
        reports++;
    }
    double seconds = now_s() - began;
    while (wait(NULL) > 0)
        ;
    if (reports != opt.processes)
        die("%d of %d processes failed", opt.processes - reports, opt.processes);
    printf("{\"mode\":\"connect\",\"count\":%ld,\"seconds\":%.6f,\"cpu_s\":%.3f}\n", total, seconds,
           own_cpu_s(RUSAGE_CHILDREN));
    return 0;
}
