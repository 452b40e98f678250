/* SPDX-License-Identifier: Apache-2.0 */
/* Framing of the serial link. */

#include "link.h"

#define COBS_LONGEST 0xFFU /* code of 254 bytes without a zero after them */
#define FEW_BYTES 4U       /* what COBS adds to a long frame */

uint32_t link_crc32(uint32_t crc, const uint8_t *bytes, size_t count)
{
    /* Remainders of the sixteen values of half a byte for the reflected polynomial 0xEDB88320. */
    static const uint32_t remainders[16] = {
        0x00000000U, 0x1DB71064U, 0x3B6E20C8U, 0x26D930ACU, 0x76DC4190U, 0x6B6B51F4U,
        0x4DB26158U, 0x5005713CU, 0xEDB88320U, 0xF00F9344U, 0xD6D6A3E8U, 0xCB61B38CU,
        0x9B64C2B0U, 0x86D3D2D4U, 0xA00AE278U, 0xBDBDF21CU,
    };
    crc = ~crc;
    for (size_t index = 0; index < count; index++) {
        crc ^= bytes[index];
        crc = (crc >> 4) ^ remainders[crc & 0xFU];
        crc = (crc >> 4) ^ remainders[crc & 0xFU];
    }
    return ~crc;
}

size_t link_cobs_decode(uint8_t *bytes, size_t count)
{
    size_t in = 0;
    size_t out = 0;
    while (in < count) {
        const size_t code = bytes[in++];
        if (code == 0U || code - 1U > count - in) {
            return 0U;
        }
        for (size_t index = 1; index < code; index++) {
            if (bytes[in] == 0U) {
                return 0U;
            }
            bytes[out++] = bytes[in++];
        }
        if (code != COBS_LONGEST && in < count) {
            bytes[out++] = 0U;
        }
    }
    return out;
}

/* State of a COBS encoder that takes its input in pieces. */
struct encoder {
    uint8_t *out;
    size_t count; /* bytes written, the open block's code byte included */
    size_t code;  /* position of that code byte */
};

static void encoder_close_block(struct encoder *encoder)
{
    encoder->out[encoder->code] = (uint8_t)(encoder->count - encoder->code);
    encoder->code = encoder->count++;
}

static void encoder_put(struct encoder *encoder, const uint8_t *bytes, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        /* A full block is closed only when more follows: at the very end it needs no successor. */
        if (encoder->count - encoder->code == COBS_LONGEST) {
            encoder_close_block(encoder);
        }
        if (bytes[index] == 0U) {
            encoder_close_block(encoder);
        } else {
            encoder->out[encoder->count++] = bytes[index];
        }
    }
}

size_t link_encode(uint8_t type, uint16_t sequence, const uint8_t *payload, size_t payload_bytes,
                   uint8_t *out)
{
    if (payload_bytes > LINK_MAX_PAYLOAD) {
        return 0U;
    }
    const struct link_header header = {
        .version = LINK_PROTOCOL_VERSION,
        .type = type,
        .sequence = sequence,
        .length = (uint16_t)payload_bytes,
    };
    uint32_t crc = link_crc32(0U, (const uint8_t *)&header, sizeof header);
    crc = link_crc32(crc, payload, payload_bytes);

    out[0] = 0U; /* whatever came before ends here */
    struct encoder encoder = {.out = out, .count = 2U, .code = 1U};
    encoder_put(&encoder, (const uint8_t *)&header, sizeof header);
    encoder_put(&encoder, payload, payload_bytes);
    encoder_put(&encoder, (const uint8_t *)&crc, sizeof crc);
    encoder.out[encoder.code] = (uint8_t)(encoder.count - encoder.code);
    encoder.out[encoder.count++] = 0U;
    return encoder.count;
}

static bool parse_frame(uint8_t *bytes, size_t count, struct link_frame *frame)
{
    const size_t decoded = link_cobs_decode(bytes, count);
    if (decoded < sizeof frame->header + LINK_CRC_BYTES || decoded > LINK_MAX_FRAME) {
        return false;
    }
    const size_t covered = decoded - LINK_CRC_BYTES;
    frame->crc = 0U;
    for (size_t byte = 0; byte < LINK_CRC_BYTES; byte++) {
        frame->crc |= (uint32_t)bytes[covered + byte] << (8U * byte);
    }
    if (frame->crc != link_crc32(0U, bytes, covered)) {
        return false;
    }
    uint8_t *header = (uint8_t *)&frame->header;
    for (size_t byte = 0; byte < sizeof frame->header; byte++) {
        header[byte] = bytes[byte];
    }
    frame->payload = &bytes[sizeof frame->header];
    frame->payload_bytes = covered - sizeof frame->header;
    return true;
}

enum link_event link_receive(struct link_receiver *receiver, uint8_t byte,
                             struct link_frame *frame)
{
    if (byte != 0U) {
        if (receiver->count < sizeof receiver->bytes) {
            receiver->bytes[receiver->count++] = byte;
        } else {
            receiver->too_long = true;
        }
        return LINK_NOTHING;
    }
    const size_t count = receiver->count;
    const bool too_long = receiver->too_long;
    receiver->count = 0U;
    receiver->too_long = false;
    if (count == 0U) {
        return LINK_NOTHING; /* delimiters may be repeated */
    }
    return !too_long && parse_frame(receiver->bytes, count, frame) ? LINK_FRAME : LINK_BAD_FRAME;
}

/* The payload's length that the header of an encoded frame gives, 0 where it cannot be right. */
static size_t encoded_length(const uint8_t *bytes)
{
    struct link_header header;
    uint8_t *out = (uint8_t *)&header;
    size_t next_code = bytes[0];
    for (size_t index = 1; index <= sizeof header; index++) {
        out[index - 1U] = bytes[index];
        if (index == next_code) {
            next_code += bytes[index];
            out[index - 1U] = 0U;
        }
    }
    return header.length <= LINK_MAX_PAYLOAD ? header.length : 0U;
}

size_t link_missing(const struct link_receiver *receiver)
{
    if (receiver->count == 0U) {
        return 0U;
    }
    size_t expected = 1U + sizeof(struct link_header) + LINK_CRC_BYTES + 1U;
    if (receiver->count > sizeof(struct link_header)) {
        expected += encoded_length(receiver->bytes);
    }
    return expected > receiver->count ? expected - receiver->count : FEW_BYTES;
}
