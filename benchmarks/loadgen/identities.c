/*
 * Who the clients are. Without --credentials all of them show the one certificate of --cert, and
 * differ by their number. With it each has a certificate of its own, and its name is the common
 * name in there.
 *
 * The file is PEM blocks in a row: for each client its private key, its certificate, and the
 * certificates above that it sends along.
 */
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

struct identity {
    EVP_PKEY *key;
    X509 *leaf;
    STACK_OF(X509) *above;
    char name[MAX_TEXT_BYTES];
};

static struct identity *identities;
static int identity_count;

static struct identity *new_identity(void)
{
    static int room;
    if (identity_count == room) {
        room = room == 0 ? 64 : 2 * room;
        identities = need(realloc(identities, (size_t)room * sizeof *identities));
    }
    struct identity *identity = &identities[identity_count++];
    memset(identity, 0, sizeof *identity);
    return identity;
}

static void take_certificate(struct identity *identity, const uint8_t *der, long length)
{
    X509 *certificate = d2i_X509(NULL, &der, length);
    if (certificate == NULL)
        die("%s: client %d has a broken certificate", opt.credentials, identity_count);
    if (identity->leaf == NULL) {
        identity->leaf = certificate;
        if (X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                      identity->name, sizeof identity->name) <= 0)
            die("%s: client %d has no common name", opt.credentials, identity_count);
        return;
    }
    if (identity->above == NULL)
        identity->above = need(sk_X509_new_null());
    sk_X509_push(identity->above, certificate);
}

void load_identities(void)
{
    if (opt.credentials == NULL)
        return;
    BIO *file = BIO_new_file(opt.credentials, "r");
    if (file == NULL)
        die("cannot read %s", opt.credentials);
    struct identity *identity = NULL;
    char *kind, *header;
    uint8_t *data;
    long length;
    while (PEM_read_bio(file, &kind, &header, &data, &length)) {
        const uint8_t *der = data;
        if (strstr(kind, "PRIVATE KEY") != NULL) {
            identity = new_identity();
            identity->key = d2i_AutoPrivateKey(NULL, &der, length);
            if (identity->key == NULL)
                die("%s: client %d has a broken key", opt.credentials, identity_count);
        } else if (identity == NULL) {
            die("%s must begin with a key", opt.credentials);
        } else {
            take_certificate(identity, der, length);
        }
        OPENSSL_free(kind);
        OPENSSL_free(header);
        OPENSSL_free(data);
    }
    ERR_clear_error(); /* the end of the file */
    BIO_free(file);
    if (identity_count < opt.first + opt.clients)
        die("%s holds %d clients, not %d", opt.credentials, identity_count,
            opt.first + opt.clients);
}

void use_identity(SSL *ssl, int number)
{
    if (identities == NULL)
        return;
    struct identity *identity = &identities[number];
    if (identity->leaf == NULL ||
        SSL_use_cert_and_key(ssl, identity->leaf, identity->key, identity->above, 1) != 1)
        die("cannot use the certificate of client %d", number);
}

void name_of(char *out, int number)
{
    if (identities != NULL)
        snprintf(out, MAX_TEXT_BYTES, "%s", identities[number].name);
    else
        snprintf(out, MAX_TEXT_BYTES, "%d", number);
}

size_t expand(char *out, const char *template, int number)
{
    const char *mark = strstr(template, "{n}");
    int length;
    if (mark == NULL) {
        length = snprintf(out, MAX_TEXT_BYTES, "%s", template);
    } else {
        char name[MAX_TEXT_BYTES];
        name_of(name, number);
        length = snprintf(out, MAX_TEXT_BYTES, "%.*s%s%s", (int)(mark - template), template, name,
                          mark + 3);
    }
    if (length < 0 || length >= MAX_TEXT_BYTES)
        die("text too long: %s", template);
    return (size_t)length;
}
