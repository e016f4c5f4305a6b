/* What the files of the load generator share. */
#ifndef LOADGEN_H
#define LOADGEN_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

enum {
    MAX_RECORD_BYTES = 16384, /* one TLS record, RFC 8446 section 5.1 */
    MAX_PACKET_IDS = 65536,   /* two bytes, [MQTT-2.3.1-1] */
    MAX_TEXT_BYTES = 512,
    MAX_CONNECT_BYTES = 3 * MAX_TEXT_BYTES,
    MAX_SUBSCRIBE_BYTES = 3 * MAX_TEXT_BYTES,
    MAX_PUBLISH_BYTES = 8192, /* of those that are answered: topic and a small body */
    IO_TIMEOUT_MS = 30000, /* a server that is silent for so long has failed */
};

struct options {
    const char *mode;
    const char *host;
    int port;
    const char *tls;
    const char *cert, *key, *ca, *server_name;
    const char *credentials;              /* file of many keys and certificates, see identities.c */
    const char *client_id, *user, *topic; /* "{n}" stands for the name of the client, in the topic
                                             of telemetry "{i}" for twelve digits that no other
                                             message has */
    const char *filters; /* fleet: what to subscribe to, a comma between; "{n}" as above */
    int http_port;       /* methods, desired: where the service API is, at the same host */
    const char *http_host, *authorization; /* and these two headers for it */
    int first;                            /* number of the first client */
    int clients;                          /* identities in use: connections, or ids in rotation */
    int processes;
    double seconds; /* connect, register: how long */
    int window, batch, size;
    int messages;  /* publish: per connection; register: how many, 0 for as many as go */
    int keep_alive_s;
    int sources; /* how many source addresses, 127.1.x.y, to spread over */
    bool tls_only;
    bool keep_session; /* no clean session */
    bool storm;        /* fleet: all come back after the server was started again */
    bool wait; /* register: wait before the poll as long as the server orders */
};

extern struct options opt;

/* --- common.c ------------------------------------------------------------------------------ */

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *need(void *memory); /* die without memory */
double now_s(void);
double own_cpu_s(int who);
void wait_for_go(void);

struct times {
    double *all; /* s */
    long count, room;
};
void note_time(struct times *times, double seconds);
void sort_times(struct times *times);
double quantile_ms(const struct times *sorted, double share);

/* --- sleepers.c ---------------------------------------------------------------------------- */

struct sleeper {
    double due; /* s */
};
void make_room_for_sleepers(int count);
void sleep_until(struct sleeper *sleeper, double due);
struct sleeper *first_awake(double now); /* and it sleeps no more; NULL if there is none */
bool is_anyone_asleep(void);
double next_awake(void);      /* when the first of them wakes up; there must be one */
double back_off_s(int tries); /* how long a device waits that was turned away so often */

/* --- identities.c -------------------------------------------------------------------------- */

void load_identities(void);
void use_identity(SSL *ssl, int number); /* nothing without --credentials */

/* Write the name of a client: its certificate's common name, or its number. */
void name_of(char *out, int number);

/* Write `template` with "{n}" replaced by the name of the client; return the length. */
size_t expand(char *out, const char *template, int number);

/* --- mqtt.c -------------------------------------------------------------------------------- */

uint8_t *put_u16(uint8_t *p, size_t value);
uint8_t *put_text(uint8_t *p, const char *text, size_t length);
uint8_t *put_length(uint8_t *p, size_t length);
size_t make_connect(uint8_t *out, int number);
size_t make_subscribe(uint8_t *out, const char *filters, int qos, int number);

/* With QoS 1, or with QoS 0 where `packet_id` is 0. */
size_t make_publish(uint8_t *out, size_t room, const char *topic, int packet_id, const char *body,
                    size_t length);

/* Say whether `data` begins with a whole packet, and how long its fixed header and the rest are. */
bool find_packet(const uint8_t *data, size_t available, size_t *header, size_t *length);

struct message {
    char topic[MAX_TEXT_BYTES];
    int qos, packet_id;
    const char *body; /* in the packet, without an end */
    size_t length;
};
void read_message(struct message *m, const uint8_t *packet, size_t header, size_t length);
extern const uint8_t DISCONNECT[2];

/* --- tls.c --------------------------------------------------------------------------------- */

SSL_CTX *make_context(void);
int open_socket(int number, int port, bool blocking);
int tcp_connect(int number);
SSL *new_tls(SSL_CTX *context, int fd, int number);
SSL *tls_connect(SSL_CTX *context, int fd, int number);
void mqtt_connect(SSL *ssl, int number);

/* --- link.c -------------------------------------------------------------------------------- */

/*
 * A connection that does not block: what the socket does not take is kept, what comes is handed to
 * `take` as far as it has come; that returns how many bytes it took, 0 for "not whole yet".
 */
struct link {
    SSL *ssl;
    int fd, number;
    size_t (*take)(struct link *link, const uint8_t *data, size_t length);
    void (*closed)(struct link *link, const char *why); /* by the server; NULL: ends the program */
    uint8_t *in, *out;
    size_t in_length, out_length;
    bool is_over;
};

int make_poller(void);
/* TCP, TLS and, for devices, CONNECT: these three do block. */
void link_open(struct link *l, int poller, SSL_CTX *context, int number, bool is_mqtt);
void link_dial(struct link *l, int poller, SSL_CTX *context, int number); /* MQTT; blocks never */
void link_send(struct link *l, const void *data, size_t length);
void link_publish(struct link *l, const char *topic, int packet_id, const char *body,
                  size_t length);
void link_read(struct link *l); /* all that there is */
bool poll_links(int poller, int timeout_ms); /* wait and serve; false if nothing happened */

/* --- one file for each ---------------------------------------------------------------------- */

int run_connect(void);
int run_publish(void);
int run_idle(void);
int run_register(void);
int run_calls(void);
bool answer_method(struct link *l, const struct message *m); /* at once; false if it is none */
int run_twins(void);
int run_fleet(void);

#endif
