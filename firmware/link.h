/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the serial link: header, payload, CRC-32, COBS-encoded, between zero bytes.
 * Free of hardware: the same file is compiled and fuzzed on the host. */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link_protocol.h"

/* COBS adds a byte at the start and one for every 254; a delimiter comes before and after. */
#define LINK_MAX_ENCODED (LINK_MAX_FRAME + (LINK_MAX_FRAME + 253U) / 254U + 2U)

struct link_frame {
    struct link_header header;
    uint32_t crc; /* as received: tells a repeated request from a new one */
    size_t payload_bytes; /* as received; header.length is only what the sender says */
    const uint8_t *payload;
};

struct link_receiver {
    uint8_t bytes[LINK_MAX_ENCODED];
    size_t count;
    bool too_long;
};

enum link_event {
    LINK_NOTHING,  /* go on */
    LINK_FRAME,    /* a frame with a right CRC */
    LINK_BAD_FRAME /* bytes up to a delimiter that are no frame */
};

/* Takes one byte. The frame points into the receiver: it is valid until the next call. */
enum link_event link_receive(struct link_receiver *receiver, uint8_t byte,
                             struct link_frame *frame);

/* Bytes that the frame under way still lacks: at least so many by its header, or a few where it is
 * already longer; 0 between frames. */
size_t link_missing(const struct link_receiver *receiver);

/* Encodes a frame with its delimiters into out (LINK_MAX_ENCODED bytes); returns the number of
 * bytes, 0 if the payload is longer than LINK_MAX_PAYLOAD. */
size_t link_encode(uint8_t type, uint16_t sequence, const uint8_t *payload, size_t payload_bytes,
                   uint8_t *out);

/* Decodes in place; returns the decoded size, 0 if the bytes are not COBS. */
size_t link_cobs_decode(uint8_t *bytes, size_t count);

/* Continues a CRC-32 (zlib polynomial); begin with 0. */
uint32_t link_crc32(uint32_t crc, const uint8_t *bytes, size_t count);

#endif
