/* TLS over TCP, and the start of an MQTT connection on it. */
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

SSL_CTX *make_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        die("no TLS context");
    int version = strcmp(opt.tls, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    /* One suite and one curve, so that all servers do the same work. */
    if (SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES128-GCM-SHA256") != 1 ||
        SSL_CTX_set1_groups_list(context, "P-256") != 1)
        die("no such cipher suite or curve");
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

/* Return a socket that is connected, or connecting when it is not to block. */
int open_socket(int number, int port, bool blocking)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
    if (fd < 0)
        die("socket: %s", strerror(errno));
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct timeval timeout = {.tv_sec = IO_TIMEOUT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    bind_source(fd, number);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, opt.host, &server.sin_addr) != 1)
        die("host must be an IPv4 address: %s", opt.host);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS)
        die("connect to %s:%d: %s", opt.host, port, strerror(errno));
    return fd;
}

int tcp_connect(int number)
{
    return open_socket(number, opt.port, true);
}

SSL *new_tls(SSL_CTX *context, int fd, int number)
{
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        die("no TLS connection");
    if (opt.server_name != NULL)
        SSL_set_tlsext_host_name(ssl, opt.server_name);
    use_identity(ssl, number);
    return ssl;
}

SSL *tls_connect(SSL_CTX *context, int fd, int number)
{
    SSL *ssl = new_tls(context, fd, number);
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

void mqtt_connect(SSL *ssl, int number)
{
    uint8_t packet[MAX_CONNECT_BYTES];
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
