/*
 * Load generator of the benchmarks: many MQTT 3.1.1 clients over mutual TLS, in one small program,
 * so that the server and not the client is what is measured.
 *
 *   loadgen connect   TCP + full handshake + CONNECT/CONNACK + DISCONNECT + close, again and again
 *   loadgen publish   QoS 1 telemetry with a window of unacknowledged messages
 *   loadgen idle      open connections, and hold them
 *   loadgen fleet     many of them with subscriptions, and how all come back at one time
 *   loadgen methods   calls over the service API that devices answer
 *   loadgen desired   patches over the service API of which devices are notified
 *   loadgen relay     the same as methods from client to client through a broker
 *   loadgen twins     patches of reported properties with a window of unanswered ones
 *   loadgen register  whole DPS registrations, each on a connection of its own
 *
 * Standard output carries one JSON object per line: first {"ready":...} when everything that is not
 * to be measured has been done, then, after a line (or the end) on standard input, the result.
 * Any error ends the program with status 1 and one line on standard error.
 *
 * Build: cc -O2 -o loadgen *.c -lssl -lcrypto
 */
#include "loadgen.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct options opt = {
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
    .filters = "",
    .http_host = "localhost",
    .authorization = "",
};

static const struct {
    const char *name;
    const char **text; /* one of the two */
    int *number;
    int least;
} VALUES[] = {
    {"--host", &opt.host, NULL, 0},
    {"--port", NULL, &opt.port, 1},
    {"--tls", &opt.tls, NULL, 0},
    {"--cert", &opt.cert, NULL, 0},
    {"--key", &opt.key, NULL, 0},
    {"--ca", &opt.ca, NULL, 0},
    {"--credentials", &opt.credentials, NULL, 0},
    {"--server-name", &opt.server_name, NULL, 0},
    {"--client-id", &opt.client_id, NULL, 0},
    {"--user", &opt.user, NULL, 0},
    {"--topic", &opt.topic, NULL, 0},
    {"--first", NULL, &opt.first, 0},
    {"--clients", NULL, &opt.clients, 1},
    {"--processes", NULL, &opt.processes, 1},
    {"--window", NULL, &opt.window, 1},
    {"--batch", NULL, &opt.batch, 1},
    {"--size", NULL, &opt.size, 0},
    {"--messages", NULL, &opt.messages, 0},
    {"--keep-alive", NULL, &opt.keep_alive_s, 0},
    {"--filters", &opt.filters, NULL, 0},
    {"--http-port", NULL, &opt.http_port, 1},
    {"--http-host", &opt.http_host, NULL, 0},
    {"--authorization", &opt.authorization, NULL, 0},
    {"--sources", NULL, &opt.sources, 1},
};

static const struct {
    const char *name;
    bool *flag;
} FLAGS[] = {
    {"--tls-only", &opt.tls_only},
    {"--wait", &opt.wait},
    {"--keep-session", &opt.keep_session},
    {"--storm", &opt.storm},
};

static const struct {
    const char *name;
    int (*run)(void);
} MODES[] = {
    {"connect", run_connect}, {"publish", run_publish}, {"idle", run_idle},
    {"fleet", run_fleet},     {"methods", run_calls},   {"desired", run_calls},
    {"relay", run_calls},     {"twins", run_twins},     {"register", run_register},
};

static int whole(const char *name, const char *text, long least)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || value < least || value > 1000000000)
        die("%s must be a whole number from %ld: %s", name, least, text);
    return (int)value;
}

static bool set_flag(const char *name)
{
    for (size_t i = 0; i < sizeof FLAGS / sizeof *FLAGS; i++)
        if (strcmp(name, FLAGS[i].name) == 0)
            return *FLAGS[i].flag = true;
    return false;
}

static void set_value(const char *name, const char *value)
{
    if (strcmp(name, "--seconds") == 0) {
        opt.seconds = atof(value);
        return;
    }
    for (size_t i = 0; i < sizeof VALUES / sizeof *VALUES; i++)
        if (strcmp(name, VALUES[i].name) == 0) {
            if (VALUES[i].text != NULL)
                *VALUES[i].text = value;
            else
                *VALUES[i].number = whole(name, value, VALUES[i].least);
            return;
        }
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
        die("usage: loadgen MODE [--name value ...] [--flag ...]; main.c lists the modes");
    opt.mode = argv[1];
    for (int i = 2; i < argc; i++) {
        if (set_flag(argv[i]))
            continue;
        if (i + 1 == argc)
            die("%s needs a value", argv[i]);
        set_value(argv[i], argv[i + 1]);
        i++;
    }
    if (opt.window >= MAX_PACKET_IDS)
        die("--window must be below %d", MAX_PACKET_IDS);
    raise_file_limit();
    load_identities();
    for (size_t i = 0; i < sizeof MODES / sizeof *MODES; i++)
        if (strcmp(opt.mode, MODES[i].name) == 0)
            return MODES[i].run();
    die("unknown mode %s", opt.mode);
}
