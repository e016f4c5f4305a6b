/*
 * Load generator of the benchmarks: many MQTT 3.1.1 clients over mutual TLS, in one small program,
 * so that the server and not the client is what is measured.
 *
 *   loadgen connect  TCP + full handshake + CONNECT/CONNACK + DISCONNECT + close, again and again
 *   loadgen publish  QoS 1 telemetry with a window of unacknowledged messages
 *   loadgen idle     open connections, and hold them
 *
 * Standard output carries one JSON object per line: first {"ready":...} when everything that is not
 * to be measured has been done, then, after a line (or the end) on standard input, the result.
 * Any error ends the program with status 1 and one line on standard error.
 *
 * Build: cc -O2 -o loadgen loadgen.c -lssl -lcrypto
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum {
    MAX_RECORD_BYTES = 16384, /* one TLS record, RFC 8446 section 5.1 */
    MAX_PACKET_IDS = 65536,   /* two bytes, [MQTT-2.3.1-1] */
    MAX_TEMPLATE_BYTES = 512,
    IO_TIMEOUT_MS = 30000, /* a server that is silent for so long has failed */
};

struct options {
    const char *mode;
    const char *host;
    int port;
    const char *tls;
    const char *cert, *key, *ca, *server_name;
    const char *client_id, *user, *topic; /* "{n}" stands for the number of the client */
    int first;                            /* number of the first client */
    int clients;                          /* identities in use: connections, or ids in rotation */
    int processes;
    double seconds; /* connect: how long */
    int window, batch, size;
    long messages; /* publish: per connection */
    int keep_alive_s;
    int sources; /* how many source addresses, 127.1.x.y, to spread over */
    bool tls_only;
};

static struct options opt = {
    .host = "127.0.0.1",
    .port = 8883,
    .tls = "1.3",
    .client_id = "bench-{n}",
    .user = "",
    .topic = "bench/{n}",
    .clients = 1,
    .processes = 1,
    .seconds = 3,
    .window = 1,
    .batch = 1,
    .size = 256,
    .messages = 1000,
    .keep_alive_s = 600,
    .sources = 1,
};

/* --- small things ------------------------------------------------------------------------- */

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    unsigned long code = ERR_get_error();
    if (code != 0) {
        char text[256];
        ERR_error_string_n(code, text, sizeof text);
        fprintf(stderr, ": %s", text);
    }
    fputc('\n', stderr);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double own_cpu_s(int who)
{
    struct rusage use;
    getrusage(who, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* Replace "{n}" by the number of the client. */
static size_t expand(char *out, const char *template, int number)
{
    const char *mark = strstr(template, "{n}");
    int length;
    if (mark == NULL)
        length = snprintf(out, MAX_TEMPLATE_BYTES, "%s", template);
    else
        length = snprintf(out, MAX_TEMPLATE_BYTES, "%.*s%d%s", (int)(mark - template), template,
                          number, mark + 3);
    if (length < 0 || length >= MAX_TEMPLATE_BYTES)
        die("text too long: %s", template);
    return (size_t)length;
}

static void wait_for_go(void)
{
    char byte;
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
        ;
}

/* --- MQTT ---------------------------------------------------------------------------------- */

static uint8_t *put_u16(uint8_t *p, size_t value)
{
    *p++ = (uint8_t)(value >> 8);
    *p++ = (uint8_t)value;
    return p;
}

static uint8_t *put_text(uint8_t *p, const char *text, size_t length)
{
    p = put_u16(p, length);
    memcpy(p, text, length);
    return p + length;
}

/* Remaining length, MQTT 3.1.1 section 2.2.3. */
static uint8_t *put_length(uint8_t *p, size_t length)
{
    do {
        uint8_t byte = length % 128;
        length /= 128;
        *p++ = length > 0 ? byte | 0x80 : byte;
    } while (length > 0);
    return p;
}

static size_t make_connect(uint8_t *out, int number)
{
    char id[MAX_TEMPLATE_BYTES], user[MAX_TEMPLATE_BYTES];
    size_t id_length = expand(id, opt.client_id, number);
    size_t user_length = expand(user, opt.user, number);
    size_t length = 10 + 2 + id_length + (user_length ? 2 + user_length : 0);
    uint8_t *p = out;
    *p++ = 0x10;
    p = put_length(p, length);
    p = put_text(p, "MQTT", 4);
    *p++ = 4;                                   /* protocol level */
    *p++ = user_length ? 0x82 : 0x02;           /* user name, clean session */
    p = put_u16(p, (size_t)opt.keep_alive_s);
    p = put_text(p, id, id_length);
    if (user_length)
        p = put_text(p, user, user_length);
    return (size_t)(p - out);
}

static const uint8_t DISCONNECT[] = {0xe0, 0x00};

/* --- TLS over TCP -------------------------------------------------------------------------- */

static SSL_CTX *make_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        die("no TLS context");
    int version = strcmp(opt.tls, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    /* Every handshake a full one: a fleet that returns after a power cut has no sessions. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    if (opt.cert != NULL && SSL_CTX_use_certificate_chain_file(context, opt.cert) != 1)
        die("cannot use certificate %s", opt.cert);
    if (opt.key != NULL && SSL_CTX_use_PrivateKey_file(context, opt.key, SSL_FILETYPE_PEM) != 1)
        die("cannot use key %s", opt.key);
    if (opt.ca != NULL) {
        if (SSL_CTX_load_verify_locations(context, opt.ca, NULL) != 1)
            die("cannot use CA file %s", opt.ca);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    return context;
}

/* Spread over source addresses: ephemeral ports are 28,000 for each, and so are limits. */
static void bind_source(int fd, int number)
{
    if (opt.sources <= 1 || strncmp(opt.host, "127.", 4) != 0)
        return;
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in source = {.sin_family = AF_INET};
    int slot = number % opt.sources;
    source.sin_addr.s_addr = htonl(0x7f010001u + (uint32_t)(slot / 250) * 256u + (uint32_t)(slot % 250));
    if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0)
        die("bind: %s", strerror(errno));
}

static int tcp_connect(int number)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket: %s", strerror(errno));
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct timeval timeout = {.tv_sec = IO_TIMEOUT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    bind_source(fd, number);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
    if (inet_pton(AF_INET, opt.host, &server.sin_addr) != 1)
        die("host must be an IPv4 address: %s", opt.host);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
        die("connect to %s:%d: %s", opt.host, opt.port, strerror(errno));
    return fd;
}

static SSL *tls_connect(SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        die("no TLS connection");
    if (opt.server_name != NULL)
        SSL_set_tlsext_host_name(ssl, opt.server_name);
    if (SSL_connect(ssl) != 1)
        die("handshake with %s:%d failed", opt.host, opt.port);
    return ssl;
}

static void read_exactly(SSL *ssl, uint8_t *out, int length)
{
    while (length > 0) {
        int count = SSL_read(ssl, out, length);
        if (count <= 0)
            die("the server closed or fell silent (TLS error %d)", SSL_get_error(ssl, count));
        out += count;
        length -= count;
    }
}

static void mqtt_connect(SSL *ssl, int number)
{
    uint8_t packet[3 * MAX_TEMPLATE_BYTES];
    int length = (int)make_connect(packet, number);
    if (SSL_write(ssl, packet, length) != length)
        die("cannot send CONNECT");
    uint8_t connack[4];
    read_exactly(ssl, connack, sizeof connack);
    if (connack[0] != 0x20 || connack[1] != 2)
        die("no CONNACK but %02x %02x", connack[0], connack[1]);
    if (connack[3] != 0)
        die("client %d refused, CONNACK %d", number, connack[3]);
}

/* --- mode connect --------------------------------------------------------------------------- */

static void connect_once(SSL_CTX *context, int number)
{
    int fd = tcp_connect(number);
    SSL *ssl = tls_connect(context, fd);
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

static int run_connect(void)
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

/* --- mode publish --------------------------------------------------------------------------- */

struct publisher {
    SSL *ssl;
    int fd;
    int number;
    uint8_t *packet; /* one PUBLISH; only the packet id changes */
    size_t packet_length, id_offset;
    long sent, acknowledged;
    uint16_t next_id;
    uint8_t in_flight[MAX_PACKET_IDS / 8];
    uint8_t *out; /* what the socket has not taken yet */
    size_t out_length, out_done;
    uint8_t in[MAX_RECORD_BYTES];
    size_t in_length;
    bool wants_write;
};

static void make_publish(struct publisher *p)
{
    char topic[MAX_TEMPLATE_BYTES];
    size_t topic_length = expand(topic, opt.topic, p->number);
    size_t length = 2 + topic_length + 2 + (size_t)opt.size;
    p->packet = malloc(length + 5);
    if (p->packet == NULL)
        die("no memory");
    uint8_t *q = p->packet;
    *q++ = 0x32; /* PUBLISH, QoS 1 */
    q = put_length(q, length);
    q = put_text(q, topic, topic_length);
    p->id_offset = (size_t)(q - p->packet);
    q += 2;
    for (int i = 0; i < opt.size; i++)
        *q++ = (uint8_t)("0123456789abcdef"[i % 16]);
    p->packet_length = (size_t)(q - p->packet);
}

/* Hand what is waiting to TLS; false when the socket is full. */
static bool flush_out(struct publisher *p)
{
    while (p->out_done < p->out_length) {
        int count = SSL_write(p->ssl, p->out + p->out_done, (int)(p->out_length - p->out_done));
        if (count <= 0) {
            int error = SSL_get_error(p->ssl, count);
            if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ)
                return false;
            die("client %d: the server closed while sending (TLS error %d)", p->number, error);
        }
        p->out_done += (size_t)count;
    }
    p->out_length = p->out_done = 0;
    return true;
}

/* Fill the window; each write is one TLS record of at most `batch` messages. */
static void send_more(struct publisher *p)
{
    while (flush_out(p)) {
        long room = opt.window - (p->sent - p->acknowledged);
        long left = opt.messages - p->sent;
        long count = room < left ? room : left;
        if (count > opt.batch)
            count = opt.batch;
        if (count <= 0)
            break;
        for (long i = 0; i < count; i++) {
            uint16_t id = p->next_id;
            p->next_id = id == 65535 ? 1 : (uint16_t)(id + 1);
            if (p->in_flight[id / 8] & (1u << (id % 8)))
                die("client %d: packet id %d still in flight", p->number, id);
            p->in_flight[id / 8] |= (uint8_t)(1u << (id % 8));
            uint8_t *packet = p->out + p->out_length;
            memcpy(packet, p->packet, p->packet_length);
            put_u16(packet + p->id_offset, id);
            p->out_length += p->packet_length;
        }
        p->sent += count;
    }
    p->wants_write = p->out_length > 0;
}

static void take_acknowledgements(struct publisher *p)
{
    size_t at = 0;
    while (p->in_length - at >= 4) {
        const uint8_t *q = p->in + at;
        if (q[0] != 0x40 || q[1] != 2)
            die("client %d: expected PUBACK, got %02x %02x", p->number, q[0], q[1]);
        unsigned id = (unsigned)q[2] << 8 | q[3];
        if (!(p->in_flight[id / 8] & (1u << (id % 8))))
            die("client %d: PUBACK for packet id %u, which is not in flight", p->number, id);
        p->in_flight[id / 8] &= (uint8_t)~(1u << (id % 8));
        p->acknowledged++;
        at += 4;
    }
    memmove(p->in, p->in + at, p->in_length - at);
    p->in_length -= at;
}

static void receive(struct publisher *p)
{
    for (;;) {
        int count = SSL_read(p->ssl, p->in + p->in_length, (int)(sizeof p->in - p->in_length));
        if (count <= 0) {
            int error = SSL_get_error(p->ssl, count);
            if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
                return;
            die("client %d: the server closed with %ld messages unacknowledged (TLS error %d)",
                p->number, p->sent - p->acknowledged, error);
        }
        p->in_length += (size_t)count;
        take_acknowledgements(p);
    }
}

static int run_publish(void)
{
    SSL_CTX *context = make_context();
    struct publisher *publishers = calloc((size_t)opt.clients, sizeof *publishers);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (publishers == NULL || poller < 0)
        die("no memory");
    for (int i = 0; i < opt.clients; i++) {
        struct publisher *p = &publishers[i];
        p->number = opt.first + i;
        p->next_id = 1;
        make_publish(p);
        if ((size_t)opt.batch * p->packet_length > MAX_RECORD_BYTES)
            die("%d messages of %d bytes do not fit one TLS record", opt.batch, opt.size);
        p->out = malloc((size_t)opt.batch * p->packet_length);
        if (p->out == NULL)
            die("no memory");
        p->fd = tcp_connect(p->number);
        p->ssl = tls_connect(context, p->fd);
        mqtt_connect(p->ssl, p->number);
        fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) | O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, p->fd, &event) != 0)
            die("epoll: %s", strerror(errno));
    }
    printf("{\"ready\":%d}\n", opt.clients);
    wait_for_go();

    double began = now_s(), cpu_before = own_cpu_s(RUSAGE_SELF);
    int unfinished = opt.clients;
    for (int i = 0; i < opt.clients; i++) {
        send_more(&publishers[i]);
        if (publishers[i].wants_write) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = &publishers[i]};
            epoll_ctl(poller, EPOLL_CTL_MOD, publishers[i].fd, &event);
        }
    }
    while (unfinished > 0) {
        struct epoll_event events[64];
        int count = epoll_wait(poller, events, 64, IO_TIMEOUT_MS);
        if (count == 0)
            die("no acknowledgement for %d s; %d clients unfinished", IO_TIMEOUT_MS / 1000,
                unfinished);
        for (int i = 0; i < count; i++) {
            struct publisher *p = events[i].data.ptr;
            bool was_done = p->acknowledged == opt.messages;
            bool had_wanted = p->wants_write;
            receive(p);
            send_more(p);
            if (p->wants_write != had_wanted) {
                struct epoll_event event = {
                    .events = p->wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = p};
                epoll_ctl(poller, EPOLL_CTL_MOD, p->fd, &event);
            }
            if (!was_done && p->acknowledged == opt.messages)
                unfinished--;
        }
    }
    double seconds = now_s() - began, cpu = own_cpu_s(RUSAGE_SELF) - cpu_before;
    printf("{\"mode\":\"publish\",\"count\":%ld,\"seconds\":%.6f,\"cpu_s\":%.3f}\n",
           opt.messages * opt.clients, seconds, cpu);
    fflush(stdout);
    for (int i = 0; i < opt.clients; i++) {
        SSL_write(publishers[i].ssl, DISCONNECT, sizeof DISCONNECT);
        close(publishers[i].fd);
    }
    return 0;
}

/* --- mode idle ------------------------------------------------------------------------------- */

static int run_idle(void)
{
    SSL_CTX *context = make_context();
    struct pollfd *polled = calloc((size_t)opt.clients, sizeof *polled);
    if (polled == NULL)
        die("no memory");
    double began = now_s();
    for (int i = 0; i < opt.clients; i++) {
        int fd = tcp_connect(opt.first + i);
        SSL *ssl = tls_connect(context, fd);
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

/* --- command line ----------------------------------------------------------------------------- */

static int whole(const char *name, const char *text, long least)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || value < least || value > 1000000000)
        die("%s must be a whole number from %ld: %s", name, least, text);
    return (int)value;
}

static void set_option(const char *name, const char *value)
{
    if (strcmp(name, "--host") == 0)
        opt.host = value;
    else if (strcmp(name, "--port") == 0)
        opt.port = whole(name, value, 1);
    else if (strcmp(name, "--tls") == 0)
        opt.tls = value;
    else if (strcmp(name, "--cert") == 0)
        opt.cert = value;
    else if (strcmp(name, "--key") == 0)
        opt.key = value;
    else if (strcmp(name, "--ca") == 0)
        opt.ca = value;
    else if (strcmp(name, "--server-name") == 0)
        opt.server_name = value;
    else if (strcmp(name, "--client-id") == 0)
        opt.client_id = value;
    else if (strcmp(name, "--user") == 0)
        opt.user = value;
    else if (strcmp(name, "--topic") == 0)
        opt.topic = value;
    else if (strcmp(name, "--first") == 0)
        opt.first = whole(name, value, 0);
    else if (strcmp(name, "--clients") == 0)
        opt.clients = whole(name, value, 1);
    else if (strcmp(name, "--processes") == 0)
        opt.processes = whole(name, value, 1);
    else if (strcmp(name, "--seconds") == 0)
        opt.seconds = atof(value);
    else if (strcmp(name, "--window") == 0)
        opt.window = whole(name, value, 1);
    else if (strcmp(name, "--batch") == 0)
        opt.batch = whole(name, value, 1);
    else if (strcmp(name, "--size") == 0)
        opt.size = whole(name, value, 0);
    else if (strcmp(name, "--messages") == 0)
        opt.messages = whole(name, value, 1);
    else if (strcmp(name, "--keep-alive") == 0)
        opt.keep_alive_s = whole(name, value, 0);
    else if (strcmp(name, "--sources") == 0)
        opt.sources = whole(name, value, 1);
    else
        die("unknown option %s", name);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("usage: loadgen connect|publish|idle [--name value ...] [--tls-only]");
    opt.mode = argv[1];
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--tls-only") == 0) {
            opt.tls_only = true;
            continue;
        }
        if (i + 1 == argc)
            die("%s needs a value", argv[i]);
        set_option(argv[i], argv[i + 1]);
        i++;
    }
    if (opt.window >= MAX_PACKET_IDS)
        die("--window must be below %d", MAX_PACKET_IDS);
    raise_file_limit();
    if (strcmp(opt.mode, "connect") == 0)
        return run_connect();
    if (strcmp(opt.mode, "publish") == 0)
        return run_publish();
    if (strcmp(opt.mode, "idle") == 0)
        return run_idle();
    die("unknown mode %s", opt.mode);
}
