/*
 * Mode fleet: devices that are connected, subscribed to `--filters`, and at rest. With `--storm`
 * all of them have lost their connection when the line on standard input comes (the server was
 * started again), and all come back at one time, as devices do: without clean session and without
 * subscribing again, since the CONNACK must say that their session is still there. Who is turned
 * away before CONNACK comes back later and is counted. Then they answer direct methods until the
 * next line.
 */
#include "loadgen.h"

#include <math.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    MAX_TRIES = 16,
    DIALS_PER_TURN = 16, /* so that new ones do not hold up those under way */
    LOOK_MS = 50,        /* between two looks at standard input */
};

enum step { FREE, CONNECTING, SUBSCRIBING, UP, AWAY };

struct gateway {
    struct link link; /* the first member */
    struct sleeper sleeper;
    enum step step;
    int tries;
};

static SSL_CTX *context;
static int poller;
static bool is_storm;
static int up, lost;
static long turned_away, answered;
static double began_s, last_up_s;
static struct times latencies;

static void dial(struct gateway *g, int number)
{
    g->step = CONNECTING;
    link_dial(&g->link, poller, context, number);
}

static void hang_up(struct gateway *g)
{
    SSL_free(g->link.ssl);
    close(g->link.fd);
}

static void closed(struct link *l, const char *why)
{
    struct gateway *g = (struct gateway *)l;
    if (g->step == UP && !is_storm) {
        g->step = FREE;
        lost++;
        hang_up(g);
        return;
    }
    if (g->step != CONNECTING || !is_storm || ++g->tries == MAX_TRIES)
        die("client %d: %s in step %d", l->number, why, g->step);
    turned_away++;
    hang_up(g);
    g->step = AWAY;
    sleep_until(&g->sleeper, now_s() + back_off_s(g->tries));
}

static void come_up(struct gateway *g)
{
    g->step = UP;
    up++;
    last_up_s = now_s();
    note_time(&latencies, last_up_s - began_s);
}

static void take_connack(struct gateway *g, const uint8_t *body, size_t length)
{
    if (g->step != CONNECTING || length != 2 || body[1] != 0)
        die("client %d refused, CONNACK %d", g->link.number, body[1]);
    if (is_storm) {
        if (body[0] != 1)
            die("client %d: its session is lost", g->link.number);
        come_up(g);
        return;
    }
    uint8_t packet[MAX_SUBSCRIBE_BYTES];
    g->step = SUBSCRIBING;
    link_send(&g->link, packet, make_subscribe(packet, opt.filters, 1, g->link.number));
}

static void take_suback(struct gateway *g, const uint8_t *body, size_t length)
{
    if (g->step != SUBSCRIBING || length < 3)
        die("client %d: unexpected SUBACK", g->link.number);
    for (size_t i = 2; i < length; i++)
        if (body[i] > 1)
            die("client %d: subscription %zu refused", g->link.number, i - 1);
    come_up(g);
}

static size_t take(struct link *l, const uint8_t *data, size_t available)
{
    struct gateway *g = (struct gateway *)l;
    size_t header, length;
    if (!find_packet(data, available, &header, &length))
        return 0;
    struct message m;
    switch (data[0] >> 4) {
    case 2:
        take_connack(g, data + header, length);
        break;
    case 9:
        take_suback(g, data + header, length);
        break;
    case 3:
        read_message(&m, data, header, length);
        if (g->step != UP || !answer_method(l, &m))
            die("client %d: unexpected message on %s", l->number, m.topic);
        answered++;
        break;
    default:
        die("client %d: unexpected packet %02x", l->number, data[0]);
    }
    return header + length;
}

/* Connect everybody, `window` at one time. */
static void connect_all(struct gateway *gateways, int window)
{
    int dialled = 0;
    began_s = now_s();
    while (up < opt.clients) {
        int dials = 0;
        for (; dialled < opt.clients && dialled - up < window && dials < DIALS_PER_TURN; dials++) {
            dial(&gateways[dialled], opt.first + dialled);
            dialled++;
        }
        double now = now_s();
        for (struct sleeper *s; (s = first_awake(now)) != NULL;) {
            struct gateway *g =
                (struct gateway *)((char *)s - offsetof(struct gateway, sleeper));
            dial(g, g->link.number);
        }
        int timeout_ms = IO_TIMEOUT_MS;
        if (dials == DIALS_PER_TURN)
            timeout_ms = 0;
        else if (is_anyone_asleep())
            timeout_ms = (int)ceil(fmax(0, next_awake() - now) * 1000);
        if (!poll_links(poller, timeout_ms) && timeout_ms == IO_TIMEOUT_MS)
            die("the server is silent for %d s; %d clients are not up", IO_TIMEOUT_MS / 1000,
                opt.clients - up);
    }
}

static void serve_until_go(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&input, 1, 0) == 0)
        poll_links(poller, LOOK_MS);
    wait_for_go();
}

static void storm(struct gateway *gateways)
{
    while (lost < opt.clients)
        if (!poll_links(poller, IO_TIMEOUT_MS))
            die("%d connections still stand", opt.clients - lost);
    is_storm = true;
    up = 0;
    latencies.count = 0;
    double cpu_before = own_cpu_s(RUSAGE_SELF);
    connect_all(gateways, opt.clients);
    sort_times(&latencies);
    printf("{\"mode\":\"fleet\",\"count\":%d,\"seconds\":%.6f,\"cpu_s\":%.3f,\"turned_away\":%ld,"
           "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f}\n",
           up, last_up_s - began_s, own_cpu_s(RUSAGE_SELF) - cpu_before, turned_away,
           quantile_ms(&latencies, 0.5), quantile_ms(&latencies, 0.99),
           quantile_ms(&latencies, 1));
    fflush(stdout);
    serve_until_go();
    printf("{\"mode\":\"fleet\",\"answered\":%ld}\n", answered);
}

int run_fleet(void)
{
    context = make_context();
    poller = make_poller();
    make_room_for_sleepers(opt.clients);
    struct gateway *gateways = need(calloc((size_t)opt.clients, sizeof *gateways));
    for (int i = 0; i < opt.clients; i++)
        gateways[i].link = (struct link){.take = take, .closed = closed};
    connect_all(gateways, opt.window);
    printf("{\"ready\":%d,\"seconds\":%.3f}\n", opt.clients, last_up_s - began_s);
    fflush(stdout);
    serve_until_go(); /* and see the server close its connections */
    if (opt.storm) {
        storm(gateways);
        return 0;
    }
    while (poll_links(poller, 0))
        ;
    printf("{\"mode\":\"fleet\",\"count\":%d,\"closed\":%d}\n", opt.clients, lost);
    return 0;
}
