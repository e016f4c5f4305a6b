#!/bin/sh
# Makes the vectors of this folder. Kept as their birth certificate; run it in an empty folder.
# Every certificate is valid for 30 days from the day it was made: tests bring their own clock.
set -eu

openssl version

# An X.509 version 1 leaf, as plain `openssl x509 -req` of OpenSSL 3.0 makes.
openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 30 -subj "/C=IT/O=Quay/CN=v1root" \
    -keyout v1-root-key.pem -out v1-root.pem
openssl req -new -newkey rsa:2048 -nodes -subj "/C=IT/O=Quay/CN=v1device" \
    -keyout v1-leaf-key.pem -out v1-leaf.csr
openssl x509 -req -in v1-leaf.csr -CA v1-root.pem -CAkey v1-root-key.pem -CAcreateserial \
    -days 30 -sha256 -out v1-leaf.pem
# Its proof of possession, version 1 too.
openssl req -new -newkey rsa:2048 -nodes \
    -subj "/CN=0123456789ABCDEF0123456789ABCDEF01234567" -keyout v1-verification-key.pem \
    -out v1-verification.csr
openssl x509 -req -in v1-verification.csr -CA v1-root.pem -CAkey v1-root-key.pem \
    -CAcreateserial -days 30 -sha256 -out v1-verification.pem

# A self-signed version 1 certificate, and a leaf issued by it.
openssl req -new -newkey rsa:2048 -nodes -subj "/C=IT/O=Quay/CN=v1issuer" \
    -keyout v1-issuer-key.pem -out v1-issuer.csr
openssl x509 -req -in v1-issuer.csr -signkey v1-issuer-key.pem -days 30 -sha256 \
    -out v1-issuer.pem
openssl req -new -newkey rsa:2048 -nodes -subj "/C=IT/O=Quay/CN=belowv1" \
    -keyout below-v1-key.pem -out below-v1.csr
openssl x509 -req -in below-v1.csr -CA v1-issuer.pem -CAkey v1-issuer-key.pem -CAcreateserial \
    -days 30 -sha256 -out below-v1.pem

# Weak hashes: a root and an intermediate signed with SHA-1, and leaves.
openssl req -x509 -newkey rsa:2048 -nodes -sha1 -days 30 -subj "/C=IT/O=Quay/CN=sha1root" \
    -keyout sha1-root-key.pem -out sha1-root.pem
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' > ca.ext
openssl req -new -newkey rsa:2048 -nodes -subj "/C=IT/O=Quay/CN=sha1intermediate" \
    -keyout sha1-intermediate-key.pem -out sha1-intermediate.csr
openssl x509 -req -in sha1-intermediate.csr -CA sha1-root.pem -CAkey sha1-root-key.pem \
    -CAcreateserial -days 30 -sha1 -extfile ca.ext -out sha1-intermediate.pem
for name in sha1 md5 sha256; do
    openssl req -new -newkey rsa:2048 -nodes -subj "/C=IT/O=Quay/CN=${name}leaf" \
        -keyout "${name}-leaf-key.pem" -out "${name}-leaf.csr"
    openssl x509 -req -in "${name}-leaf.csr" -CA sha1-root.pem -CAkey sha1-root-key.pem \
        -CAcreateserial -days 30 "-${name}" -out "${name}-leaf.pem"
done
openssl req -new -newkey rsa:2048 -nodes -subj "/C=IT/O=Quay/CN=belowsha1" \
    -keyout below-sha1-key.pem -out below-sha1.csr
openssl x509 -req -in below-sha1.csr -CA sha1-intermediate.pem -CAkey sha1-intermediate-key.pem \
    -CAcreateserial -days 30 -sha256 -out below-sha1.pem

# Keys in every form that is pasted. The passphrase of the encrypted ones is: harbour
openssl rsa -in v1-leaf-key.pem -traditional -out key-pkcs1.pem
openssl rsa -in v1-leaf-key.pem -traditional -aes128 -passout pass:harbour \
    -out key-proc-type.pem
openssl pkcs8 -topk8 -in v1-leaf-key.pem -v2 aes256 -passout pass:harbour \
    -out key-pkcs8-encrypted.pem
openssl ecparam -name prime256v1 -genkey -out key-sec1-with-parameters.pem
openssl genpkey -algorithm ed25519 -out key-ed25519.pem
openssl pkcs12 -export -in v1-leaf.pem -inkey v1-leaf-key.pem -passout pass:harbour \
    -out leaf.p12

# Text around the blocks.
openssl x509 -in v1-leaf.pem -text -out v1-leaf-with-text.pem
openssl pkcs12 -in leaf.p12 -passin pass:harbour -nodes -out bag-attributes.pem
openssl x509 -in v1-leaf.pem -trustout -addtrust clientAuth -out v1-leaf-trusted.pem

rm -f ./*.csr ./*.srl ca.ext v1-root-key.pem v1-verification-key.pem v1-issuer-key.pem \
    below-v1-key.pem sha1-*-key.pem md5-leaf-key.pem sha256-leaf-key.pem below-sha1-key.pem
