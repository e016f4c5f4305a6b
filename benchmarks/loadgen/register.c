/*
 * Mode register: whole DPS registrations, each on a connection of its own, `--window` of them at
 * one time. One registration is TCP, a full handshake, CONNECT, SUBSCRIBE, the register request,
 * the poll that is answered "assigned", DISCONNECT, close; every round trip is waited for, and
 * QoS 1 is acknowledged both ways, as the SDKs do.
 *
 * The client takes turns at its identities: number `--first` up to `--clients` of them. Who is
 * turned away before its CONNACK (the server has too much to do) comes back later, as a device
 * does, and is counted. Anything else that is not as it should be ends the program.
 */
#include "loadgen.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

enum {
    MAX_TRIES = 16,
    MAX_PACKET_BYTES = 4096, /* the answers have some hundred bytes */
    MAX_OPERATION_ID_BYTES = 128,
    EVENTS = 64,
    STARTS_PER_TURN = 16, /* so that new ones do not hold up those under way */
};

#define FIRST_BACK_OFF_S 1.0
#define MAX_BACK_OFF_S 8.0
#define FILTER "$dps/registrations/res/#"
#define ANSWER "$dps/registrations/res/"
#define REGISTER "$dps/registrations/PUT/iotdps-register/?$rid=1"
#define POLL "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId="

enum step { FREE, DIALLING, SHAKING, CONNECTING, SUBSCRIBING, REGISTERING, RESTING, POLLING, AWAY };

struct gateway {
    enum step step;
    int number, fd, tries;
    SSL *ssl;
    double began, rested; /* s */
    double due;           /* when RESTING or AWAY ends */
    char operation_id[MAX_OPERATION_ID_BYTES + 1];
    uint8_t in[MAX_PACKET_BYTES];
    size_t in_length;
};

static SSL_CTX *context;
static int poller;
static struct gateway **sleepers; /* a heap by `due` */
static int sleeper_count;
static long started, finished, turned_away;
static double *latencies; /* s, without what the server ordered to wait */
static double rested_s;
static double last_end;

/* --- those that wait ------------------------------------------------------------------------ */

static void sleep_until(struct gateway *g, double due)
{
    g->due = due;
    int at = sleeper_count++;
    while (at > 0 && sleepers[(at - 1) / 2]->due > due) {
        sleepers[at] = sleepers[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sleepers[at] = g;
}

static struct gateway *first_awake(double now)
{
    if (sleeper_count == 0 || sleepers[0]->due > now)
        return NULL;
    struct gateway *first = sleepers[0], *last = sleepers[--sleeper_count];
    int at = 0;
    for (;;) {
        int child = 2 * at + 1;
        if (child >= sleeper_count)
            break;
        if (child + 1 < sleeper_count && sleepers[child + 1]->due < sleepers[child]->due)
            child++;
        if (sleepers[child]->due >= last->due)
            break;
        sleepers[at] = sleepers[child];
        at = child;
    }
    sleepers[at] = last;
    return first;
}

/* --- one gateway ------------------------------------------------------------------------------ */

static void watch(struct gateway *g, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = g};
    if (epoll_ctl(poller, operation, g->fd, &event) != 0)
        die("epoll: %s", strerror(errno));
}

static void dial(struct gateway *g)
{
    g->step = DIALLING;
    g->in_length = 0;
    g->fd = open_socket(g->number, false);
    g->ssl = new_tls(context, g->fd, g->number);
    watch(g, EPOLL_CTL_ADD, EPOLLOUT);
}

static void hang_up(struct gateway *g)
{
    SSL_free(g->ssl);
    close(g->fd);
}

static void come_back_later(struct gateway *g, const char *why)
{
    ERR_clear_error();
    if (g->step >= SUBSCRIBING)
        die("client %d: %s in step %d", g->number, why, g->step);
    if (++g->tries == MAX_TRIES)
        die("client %d: %s, %d times", g->number, why, MAX_TRIES);
    turned_away++;
    hang_up(g);
    double back_off = fmin(FIRST_BACK_OFF_S * pow(2, g->tries - 1), MAX_BACK_OFF_S);
    g->step = AWAY;
    sleep_until(g, now_s() + back_off * (0.5 + drand48()));
}

static void send_bytes(struct gateway *g, const uint8_t *data, size_t length)
{
    /* A few hundred bytes into an empty buffer: never a part. */
    if (SSL_write(g->ssl, data, (int)length) != (int)length)
        come_back_later(g, "cannot send");
}

static void send_publish(struct gateway *g, const char *topic, unsigned packet_id, const char *body)
{
    uint8_t packet[MAX_TEXT_BYTES];
    size_t topic_length = strlen(topic), body_length = strlen(body);
    uint8_t *p = packet;
    *p++ = 0x32; /* PUBLISH, QoS 1 */
    p = put_length(p, 2 + topic_length + 2 + body_length);
    p = put_text(p, topic, topic_length);
    p = put_u16(p, packet_id);
    memcpy(p, body, body_length);
    send_bytes(g, packet, (size_t)(p - packet) + body_length);
}

static void subscribe(struct gateway *g)
{
    uint8_t packet[64];
    uint8_t *p = packet;
    *p++ = 0x82;
    p = put_length(p, 2 + 2 + strlen(FILTER) + 1);
    p = put_u16(p, 1);
    p = put_text(p, FILTER, strlen(FILTER));
    *p++ = 1; /* QoS */
    g->step = SUBSCRIBING;
    send_bytes(g, packet, (size_t)(p - packet));
}

static void ask(struct gateway *g)
{
    char name[MAX_TEXT_BYTES], body[2 * MAX_TEXT_BYTES];
    name_of(name, g->number);
    snprintf(body, sizeof body, "{\"registrationId\":\"%.128s\"}", name);
    g->step = REGISTERING;
    send_publish(g, REGISTER, 2, body);
}

static void poll_result(struct gateway *g)
{
    char topic[sizeof POLL + MAX_OPERATION_ID_BYTES];
    snprintf(topic, sizeof topic, POLL "%s", g->operation_id);
    g->step = POLLING;
    send_publish(g, topic, 3, " ");
}

static void finish(struct gateway *g)
{
    send_bytes(g, DISCONNECT, sizeof DISCONNECT);
    SSL_shutdown(g->ssl);
    hang_up(g);
    g->step = FREE;
    last_end = now_s();
    rested_s += g->rested;
    if ((finished & (finished - 1)) == 0) /* twice as much room at each power of two */
        latencies = need(realloc(latencies, (size_t)(2 * finished + 2) * sizeof *latencies));
    latencies[finished++] = last_end - g->began - g->rested;
}

/* --- what the server sends ---------------------------------------------------------------------- */

/* Return the text between `before` and the next quotation mark, and its length. */
static const char *find_text(const uint8_t *body, size_t length, const char *before, size_t *found)
{
    const char *at = memmem(body, length, before, strlen(before));
    if (at == NULL)
        return NULL;
    at += strlen(before);
    const char *end = memchr(at, '"', (size_t)((const char *)body + length - at));
    if (end == NULL)
        return NULL;
    *found = (size_t)(end - at);
    return at;
}

static void take_202(struct gateway *g, const char *topic, const uint8_t *body, size_t length)
{
    size_t size;
    const char *id = find_text(body, length, "\"operationId\":\"", &size);
    if (g->step != REGISTERING || id == NULL || size == 0 || size > MAX_OPERATION_ID_BYTES)
        die("client %d: unexpected %s: %.*s", g->number, topic, (int)length, body);
    memcpy(g->operation_id, id, size);
    g->operation_id[size] = '\0';
    if (!opt.wait) {
        poll_result(g);
        return;
    }
    const char *order = strstr(topic, "retry-after=");
    double seconds = order == NULL ? 0 : atof(order + strlen("retry-after="));
    g->rested += seconds;
    g->step = RESTING;
    sleep_until(g, now_s() + seconds);
}

static void take_200(struct gateway *g, const char *topic, const uint8_t *body, size_t length)
{
    char name[MAX_TEXT_BYTES];
    name_of(name, g->number);
    size_t status_size, name_size, hub_size;
    const char *status = find_text(body, length, "\"status\":\"", &status_size);
    const char *who = find_text(body, length, "\"deviceId\":\"", &name_size);
    const char *hub = find_text(body, length, "\"assignedHub\":\"", &hub_size);
    if (g->step != POLLING || status == NULL || status_size != strlen("assigned") ||
        memcmp(status, "assigned", status_size) != 0 || hub == NULL || hub_size == 0 ||
        who == NULL || name_size != strlen(name) || memcmp(who, name, name_size) != 0)
        die("client %d (%s): unexpected %s: %.*s", g->number, name, topic, (int)length, body);
    finish(g);
}

static void take_answer(struct gateway *g, uint8_t first, const uint8_t *p, size_t length)
{
    int qos = first >> 1 & 3;
    size_t topic_length = length < 2 ? length : (size_t)p[0] << 8 | p[1];
    size_t header = 2 + topic_length + (qos > 0 ? 2 : 0);
    if (header > length || topic_length >= MAX_TEXT_BYTES)
        die("client %d: broken PUBLISH", g->number);
    char topic[MAX_TEXT_BYTES];
    memcpy(topic, p + 2, topic_length);
    topic[topic_length] = '\0';
    if (qos > 0) {
        const uint8_t puback[4] = {0x40, 2, p[header - 2], p[header - 1]};
        send_bytes(g, puback, sizeof puback);
    }
    if (strncmp(topic, ANSWER "202/", strlen(ANSWER) + 4) == 0)
        take_202(g, topic, p + header, length - header);
    else if (strncmp(topic, ANSWER "200/", strlen(ANSWER) + 4) == 0)
        take_200(g, topic, p + header, length - header);
    else
        die("client %d refused, %s: %.*s", g->number, topic, (int)(length - header), p + header);
}

static void take_packet(struct gateway *g, const uint8_t *p, size_t header, size_t length)
{
    const uint8_t *body = p + header;
    switch (p[0] >> 4) {
    case 2: /* CONNACK */
        if (g->step != CONNECTING || length != 2 || body[1] != 0)
            die("client %d refused, CONNACK %d", g->number, body[1]);
        subscribe(g);
        return;
    case 9: /* SUBACK */
        if (g->step != SUBSCRIBING || length != 3 || body[2] > 1)
            die("client %d: subscription refused", g->number);
        ask(g);
        return;
    case 4: /* PUBACK: the answer follows */
        if (g->step != REGISTERING && g->step != POLLING)
            die("client %d: PUBACK in step %d", g->number, g->step);
        return;
    case 3:
        take_answer(g, p[0], body, length);
        return;
    default:
        die("client %d: unexpected packet %02x", g->number, p[0]);
    }
}

/* Take whole packets; keep what is left of one that has not come whole. */
static void take_packets(struct gateway *g)
{
    size_t at = 0;
    while (g->step != FREE && g->step != AWAY) {
        size_t length = 0, header = 1;
        int shift = 0;
        bool whole = false;
        while (!whole && at + header < g->in_length && header < 5) {
            uint8_t byte = g->in[at + header++];
            length |= (size_t)(byte & 0x7f) << shift;
            shift += 7;
            whole = (byte & 0x80) == 0;
        }
        if (header + length > sizeof g->in)
            die("client %d: a packet of %zu bytes", g->number, length);
        if (!whole || at + header + length > g->in_length)
            break;
        take_packet(g, g->in + at, header, length);
        at += header + length;
    }
    memmove(g->in, g->in + at, g->in_length - at);
    g->in_length -= at;
}

static void receive(struct gateway *g)
{
    while (g->step != FREE && g->step != AWAY) {
        int count = SSL_read(g->ssl, g->in + g->in_length, (int)(sizeof g->in - g->in_length));
        if (count > 0) {
            g->in_length += (size_t)count;
            take_packets(g);
            continue;
        }
        if (SSL_get_error(g->ssl, count) == SSL_ERROR_WANT_READ)
            return;
        come_back_later(g, "the server closed");
    }
}

static void shake_hands(struct gateway *g)
{
    int done = SSL_connect(g->ssl);
    if (done != 1) {
        int error = SSL_get_error(g->ssl, done);
        if (error == SSL_ERROR_WANT_READ)
            return;
        bool refused = error == SSL_ERROR_SSL &&
                       ERR_GET_REASON(ERR_peek_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING;
        if (refused)
            die("client %d: the handshake failed", g->number);
        come_back_later(g, "the server closed in the handshake");
        return;
    }
    uint8_t packet[MAX_CONNECT_BYTES];
    g->step = CONNECTING;
    send_bytes(g, packet, make_connect(packet, g->number));
    receive(g); /* what came with the end of the handshake wakes nobody again */
}

static void go_on(struct gateway *g)
{
    if (g->step == DIALLING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(g->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            come_back_later(g, strerror(error));
            return;
        }
        g->step = SHAKING;
        watch(g, EPOLL_CTL_MOD, EPOLLIN);
    }
    if (g->step == SHAKING)
        shake_hands(g);
    else if (g->step != FREE && g->step != AWAY)
        receive(g);
}

/* --- all of them ---------------------------------------------------------------------------------- */

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double quantile_ms(double share)
{
    long at = (long)ceil(share * (double)finished) - 1;
    return 1000 * latencies[at < 0 ? 0 : at];
}

static void start(struct gateway *g)
{
    g->number = opt.first + (int)(started++ % opt.clients);
    g->tries = 0;
    g->rested = 0;
    g->began = now_s();
    dial(g);
}

static void run_all(struct gateway *gateways, double end)
{
    int next = 0; /* who is looked at first for a free place */
    for (;;) {
        bool more = opt.messages > 0 ? started < opt.messages : now_s() < end;
        if (!more && finished == started)
            return;
        int starts = 0;
        for (int i = 0; more && i < opt.window && starts < STARTS_PER_TURN; i++) {
            struct gateway *g = &gateways[next];
            next = (next + 1) % opt.window;
            if (g->step != FREE)
                continue;
            start(g);
            starts++;
            more = opt.messages == 0 || started < opt.messages;
        }
        double now = now_s();
        for (struct gateway *g; (g = first_awake(now)) != NULL;)
            if (g->step == AWAY)
                dial(g);
            else
                poll_result(g);
        int timeout_ms = IO_TIMEOUT_MS;
        if (starts == STARTS_PER_TURN)
            timeout_ms = 0;
        else if (sleeper_count > 0)
            timeout_ms = (int)ceil(fmax(0, sleepers[0]->due - now) * 1000);
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, timeout_ms);
        if (count == 0 && timeout_ms == IO_TIMEOUT_MS)
            die("the server is silent for %d s; %ld registrations unfinished",
                IO_TIMEOUT_MS / 1000, started - finished);
        for (int i = 0; i < count; i++)
            go_on(events[i].data.ptr);
    }
}

int run_register(void)
{
    if (opt.clients < 2 * opt.window && (opt.messages == 0 || opt.clients < opt.messages))
        die("--clients must be twice --window, so that nobody registers twice at one time");
    context = make_context();
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll: %s", strerror(errno));
    struct gateway *gateways = need(calloc((size_t)opt.window, sizeof *gateways));
    sleepers = need(calloc((size_t)opt.window, sizeof *sleepers));
    printf("{\"ready\":%d}\n", opt.clients);
    wait_for_go();
    double began = now_s(), cpu_before = own_cpu_s(RUSAGE_SELF);
    run_all(gateways, began + opt.seconds);
    if (finished == 0)
        die("no registration was done");
    qsort(latencies, (size_t)finished, sizeof *latencies, by_size);
    printf("{\"mode\":\"register\",\"count\":%ld,\"seconds\":%.6f,\"cpu_s\":%.3f,"
           "\"turned_away\":%ld,\"rested_s\":%.3f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f}\n",
           finished, last_end - began, own_cpu_s(RUSAGE_SELF) - cpu_before, turned_away,
           rested_s / (double)finished, quantile_ms(0.5), quantile_ms(0.99), quantile_ms(1));
    return 0;
}
