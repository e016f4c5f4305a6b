/* Mode idle: open connections, and hold them. */
#include "loadgen.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int run_idle(void)
{
    SSL_CTX *context = make_context();
    struct pollfd *polled = need(calloc((size_t)opt.clients, sizeof *polled));
    double began = now_s();
    for (int i = 0; i < opt.clients; i++) {
        int fd = tcp_connect(opt.first + i);
        SSL *ssl = tls_connect(context, fd, opt.first + i);
        mqtt_connect(ssl, opt.first + i);
        polled[i] = (struct pollfd){.fd = fd, .events = POLLIN | POLLRDHUP};
    }
    printf("{\"ready\":%d,\"seconds\":%.3f}\n", opt.clients, now_s() - began);
    wait_for_go();
    /* An idle server has nothing to say: anything but a session ticket's record means it ended. */
    int closed = 0;
    if (poll(polled, (nfds_t)opt.clients, 0) < 0)
        die("poll: %s", strerror(errno));
    for (int i = 0; i < opt.clients; i++)
        if (polled[i].revents & (POLLRDHUP | POLLHUP | POLLERR))
            closed++;
    printf("{\"mode\":\"idle\",\"count\":%d,\"closed\":%d}\n", opt.clients, closed);
    return 0;
}
