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
    IO_TIMEOUT_MS = 30000, /* a server that is silent for so long has failed */
};

struct options {
    const char *mode;
    const char *host;
    int port;
    const char *tls;
    const char *cert, *key, *ca, *server_name;
    const char *credentials;              /* file of many keys and certificates, see identities.c */
    const char *client_id, *user, *topic; /* "{n}" stands for the name of the client */
    int first;                            /* number of the first client */
    int clients;                          /* identities in use: connections, or ids in rotation */
    int processes;
    double seconds; /* connect, register: how long */
    int window, batch, size;
    int messages;  /* publish: per connection; register: how many, 0 for as many as go */
    int keep_alive_s;
    int sources; /* how many source addresses, 127.1.x.y, to spread over */
    bool tls_only;
    bool wait; /* register: wait before the poll as long as the server orders */
};

extern struct options opt;

/* --- common.c ------------------------------------------------------------------------------ */

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *need(void *memory); /* die without memory */
double now_s(void);
double own_cpu_s(int who);
void wait_for_go(void);

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
extern const uint8_t DISCONNECT[2];

/* --- tls.c --------------------------------------------------------------------------------- */

SSL_CTX *make_context(void);
int open_socket(int number, bool blocking);
int tcp_connect(int number);
SSL *new_tls(SSL_CTX *context, int fd, int number);
SSL *tls_connect(SSL_CTX *context, int fd, int number);
void mqtt_connect(SSL *ssl, int number);

/* --- one file for each ---------------------------------------------------------------------- */

int run_connect(void);
int run_publish(void);
int run_idle(void);
int run_register(void);

#endif
